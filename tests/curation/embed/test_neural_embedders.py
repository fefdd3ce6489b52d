"""Model files of other projects as embedders: the numbers are the model's own, the input what its files say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from contracts.errors import BrokenArtifact, MissingInput, UserError
from curation.embed.config import EmbedConfig
from curation.embed.neural_input import InputRule, rule_of_processor
from curation.embed.table import load_embedder


def pictures(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (40 + 3 * i, 60, 3), dtype=np.uint8) for i in range(count)]


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small convolution that accepts any size, as SSCD's TorchScript files do."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 5, stride=4), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    )
    file = tmp_path_factory.mktemp("script") / "tiny.torchscript.pt"
    torch.jit.script(model).save(str(file))
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny DINOv2 as transformers saves it, with its preprocessing, in the export folder of a run."""
    import transformers

    torch.manual_seed(0)
    run = tmp_path_factory.mktemp("run")
    config = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
    )
    transformers.Dinov2Model(config).save_pretrained(run / "export")
    values = {
        "size": {"shortest_edge": 32},
        "crop_size": {"height": 28, "width": 28},
        "do_center_crop": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.25, 0.25, 0.25],
    }
    (run / "export" / "preprocessor_config.json").write_text(json.dumps(values))
    return run


def test_a_torchscript_file_gets_squares_of_320_and_the_papers_thresholds(script: Path) -> None:
    embedder = load_embedder(str(script))
    assert (embedder.default_threshold, embedder.default_against_threshold) == (0.6, 0.45)
    image = pictures(1)[0]
    vector = embedder.embed_images([image])[0]
    rule = InputRule("square", 320)
    with torch.inference_mode():
        truth = torch.jit.load(str(script))(torch.from_numpy(rule.prepare(image)[None]))[0].numpy()
    assert rule.prepare(image).shape == (3, 320, 320)
    assert np.allclose(vector, truth / np.linalg.norm(truth), atol=1e-5)


def test_the_short_side_keeps_the_aspect_and_each_image_its_own_numbers(script: Path) -> None:
    embedder = load_embedder(str(script), EmbedConfig(resize="short-side"))
    images = pictures(4)
    together = embedder.embed_images(images)
    alone = np.concatenate([embedder.embed_images([image]) for image in images])
    assert np.allclose(together, alone, atol=1e-5)
    assert InputRule("short-side", 288).prepare(images[0]).shape == (3, 288, 432)


def test_a_model_folder_and_a_run_give_the_class_token(folder: Path) -> None:
    import transformers

    embedder = load_embedder(str(folder))
    assert embedder.default_threshold is None
    image = pictures(1)[0]
    pixels = InputRule("short-side", 32, 28, (0.5,) * 3, (0.25,) * 3).prepare(image)
    assert pixels.shape == (3, 28, 28)
    model = transformers.AutoModel.from_pretrained(folder / "export").eval()
    with torch.inference_mode():
        truth = model(pixel_values=torch.from_numpy(pixels[None])).last_hidden_state[0, 0].numpy()
    assert np.allclose(embedder.embed_images([image])[0], truth / np.linalg.norm(truth), atol=1e-5)
    assert load_embedder(str(folder / "export")).version == embedder.version
    assert load_embedder(str(folder), EmbedConfig(image_px=56)).version != embedder.version


def test_a_processor_without_a_crop_squeezes_and_one_without_a_size_takes_the_models() -> None:
    assert rule_of_processor({"size": {"height": 224, "width": 224}}, 64) == InputRule("square", 224)
    assert rule_of_processor({}, 64) == InputRule("square", 64)
    assert rule_of_processor({"size": 48, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]}, 64).side_px == 48


def test_files_that_are_no_models_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("no model")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BrokenArtifact, match="TorchScript"):
        load_embedder(str(tmp_path / "text.pt"))
    with pytest.raises(MissingInput, match="not there"):
        load_embedder(str(tmp_path / "gone.pt"))
    with pytest.raises(MissingInput, match="neither config"):
        load_embedder(str(tmp_path / "empty"))


def test_a_device_that_is_not_there_is_refused(script: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(UserError, match="cuda"):
        load_embedder(str(script), EmbedConfig(device="cuda"))
