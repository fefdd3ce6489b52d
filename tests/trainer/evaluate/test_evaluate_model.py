"""A whole evaluation on a folder of small images: report, table, baselines, errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from contracts.errors import ConfigError, MissingInput
from trainer.evaluate.eval_images import EvalTransform, image_batches
from trainer.evaluate.evaluate_model import EvaluationRequest, evaluate_model
from trainer.evaluate.labelled_images import open_labelled
from trainer.evaluate.linear import LinearSettings
from trainer.evaluate.probe import ProbeSettings, labelled_probe
from trainer.export.model_folder import ModelDescription, export_model
from trainer.models.vision_transformer import VisionTransformer, VitSettings

COLOURS = {"blue": (40, 60, 200), "green": (50, 190, 70), "red": (210, 50, 40)}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three classes that differ in colour, of several sizes, and one broken file."""
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True)
        for i in range(14):
            noise = rng.integers(-30, 30, (20 + i, 24, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{i:02}.png")
    (tmp_path / "pictures" / "red" / "broken.png").write_bytes(b"not an image")
    return tmp_path / "pictures"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    settings = VitSettings(embed_dim=24, depth=2, num_heads=2, patch_size=4, image_size=16, layer_scale=1.0)
    modules = nn.ModuleDict({"backbone": VisionTransformer(settings)})
    return export_model(modules, ModelDescription("vitx4", "dinov2"), tmp_path / "model")


def test_report_has_the_model_and_its_baselines(pictures: Path, model: Path) -> None:
    request = EvaluationRequest(model, pictures, tasks=("knn", "linear"), linear=LinearSettings(steps=30, batch_size=8))
    report = evaluate_model(request)
    assert report["images"] == {"train": 22, "test": 21}
    assert report["image_px"] == 16
    assert list(report["results"]) == ["model", "random weights", "raw pixels"]
    assert report["results"]["raw pixels"]["knn"]["10"]["top1"] == 1.0
    assert report["results"]["raw pixels"]["linear"] is None
    assert 0 <= report["results"]["model"]["linear"]["top1"] <= 1
    header, rows = report["table"]["header"], report["table"]["rows"]
    assert header == ["", "k-NN 10 (%)", "k-NN 20 (%)", "linear (%)"]
    assert rows[2][0] == "raw pixels"
    assert rows[2][-1] == "-"


def test_two_runs_give_the_same_report(pictures: Path, model: Path) -> None:
    request = EvaluationRequest(model, pictures, test=pictures, max_images=20, seed=3)
    first, second = evaluate_model(request), evaluate_model(request)
    assert first["results"] == second["results"]
    assert first["images"] == {"train": 20, "test": 20}


def test_the_probe_repeats_itself_and_sees_weights(pictures: Path) -> None:
    train, test = open_labelled(pictures, None)
    mean = (0.5, 0.5, 0.5)
    probe = labelled_probe(train, test, EvalTransform(16, mean, mean), ProbeSettings(k=5, batch_size=7))

    class MeanColour(nn.Module):
        def forward(self, images: torch.Tensor) -> nn.Module:
            self.cls = images.mean((2, 3))
            return self

    class Nothing(MeanColour):
        def forward(self, images: torch.Tensor) -> nn.Module:
            self.cls = torch.ones(len(images), 3)
            return self

    assert probe(MeanColour()) == probe(MeanColour()) == {"knn_accuracy": 1.0}
    assert probe(Nothing())["knn_accuracy"] < 0.7


def test_the_probe_trains_a_linear_one_too_and_its_neighbours_stay_the_same(pictures: Path) -> None:
    train, test = open_labelled(pictures, None)
    torch.manual_seed(0)
    settings = VitSettings(embed_dim=24, depth=2, num_heads=2, patch_size=4, image_size=16, layer_scale=1.0)
    backbone, transform = VisionTransformer(settings), EvalTransform(16, (0.5,) * 3, (0.5,) * 3)
    plain = labelled_probe(train, test, transform, ProbeSettings(k=5))(backbone)
    both = labelled_probe(train, test, transform, ProbeSettings(k=5, linear_steps=60))(backbone)
    assert both["knn_accuracy"] == plain["knn_accuracy"]
    assert both["linear_accuracy"] > 0.6  # three classes that differ in colour


def test_transform_keeps_the_centre_and_the_aspect(tmp_path: Path) -> None:
    """A picture three times as wide as high: only its middle third survives, in the right place."""
    pixels = np.zeros((30, 90, 3), dtype=np.uint8)
    pixels[:, 30:60] = 255
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for folder in "ab":
        Image.fromarray(pixels).save(tmp_path / folder / "x.png")
    train, _ = open_labelled(tmp_path, tmp_path)
    transform = EvalTransform(10, (0.0,) * 3, (1.0,) * 3)
    (batch,) = image_batches(train.source, transform)
    assert batch.pixels.shape == (2, 3, 10, 10)
    assert batch.pixels[:, :, :, 1:-1].float().mean() > 250
    assert float(transform.normalised(batch.pixels).max()) == pytest.approx(1.0)
    assert EvalTransform(224, (0.0,) * 3, (1.0,) * 3).shorter_side_px == 256


def test_unreadable_images_are_counted(pictures: Path) -> None:
    train, _ = open_labelled(pictures, pictures)
    batches = list(image_batches(train.source, EvalTransform(16, (0.5,) * 3, (0.5,) * 3), batch_size=10))
    assert sum(batch.unreadable for batch in batches) == 1
    assert sum(len(batch.labels) for batch in batches) == 42


def test_what_is_missing_is_told(tmp_path: Path, pictures: Path, model: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'knn'"):
        evaluate_model(EvaluationRequest(model, pictures, tasks=("kn",)))
    flat = pictures / "red"
    with pytest.raises(MissingInput, match="has no classes"):
        evaluate_model(EvaluationRequest(model, flat))
    listing = tmp_path / "one_class.txt"
    listing.write_text("".join(f"{file}\t3\n" for file in sorted(flat.glob("[0-9]*.png"))))
    with pytest.raises(MissingInput, match="all 7 training images have the same class"):
        evaluate_model(EvaluationRequest(model, listing))
    other = tmp_path / "other"
    for name in ("blue", "yellow"):
        (other / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(other / name / "x.png")
    with pytest.raises(ConfigError, match="same classes in the same order"):
        evaluate_model(EvaluationRequest(model, pictures, test=other))
