"""Several ranks distil as one; with a group of ranks per student, each student learns what it would learn alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch.distributed.checkpoint.filesystem import FileSystemReader

from contracts.errors import ConfigError
from contracts.publish import read_json
from distill import api
from distill.students.rank_groups import RankGroups, check_groups
from trainer.engine.metrics_log import read_metrics
from trainer.export.model_folder import load_model

STUDENTS = ["vitn8", "vitn4"]
WORDS = [
    "run.batch_size=4",
    "data.workers=0",
    "pictures.every_steps=0",
    "run.device=cpu",
    "run.log_every_steps=1",
    "run.checkpoint_every_steps=9",
]
WORDS += ["schedules.for_steps=null", "schedules.warmup_steps=1", "schedules.teacher_temp_warmup_steps=1"]
STEPS = 2
SUBSET = ["objective.ibot_tokens=subset", "crops.local_crops=0", "objective.centering=centering"]


def distilled(
    teacher: Path, pictures: Path, out: Path, devices: int, *more: str, **changes: Any
) -> list[dict[str, Any]]:
    """The metrics of a run of some steps on some ranks."""
    asked: dict[str, Any] = {"students": STUDENTS, "config": "cpu", "steps": STEPS} | changes
    words = [*WORDS, *more]
    report = api.run(
        asked.pop("students"),
        teacher=str(teacher),
        data=str(pictures),
        out=out,
        overrides=words,
        devices=devices,
        **asked,
    )
    assert report["step"] == STEPS
    return read_metrics(out / "metrics.jsonl")


def assert_same(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    assert len(one) == len(other) == STEPS
    for mine, theirs in zip(one, other, strict=True):
        names = [name for name in mine if name == "loss" or name.startswith(("terms/", "gradient_norm/"))]
        assert len(names) > 6
        for name in names:
            assert mine[name] == pytest.approx(theirs[name], rel=1e-3, abs=1e-5), (mine["step"], name)


def assert_same_weights(one: Path, other: Path) -> None:
    for name in STUDENTS:
        mine, theirs = (load_model(root / "export" / name).backbone.state_dict() for root in (one, other))
        gaps = [float((mine[key] - theirs[key]).abs().max()) for key in mine if not key.endswith("qkv.bias")]
        assert max(gaps) < 1e-4


def held_by_ranks(checkpoint: Path, sizes: list[int]) -> list[str]:
    """The students of the groups, by the files that the ranks wrote their weights to. Errors: ValueError for two."""
    found: dict[int, set[str]] = {group: set() for group in range(len(sizes))}
    for index, info in FileSystemReader(checkpoint).read_metadata().storage_data.items():
        if index.fqn.startswith(("method.student.", "method.average.", "optimizer.student.")):
            group, _ = RankGroups(tuple(sizes)).place(int(info.relative_path.split("_")[2]))
            found[group].add(STUDENTS[1] if f"{STUDENTS[1]}:" in index.fqn else STUDENTS[0])
    [names] = zip(*(tuple(found[group]) for group in found), strict=True)
    return list(names)


@pytest.mark.parametrize(
    ("heads", "sizes", "goes_on_with", "more"),
    [
        pytest.param("dino_head ibot_head", [1, 1], [1, 1], ["run.batch_size=6"], id="prototypes"),
        pytest.param("", [2, 1], [], ["run.batch_size=6"], id="features", marks=pytest.mark.slow),
        pytest.param(
            "dino_head",
            [1, 2],
            [2, 1],
            ["run.batch_size=12", "objective.koleo_weight=0", *SUBSET],
            id="subset",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_groups_of_ranks_give_the_students_of_one_process(
    make_teacher: Callable[..., Path],
    pictures: Path,
    tmp_path: Path,
    heads: str,
    sizes: list[int],
    goes_on_with: list[int],
    more: list[str],
) -> None:
    """Two students on one process, and on ranks of which each holds one, at the same global batch.

    A checkpoint of the ranks is gone on from by one process, by the same groups and by others.
    Micro-batches have as many images over all ranks as on one, since masks are shared out within a micro-batch.
    KoLeo compares the images of one rank: it is left out where a group has several.
    """
    teacher, run = make_teacher(heads=heads), tmp_path / "groups"
    more = [*more, "run.checkpoint_every_steps=1"]
    own = [*more, f"run.micro_batch_size={6 // sum(sizes)}"]

    def shared_out(sizes: list[int]) -> list[dict[str, Any]]:
        return distilled(teacher, pictures, run, sum(sizes) or 1, *own, f"students.ranks={sizes}")

    alone = distilled(teacher, pictures, tmp_path / "alone", 1, *more, "run.micro_batch_size=6")
    assert_same(alone, shared_out(sizes))
    assert_same_weights(tmp_path / "alone", run)
    assert held_by_ranks(run / "checkpoints" / "step_00000001", sizes) == [STUDENTS[i] for i in (0, 1)]
    for part in ("checkpoints/step_00000002", "export"):
        shutil.rmtree(run / part)
    (run / "run.json").unlink()
    assert_same(alone, shared_out(goes_on_with))
    assert_same_weights(tmp_path / "alone", run)


@pytest.mark.slow
def test_ranks_that_all_train_all_students_give_the_same_too(
    make_teacher: Callable[..., Path], pictures: Path, tmp_path: Path
) -> None:
    """KoLeo compares the images of one rank and is left out here."""
    teacher = make_teacher()
    alone = distilled(teacher, pictures, tmp_path / "alone", 1, "objective.koleo_weight=0")
    both = distilled(teacher, pictures, tmp_path / "both", 2, "objective.koleo_weight=0")
    assert_same(alone, both)


@pytest.mark.slow
def test_new_heads_are_learned_by_all_ranks(make_teacher: Callable[..., Path], pictures: Path, tmp_path: Path) -> None:
    more = ["objective.kind=prototypes", "teacher.head_steps=2"]
    more += [
        f"objective.heads.{part}={{prototypes: 10, hidden_dim: 8, bottleneck_dim: 4}}" for part in ("dino", "ibot")
    ]
    distilled(make_teacher(heads=""), pictures, tmp_path / "run", 2, *more, students=["vitn8"])
    assert (tmp_path / "run" / "teacher_heads" / "heads.safetensors").is_file()
    assert set(load_model(tmp_path / "run").heads) == {"dino_head", "ibot_head"}


def test_places_in_groups() -> None:
    assert [RankGroups((2, 1, 3)).place(number) for number in range(6)] == [
        (0, 0),
        (0, 1),
        (1, 0),
        (2, 0),
        (2, 1),
        (2, 2),
    ]


@pytest.mark.parametrize(
    ("sizes", "ranks", "images", "sentence"),
    [
        ((1,), 2, 4, "1 groups for 2 students"),
        ((2, 2), 3, 4, "asks for 4 ranks and 3 train"),
        ((1, 1), 1, 4, "asks for 2 ranks and 1 train"),
        ((3, 1), 4, 4, "cannot be shared out among the 3 ranks of vitn8"),
    ],
)
def test_groups_that_do_not_fit_are_told(sizes: tuple[int, ...], ranks: int, images: int, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        check_groups(sizes, STUDENTS, ranks, images)


@pytest.mark.slow
def test_two_ranks_share_a_cache_and_one_process_goes_on_from_it(
    make_teacher: Callable[..., Path], pictures: Path, tmp_path: Path
) -> None:
    """24 pictures, two epochs of the same crops: the second is answered from what either rank has kept.

    KoLeo compares the images of one rank and is left out here.
    """
    teacher, cache = make_teacher(), tmp_path / "cache"
    words = ["run.batch_size=24", "objective.koleo_weight=0", "teacher.cache.gib=1", "teacher.cache.crop_sets=1"]
    words.append(f"teacher.cache.folder={cache}")
    both = distilled(teacher, pictures, tmp_path / "both", 2, *words, students=["vitn8"])
    kept = {file: read_json(file) for file in cache.glob("part-*.json")}
    assert sorted(file.name for file in kept)[:2] == ["part-00000.json", "part-00001.json"]
    assert len({name for names in kept.values() for name in names}) == 24
    alone = distilled(teacher, pictures, tmp_path / "alone", 1, *words, students=["vitn8"])
    assert {file: read_json(file) for file in cache.glob("part-*.json")} == kept, "a row was computed again"
    assert_same(alone, both)
