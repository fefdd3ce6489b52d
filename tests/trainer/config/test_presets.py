"""Presets hold the published numbers; settings that are wrong are refused in plain words."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from pydantic import ValidationError

from contracts.errors import ConfigError, MissingInput
from trainer.config.presets import load_pretrain_config, preset_names
from trainer.recipe import backbone_settings, method_settings, schedule_settings


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_valid_and_its_schedules_fit(name: str) -> None:
    config = load_pretrain_config(name)
    fitted = schedule_settings(config)
    assert fitted.notes == ()
    assert fitted.settings.warmup_steps + fitted.settings.freeze_last_layer_steps < config.run.steps


def test_short_recipe_has_the_published_numbers() -> None:
    """Source: official default config (vitl16_short) and README: 100 epochs of 1250 steps, batch 64 x 32."""
    config = load_pretrain_config("vitl16_short")
    schedules = schedule_settings(config).settings
    method = method_settings(config)
    assert config.run.steps == 100 * 1250
    assert config.run.batch_size == 64 * 32
    assert schedules.lr == pytest.approx(4e-3 * math.sqrt(2048 / 1024))
    assert (schedules.warmup_steps, schedules.teacher_temp_warmup_steps) == (10 * 1250, 30 * 1250)
    assert (schedules.weight_decay, schedules.weight_decay_end) == (0.04, 0.4)
    assert (schedules.teacher_momentum, schedules.teacher_momentum_end) == (0.992, 1.0)
    assert schedules.freeze_last_layer_steps == 1250
    assert (method.layerwise_decay, method.patch_embed_multiplier) == (0.9, 0.2)
    assert method.ibot_head is None
    assert method.dino_head.prototypes == 65536
    assert (method.backbone.embed_dim, method.backbone.depth, method.backbone.patch_size) == (1024, 24, 16)
    assert (config.crops.global_px, config.crops.local_px, config.crops.local_crops) == (224, 96, 8)
    assert (method.backbone.ffn, method.backbone.drop_path_rate) == ("mlp", 0.3)


@pytest.mark.parametrize(("name", "depth"), [("vitl14", 24), ("vitg14", 40)])
def test_long_recipes_have_the_published_numbers(name: str, depth: int) -> None:
    """Source: DINOv2 Table 16 and the official vitl14 and vitg14 configs."""
    config = load_pretrain_config(name)
    schedules, method = schedule_settings(config).settings, method_settings(config)
    assert (config.run.steps, config.run.batch_size) == (500 * 1250, 3072)
    assert schedules.lr == pytest.approx(3.46e-4, rel=1e-2)
    assert (schedules.warmup_steps, schedules.weight_decay_end) == (80 * 1250, 0.2)
    assert schedules.teacher_momentum == 0.994
    assert method.ibot_head is not None
    assert (method.dino_head.prototypes, method.dino_head.bottleneck_dim) == (131072, 384)
    assert (method.ibot_head.prototypes, method.ibot_head.bottleneck_dim) == (131072, 256)
    assert (method.backbone.depth, method.backbone.ffn, method.backbone.drop_path_rate) == (depth, "swiglu", 0.4)
    assert method.centering == "sinkhorn_knopp"
    assert method.layerwise_decay == 1.0


def test_an_override_beats_the_preset_and_the_preset_beats_the_default() -> None:
    config = load_pretrain_config("vitl14", ["optim.lr=1e-3", "model.registers=4"])
    assert config.optim.lr == 1e-3
    assert config.optim.layerwise_decay == 1.0
    assert config.optim.beta2 == 0.999
    assert backbone_settings(config).registers == 4


def test_a_file_is_read_like_a_preset(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("model: {arch: vitb8}\ncrops: {global_px: 64, local_px: 32}\n")
    config = load_pretrain_config(str(file))
    assert backbone_settings(config).embed_dim == 768
    assert config.crops.local_crops == 8


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("optim.learning_rate=1", "unknown setting 'optim.learning_rate'"),
        ("optim.lrr=1", "did you mean 'lr'"),
        ("optim.lr=fast", "setting 'optim.lr'"),
        ("run.steps=0", "greater than or equal to 1"),
        ("model.arch=vits15", "did you mean 'vits16'"),
        ("crops.local_px=30", "take 28 or 32"),
        ("run.batch_size=1", "KoLeo"),
        ("run.micro_batch_size=7", "not a multiple"),
        ("losses.centering=sinkhorn", "sinkhorn_knopp"),
        ("optim", "--set 'optim'"),
    ],
)
def test_wrong_settings_are_refused_in_plain_words(override: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_pretrain_config("cpu", ["model.arch=vitn4", override])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_preset_is_told_the_nearest_name() -> None:
    with pytest.raises(MissingInput, match=r"'smal' is neither a preset \(did you mean 'small'\?\) nor a YAML file"):
        load_pretrain_config("smal")


def test_settings_cannot_be_changed_after_loading() -> None:
    config = load_pretrain_config("cpu")
    with pytest.raises(ValidationError):
        config.run.steps = 3  # type: ignore[misc]
