"""The last phase on larger crops: goes on from the run, compresses the schedules, resumes like the run itself."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
import torch

from contracts.config import read_yaml
from contracts.errors import ConfigError
from trainer import api, pretrain
from trainer.config.presets import load_pretrain_config
from trainer.export.model_folder import ModelDescription, load_model
from trainer.optim.schedules import build_schedules
from trainer.recipe import high_resolution_config, schedule_settings

PHASE = "high_resolution={steps: 3, global_px: 24, local_px: 8, lr: 1e-4}"


def test_the_phase_runs_through_the_schedules_once_more() -> None:
    phase = "high_resolution={steps: 10000, global_px: 518, lr: 1e-4, batch_size: 1024}"
    config = high_resolution_config(load_pretrain_config("vitl14", [phase]))
    assert config is not None
    settings = schedule_settings(config).settings
    assert (settings.steps, settings.warmup_steps, settings.teacher_temp_warmup_steps) == (10_000, 1600, 600)
    assert settings.lr == 1e-4
    assert (settings.weight_decay, settings.weight_decay_end) == (0.04, 0.2)
    assert (config.crops.global_px, config.crops.local_px, config.model.arch) == (518, 98, "vitl14")
    assert high_resolution_config(load_pretrain_config("vitl14")) is None


def test_every_step_of_the_phase_has_the_numbers_of_the_formula() -> None:
    """A long run's values, reached after as large a share of the phase as of the run."""
    words = ["high_resolution={steps: 1000, global_px: 518, lr: 1e-4, batch_size: 1024}"]
    config = high_resolution_config(load_pretrain_config("vitl14", words))
    assert config is not None
    schedules = build_schedules(schedule_settings(config).settings)
    warm, soft, frozen = 160, 60, 2  # of 1,000 steps as 100,000, 37,500 and 1,250 are of 625,000

    def cosine(first: float, last: float, share: float) -> float:
        return last + (first - last) * (1 + math.cos(math.pi * share)) / 2

    for step in range(1000):
        knobs = schedules.at(step)
        lr = 1e-4 * step / (warm - 1) if step < warm else cosine(1e-4, 1e-6, (step - warm) / (1000 - warm))
        temp = 0.04 + 0.03 * step / (soft - 1) if step < soft else 0.07
        assert knobs.lr == pytest.approx(lr, rel=1e-12)
        assert knobs.last_layer_lr == (0 if step < frozen else pytest.approx(lr, rel=1e-12))
        assert knobs.weight_decay == pytest.approx(cosine(0.04, 0.2, step / 1000), rel=1e-12)
        assert knobs.teacher_momentum == pytest.approx(cosine(0.994, 1.0, step / 1000), rel=1e-12)
        assert knobs.teacher_temp == pytest.approx(temp, rel=1e-12)


def test_sides_that_do_not_fit_the_patches_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"high_resolution\.global_px is 512 px.*take 504 or 518"):
        load_pretrain_config("vitl14", ["high_resolution={global_px: 512}"])


def test_the_model_of_the_phase_is_exported_and_a_phase_that_was_cut_ends_the_same(
    tmp_path: Path, labelled_images: Path, tiny_settings: list[str]
) -> None:
    words = [*tiny_settings, PHASE, "run.checkpoint_every_steps=1"]
    whole = tmp_path / "whole"
    report = api.pretrain("cpu", data=str(labelled_images), out=whole, steps=2, overrides=words)
    assert (report["step"], report["high_resolution"]["step"]) == (2, 3)
    assert json.loads((whole / "export" / "config.json").read_text())["image_size"] == 24
    assert read_yaml(whole / "plan.yaml")["high_resolution"]["student_tokens_per_step"] == 4 * (2 * 37 + 2 * 5)
    weights = load_model(whole).backbone.state_dict()

    cut = tmp_path / "cut"
    shutil.copytree(whole, cut)
    (cut / "run.json").unlink()
    shutil.rmtree(cut / "export")
    shutil.rmtree(cut / "high_resolution" / "checkpoints" / "step_00000003")
    api.pretrain("cpu", data=str(labelled_images), out=cut, steps=2, overrides=words)
    assert all(torch.equal(weights[name], value) for name, value in load_model(cut).backbone.state_dict().items())


def test_without_the_phase_the_weights_before_it_are_the_runs_own(
    tmp_path: Path, labelled_images: Path, tiny_settings: list[str]
) -> None:
    for name, extra in (("plain", []), ("phased", [PHASE])):
        api.pretrain("cpu", data=str(labelled_images), out=tmp_path / name, steps=2, overrides=[*tiny_settings, *extra])
    parts = [sorted((tmp_path / name / "checkpoints" / "step_00000002").iterdir()) for name in ("plain", "phased")]
    data = [[p.read_bytes() for p in files if p.suffix == ".distcp"] for files in parts]
    assert data[0] == data[1]


def test_a_run_with_a_last_phase_exports_on_the_way(
    tmp_path: Path, labelled_images: Path, tiny_settings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    exported: list[tuple[int, int]] = []
    real = pretrain.export_model

    def noted(modules: torch.nn.ModuleDict, description: ModelDescription, out: Path) -> None:
        exported.append((description.step, modules["backbone"].pos_embed.shape[1]))
        real(modules, description, out)

    monkeypatch.setattr(pretrain, "export_model", noted)
    words = [*tiny_settings, PHASE, "run.export_every_steps=1"]
    api.pretrain("cpu", data=str(labelled_images), out=tmp_path / "run", steps=2, overrides=words)
    assert [step for step, _ in exported] == [1, 2, 1, 2, 3]
    assert [tokens for _, tokens in exported][-3:] == [1 + 6 * 6] * 3
