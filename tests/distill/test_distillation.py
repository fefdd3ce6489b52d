"""Whole runs: from a teacher and pictures to models that open; killed and resumed; without heads; several students."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from contracts.errors import ConfigError, MissingInput
from contracts.publish import read_json
from distill import api
from distill.distillation import build_job, run_distillation
from distill.side_by_side import model_folders
from trainer.data.batch import CropBatch
from trainer.engine.environment import environment
from trainer.engine.loop import train
from trainer.engine.metrics_log import read_metrics
from trainer.engine.run_folder import open_run, publish_run_files
from trainer.export.model_folder import load_model

SMALL = ["run.batch_size=4", "run.checkpoint_every_steps=2", "data.workers=0", "run.device=cpu"]
SMALL += ["pictures.every_steps=0"]


def small_run(teacher: Path, pictures: Path, out: Path, *more: str, **changes: Any) -> dict[str, Any]:
    asked = {"teacher": str(teacher), "data": str(pictures), "config": "cpu", "steps": 6} | changes
    return api.run(asked.pop("students", ["vitn8"]), out=out, overrides=[*SMALL, *more], **asked)


def weights(run: Path) -> bytes:
    return (run / "export" / "model.safetensors").read_bytes()


def test_a_run_gives_a_model_that_opens_and_says_where_it_comes_from(
    make_teacher: Callable[..., Path], pictures: Path, tmp_path: Path
) -> None:
    report = small_run(make_teacher(), pictures, tmp_path / "run", f"probe.data={pictures}", "probe.every_steps=3")
    assert report["step"] == 6
    assert [probe["step"] for probe in report["probes"]] == [0, 3, 6]
    model = load_model(tmp_path / "run")
    assert set(model.heads) == {"dino_head", "ibot_head"}
    assert model.heads["dino_head"].settings.prototypes == 12
    assert model.image_px == 32
    assert model.description.method == "distillation"
    assert model.description.origin["objective"] == "prototypes"
    again = small_run(make_teacher(), pictures, tmp_path / "run", f"probe.data={pictures}", "probe.every_steps=3")
    assert again["already_finished"]


def test_a_run_that_dies_and_goes_on_ends_with_the_same_weights(
    make_teacher: Callable[..., Path], pictures: Path, tmp_path: Path
) -> None:
    teacher = make_teacher()
    small_run(teacher, pictures, tmp_path / "whole")
    planned = api.plan(
        ["vitn8"],
        teacher=str(teacher),
        data=str(pictures),
        config="cpu",
        out=tmp_path / "broken",
        steps=6,
        overrides=SMALL,
    )
    run = open_run(planned.out, planned.identity, resume=None)
    job, _ = build_job(planned, run, torch.device("cpu"))
    publish_run_files(run, planned.identity, planned.plan.values(), environment(job.device))
    opened = job.open_stream

    def stream_that_dies(position: int) -> Iterator[CropBatch]:
        for batch in opened(position):
            if batch.position == 5:
                raise RuntimeError("the power went out")
            yield batch

    with pytest.raises(RuntimeError, match="power"):
        train(replace(job, open_stream=stream_that_dies))
    assert not (tmp_path / "broken" / "export").exists()
    report = run_distillation(planned, resume=True)
    assert report["step"] == 6
    assert weights(tmp_path / "broken") == weights(tmp_path / "whole")


def test_workers_and_repetition_change_nothing(
    make_teacher: Callable[..., Path], pictures: Path, tmp_path: Path
) -> None:
    teacher = make_teacher()
    small_run(teacher, pictures, tmp_path / "a")
    small_run(teacher, pictures, tmp_path / "b", "data.workers=1")
    assert weights(tmp_path / "a") == weights(tmp_path / "b")


def test_a_teacher_without_heads_is_matched_by_features(
    make_teacher: Callable[..., Path], pictures: Path, tmp_path: Path
) -> None:
    report = small_run(make_teacher(heads=""), pictures, tmp_path / "run")
    assert report["objective"] == "features"
    assert not load_model(tmp_path / "run").heads


def test_a_hugging_face_folder_teaches(pictures: Path, tmp_path: Path) -> None:
    import transformers

    config = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14
    )
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path / "hf")
    report = small_run(tmp_path / "hf", pictures, tmp_path / "run", "crops.local_crops=1")
    assert report["objective"] == "features"
    assert load_model(tmp_path / "run").image_px == 32


def test_a_teacher_without_heads_gets_new_ones_first(
    make_teacher: Callable[..., Path], pictures: Path, tmp_path: Path
) -> None:
    """Headless teacher, exact mode: the stage is done once, also when the run after it dies and goes on."""
    more = ["objective.kind=prototypes", "teacher.head_steps=3"]
    more += [
        f"objective.heads.{part}={{prototypes: 10, hidden_dim: 8, bottleneck_dim: 4}}" for part in ("dino", "ibot")
    ]
    report = small_run(make_teacher(heads=""), pictures, tmp_path / "run", *more)
    assert report["objective"] == "prototypes"
    stage = tmp_path / "run" / "teacher_heads"
    assert read_metrics(stage / "metrics.jsonl")[-1]["step"] == 3
    assert load_model(tmp_path / "run").heads["ibot_head"].settings.prototypes == 10
    again = tmp_path / "again"
    shutil.copytree(stage, again / "teacher_heads")
    heads = (again / "teacher_heads" / "heads.safetensors").stat().st_mtime_ns
    for name in ("config.yaml", "plan.yaml", "environment.json"):
        shutil.copy(tmp_path / "run" / name, again / name)
    small_run(make_teacher(heads=""), pictures, again, *more, resume=True)
    assert (again / "teacher_heads" / "heads.safetensors").stat().st_mtime_ns == heads
    assert weights(again) == weights(tmp_path / "run")


def test_a_cache_changes_no_weight_whether_it_is_empty_or_full(
    make_teacher: Callable[..., Path], pictures: Path, tmp_path: Path
) -> None:
    """24 pictures in batches of 4: with one crop set, the second epoch is answered from the cache."""
    more = ["teacher.cache.gib=1", "teacher.cache.crop_sets=1", f"teacher.cache.folder={tmp_path / 'cache'}"]
    teacher = make_teacher()
    small_run(teacher, pictures, tmp_path / "empty", *more, steps=8)
    rows = [len(read_json(part)) for part in sorted((tmp_path / "cache").glob("part-*.json"))]
    assert sum(rows) == 24
    small_run(teacher, pictures, tmp_path / "full", *more, steps=8)
    assert weights(tmp_path / "empty") == weights(tmp_path / "full")
    small_run(teacher, pictures, tmp_path / "none", steps=8)
    assert weights(tmp_path / "none") != weights(tmp_path / "full")


def test_several_students_in_one_run(make_teacher: Callable[..., Path], pictures: Path, tmp_path: Path) -> None:
    report = small_run(make_teacher(), pictures, tmp_path / "run", students=["vitn8", "vitn4"], steps=2)
    assert set(report["students"]) == {"vitn8", "vitn4"}
    folders = model_folders(str(tmp_path / "run"))
    assert [load_model(folder).image_px for folder in folders] == [16, 32]
    with pytest.raises(MissingInput, match="several models"):
        load_model(tmp_path / "run")
    table = api.evaluate([str(tmp_path / "run")], str(pictures), tasks=["knn"], device="cpu")["table"]
    assert [row[0] for row in table["rows"]] == [
        "teacher",
        "student vitn4",
        "student vitn8",
        "random vitn4",
        "random vitn8",
        "raw pixels",
    ]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["objective.heads.dino.prototypes=99"], "is 99, but the teacher's head has 12"),
        (["objective.ibot_tokens=some"], "setting 'objective.ibot_tokens': input should be 'all' or 'subset'"),
        (["objective.relations.gram=1"], "relations is a setting of objective.kind=features.*since the teacher has"),
        (["objective.kind=features", "objective.ibot_tokens=all"], "but this run has features: take"),
        (["students.archs=[vitn9]"], "did you mean"),
        (["objective.kind=features", "objective.relations.patch_gramm=1"], "did you mean 'patch_gram'"),
        (["objective.kind=features", "objective.cls_loss=cosin"], "did you mean 'cosine'"),
        (["run.micro_batch_size=3"], "cannot be cut into micro-batches of 3 images"),
        (["crops.global_px=30"], "not a multiple of the patch side 8"),
        (["crops.globl_px=32"], "did you mean 'global_px'"),
    ],
)
def test_settings_that_do_not_fit_are_told(
    make_teacher: Callable[..., Path], pictures: Path, tmp_path: Path, more: list[str], message: str
) -> None:
    students = [] if any("archs" in text for text in more) else ["vitn8"]
    with pytest.raises(ConfigError, match=message):
        small_run(make_teacher(), pictures, tmp_path / "run", *more, students=students)
    assert not (tmp_path / "run").exists()


def test_prototypes_need_a_teacher_with_heads(
    make_teacher: Callable[..., Path], pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"comes without heads: take teacher\.head_steps above 0"):
        small_run(
            make_teacher(heads=""), pictures, tmp_path / "run", "objective.kind=prototypes", "teacher.head_steps=0"
        )
    assert not (tmp_path / "run").exists()


def test_another_teacher_is_another_run(make_teacher: Callable[..., Path], pictures: Path, tmp_path: Path) -> None:
    small_run(make_teacher("teacher"), pictures, tmp_path / "run", steps=2)
    make_teacher("teacher", heads="dino_head")
    with pytest.raises(ConfigError, match="name another folder with --out"):
        small_run(tmp_path / "teacher", pictures, tmp_path / "run", steps=2)


def test_the_run_folder_tells_everything(make_teacher: Callable[..., Path], pictures: Path, tmp_path: Path) -> None:
    small_run(make_teacher(), pictures, tmp_path / "run", steps=2)
    run = tmp_path / "run"
    assert {"config.yaml", "plan.yaml", "environment.json", "metrics.jsonl", "run.json"} <= {
        file.name for file in run.iterdir()
    }
    assert read_json(run / "run.json")["objective"] == "prototypes"
    assert "global_px: 32" in (run / "config.yaml").read_text()


def test_a_probe_that_cannot_be_is_told_before_anything_is_written(
    make_teacher: Callable[..., Path], pictures: Path, tmp_path: Path
) -> None:
    one_class = next(path for path in sorted(pictures.iterdir()) if path.is_dir())
    with pytest.raises(MissingInput, match="has no classes, which an evaluation needs"):
        small_run(make_teacher(), pictures, tmp_path / "run", f"probe.data={one_class}")
    assert not (tmp_path / "run").exists()
