"""Variants of a run, end to end: precision, micro-batches, targets, shared heads, Gram anchoring."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from contracts.errors import MissingInput
from trainer import api
from trainer.engine.metrics_log import read_metrics
from trainer.export.model_folder import load_model

VARIANTS = {
    "plain": [],
    "bf16": ["run.precision=bf16"],
    "micro-batches": ["run.micro_batch_size=2"],
    "centering": ["losses.centering=centering"],
    "shared head": ["heads.shared=true"],
    "gram": ["losses.gram={start_step: 1, refresh_every_steps: 1}"],
    "rope and registers": ["model.position=rope", "model.registers=2"],
    "no local crops": ["crops.local_crops=0"],
    "four channels": ["crops.channels=4", "crops.mean=[0.5]", "crops.std=[0.25]", "losses.centering=centering"],
    "one channel": ["crops.channels=1", "crops.mean=[0.5]", "crops.std=[0.25]"],
}


@pytest.fixture(scope="module")
def plain_weights(
    labelled_images: Path, tiny_settings: list[str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, torch.Tensor]:
    out = tmp_path_factory.mktemp("plain") / "run"
    api.pretrain("cpu", data=str(labelled_images), out=out, steps=3, overrides=tiny_settings)
    return load_model(out).backbone.state_dict()


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_every_variant_trains_checkpoints_and_exports(
    variant: str,
    labelled_images: Path,
    tiny_settings: list[str],
    tmp_path: Path,
    plain_weights: dict[str, torch.Tensor],
) -> None:
    out = tmp_path / "run"
    words = [*tiny_settings, *VARIANTS[variant]]
    report = api.pretrain("cpu", data=str(labelled_images), out=out, steps=3, overrides=words)
    assert (report["step"], report["skipped_steps"]) == (3, 0)
    assert all(record["loss"] > 0 for record in read_metrics(out / "metrics.jsonl"))
    model = load_model(out)
    weights = model.backbone.state_dict()
    assert all(bool(value.isfinite().all()) and value.dtype == torch.float32 for value in weights.values())
    same = weights.keys() == plain_weights.keys() and all(
        torch.equal(value, plain_weights[name]) for name, value in weights.items() if name != "patch_embed.proj.weight"
    )
    assert same == (variant == "plain")
    assert weights["patch_embed.proj.weight"].shape[1] == {"one channel": 1, "four channels": 4}.get(variant, 3)
    assert len(model.heads) == (1 if variant == "shared head" else 2)


def test_a_probe_that_cannot_be_is_told_before_anything_is_written(
    labelled_images: Path, tiny_settings: list[str], tmp_path: Path
) -> None:
    one_class = labelled_images / "lying"
    for start in (api.plan, api.pretrain):
        with pytest.raises(MissingInput, match="has no classes, which an evaluation needs"):
            start(
                "cpu", data=str(one_class), out=tmp_path / "run", overrides=[*tiny_settings, f"probe.data={one_class}"]
            )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("workers", [0, 1])
def test_images_that_are_skipped_are_counted_and_named(
    workers: int, labelled_images: Path, tiny_settings: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Twelve broken ones: ten are told, all are in the run folder, each once."""
    shutil.copytree(labelled_images, tmp_path / "images")
    for number in range(12):
        (tmp_path / "images" / "lying" / f"broken{number}.png").write_bytes(b"not an image")
    words = [*tiny_settings, f"data.workers={workers}"]
    api.pretrain("cpu", data=str(tmp_path / "images"), out=tmp_path / "run", steps=20, overrides=words)
    named = [json.loads(line) for line in (tmp_path / "run" / "skipped_images.jsonl").read_text().splitlines()]
    assert sorted(one["image"] for one in named) == sorted(f"lying/broken{number}.png" for number in range(12))
    assert all("undecodable" in one["reason"] for one in named)
    told = capfd.readouterr().err
    assert told.count("is skipped: undecodable") == 10
    assert "more images are skipped:" in told
    assert read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]["skipped_images"] >= 12
