"""The plan says what will run, in numbers that can be checked by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from contracts.errors import ConfigError
from trainer.config.presets import load_pretrain_config
from trainer.data.open_source import open_source
from trainer.memory_estimate import tokens_per_image
from trainer.methods.dinov2 import DinoV2
from trainer.plan import make_plan
from trainer.recipe import method_settings


def test_numbers_of_a_tiny_run(labelled_images: Path, tiny_settings: list[str]) -> None:
    config = load_pretrain_config("cpu", [*tiny_settings, "run.steps=10", "run.micro_batch_size=2"])
    plan = make_plan(config, open_source(labelled_images))
    assert (plan.device, plan.precision, plan.steps, plan.workers) == ("cpu", "fp32", 10, 0)
    assert (plan.images_per_step, plan.micro_batches, plan.images_seen) == (4, 2, 40)
    assert plan.epochs == pytest.approx(40 / 24, abs=0.01)
    assert plan.data.images == 24
    # Two global crops of 4 x 4 patches and two local ones of 2 x 2, each with its class token.
    assert plan.student_tokens_per_step == 4 * (2 * 17 + 2 * 5)
    assert plan.teacher_tokens_per_step == 4 * 2 * 17
    built = DinoV2(method_settings(config))
    assert plan.parameters == {n: sum(p.numel() for p in m.parameters()) for n, m in built.student.items()}
    assert plan.prototypes == {"dino": 16, "ibot": 16}


def test_a_giant_is_planned_without_being_built(labelled_images: Path) -> None:
    config = load_pretrain_config("vitg14", ["run.device=cpu", "run.micro_batch_size=12"])
    plan = make_plan(config, open_source(labelled_images))
    assert 1.0e9 < plan.parameters["backbone"] < 1.2e9
    assert plan.micro_batches == 256
    assert plan.memory.weights_gib == pytest.approx(5 * 4 * sum(plan.parameters.values()) / 2**30, abs=1e-3)
    assert any("fewer than a batch" in note for note in plan.notes)


def test_registers_count_as_tokens() -> None:
    for registers, expected in ((0, (2 * 257, 8 * 50)), (4, (2 * 261, 8 * 54))):
        config = load_pretrain_config("vitl14", [f"model.registers={registers}"])
        assert tokens_per_image(config, method_settings(config).backbone) == expected


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a GPU that is not there")
def test_a_device_that_is_not_there_is_refused(labelled_images: Path) -> None:
    config = load_pretrain_config("cpu", ["run.device=cuda"])
    with pytest.raises(ConfigError, match="PyTorch sees 0 CUDA devices"):
        make_plan(config, open_source(labelled_images))


def test_an_attention_backend_that_cannot_run_here_is_refused_before_the_run(labelled_images: Path) -> None:
    config = load_pretrain_config("cpu", ["run.device=cpu", "model.attention=varlen"])
    with pytest.raises(ConfigError, match=r"found torch\.float32 on cpu"):
        make_plan(config, open_source(labelled_images))


def test_operations_and_the_time_at_the_peak(labelled_images: Path, tiny_settings: list[str]) -> None:
    words = [*tiny_settings, "run.steps=10", "run.micro_batch_size=2", "model.drop_path_rate=0.0"]
    plan = make_plan(load_pretrain_config("cpu", words), open_source(labelled_images))
    assert (plan.peak_tflops, plan.hours_at_peak) == (None, None), "a CPU has no known peak"
    known = make_plan(load_pretrain_config("cpu", [*words, "devices.peak_tflops=1e-6"]), open_source(labelled_images))
    assert known.hours_at_peak == pytest.approx(10 * plan.teraflops_per_step / 1e-6 / 3600, rel=0.01)
    once = make_plan(load_pretrain_config("cpu", [*words, "run.micro_batch_size=4"]), open_source(labelled_images))
    assert once.teraflops_per_step == pytest.approx(plan.teraflops_per_step, rel=1e-5)
