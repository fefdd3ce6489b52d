"""Runs that start from a model: weights taken, positions resized, fresh heads warmed up under a frozen backbone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from contracts.errors import ConfigError
from trainer import api
from trainer.config.presets import load_pretrain_config
from trainer.engine.run_folder import RunFolder
from trainer.export.model_folder import load_model
from trainer.initial_weights import find_initial_model, start_from
from trainer.methods.dinov2 import DinoV2
from trainer.pretrain import build_job, plan_run
from trainer.recipe import method_settings


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory, labelled_images: Path, tiny_settings: list[str]) -> Path:
    run = tmp_path_factory.mktemp("first") / "run"
    api.pretrain("cpu", data=str(labelled_images), out=run, steps=2, overrides=tiny_settings)
    return run


@pytest.fixture
def headless(first_run: Path, tmp_path: Path) -> Path:
    """A plain Hugging Face folder: the export without our own files."""
    folder = tmp_path / "model"
    shutil.copytree(first_run / "export", folder)
    for name in ("heads.safetensors", "provenance.json"):
        (folder / name).unlink()
    return folder


def test_backbone_and_heads_are_taken_into_student_and_teacher(first_run: Path, tiny_settings: list[str]) -> None:
    method = DinoV2(method_settings(load_pretrain_config("cpu", tiny_settings)))
    assert start_from(find_initial_model(str(first_run)), method) == ["backbone", "dino_head", "ibot_head"]
    saved = load_model(first_run)
    for modules in (method.student, method.teacher):
        for name, value in saved.backbone.state_dict().items():
            assert torch.equal(modules["backbone"].state_dict()[name], value)
        for name, value in saved.heads.state_dict().items():
            assert torch.equal(modules.state_dict()[name], value)


def test_heads_of_another_shape_stay_fresh_and_positions_are_resized(first_run: Path, tiny_settings: list[str]) -> None:
    config = load_pretrain_config("cpu", [*tiny_settings, "heads.dino.prototypes=24", "crops.global_px=24"])
    method = DinoV2(method_settings(config))
    assert start_from(find_initial_model(str(first_run)), method) == ["backbone", "ibot_head"]
    assert method.student["backbone"].pos_embed.shape[1] == 1 + 6 * 6


def test_a_plan_freezes_the_backbone_where_a_head_is_fresh(
    first_run: Path, labelled_images: Path, tiny_settings: list[str], tmp_path: Path
) -> None:
    words = [*tiny_settings, f"data.path={labelled_images}", f"model.init_from={first_run}", "run.steps=50"]
    whole = plan_run(load_pretrain_config("cpu", words), "cpu", tmp_path / "run").plan
    assert whole.freeze_backbone_steps == 0
    other = plan_run(load_pretrain_config("cpu", [*words, "heads.dino.prototypes=24"]), "cpu", tmp_path / "run").plan
    assert other.freeze_backbone_steps == 5
    assert any("no dino_head of the asked shape: fresh ones" in note for note in other.notes), other.notes
    assert not any("ibot_head" in note for note in other.notes)


def test_another_architecture_is_refused(first_run: Path, tiny_settings: list[str]) -> None:
    method = DinoV2(method_settings(load_pretrain_config("cpu", [*tiny_settings, "model.registers=2"])))
    with pytest.raises(ConfigError, match=r"has registers 0 and the settings ask for 2"):
        start_from(find_initial_model(str(first_run)), method)


def test_fresh_heads_are_warmed_up_while_the_backbone_stands_still(
    headless: Path, labelled_images: Path, tiny_settings: list[str], tmp_path: Path
) -> None:
    overrides = [*tiny_settings, f"data.path={labelled_images}", f"model.init_from={headless}", "run.steps=20"]
    planned = plan_run(load_pretrain_config("cpu", overrides), "cpu", tmp_path / "run")
    assert planned.plan.freeze_backbone_steps == 2
    assert any("no dino_head and no ibot_head of the asked shape" in note for note in planned.plan.notes)
    before = load_model(headless).backbone.state_dict()
    out = tmp_path / "warm"
    two_steps = [*overrides, "run.steps=2", "model.freeze_backbone_steps=2", "schedules.for_steps=null"]
    two_steps += ["schedules.warmup_steps=0", "schedules.freeze_last_layer_steps=0"]
    report = api.pretrain("cpu", out=out, overrides=two_steps)
    assert report["step"] == 2
    after = load_model(out)
    # The moving average of equal weights rounds; training for two steps would move them by about the learning rate.
    moved = max(float((after.backbone.state_dict()[name] - value).abs().max()) for name, value in before.items())
    assert moved < 1e-6
    planned = plan_run(load_pretrain_config("cpu", two_steps), "cpu", out)
    fresh = build_job(planned, RunFolder(out), torch.device("cpu")).method.result()
    assert not torch.equal(after.heads["dino_head"].mlp[0].weight, fresh["dino_head"].mlp[0].weight)


def test_other_initial_weights_are_another_run(
    first_run: Path, headless: Path, labelled_images: Path, tiny_settings: list[str], tmp_path: Path
) -> None:
    words = [*tiny_settings, f"model.init_from={headless}"]
    out = tmp_path / "run"
    api.pretrain("cpu", data=str(labelled_images), out=out, steps=1, overrides=words)
    weights = headless / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\1\2\3\4")
    with pytest.raises(ConfigError, match="initial_weights was"):
        api.pretrain("cpu", data=str(labelled_images), out=out, steps=1, overrides=words)
