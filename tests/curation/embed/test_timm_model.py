"""Models of timm: the numbers are timm's own; without timm the sentence says so."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contracts.errors import BrokenArtifact, MissingInput, UserError
from curation.embed.config import EmbedConfig
from curation.embed.neural_input import InputRule
from curation.embed.table import load_embedder
from curation.embed.timm_model import input_rule

DATA = {"input_size": (3, 160, 160), "crop_pct": 0.8, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop_mode": "center"}


def test_the_input_is_that_of_timms_evaluation() -> None:
    assert input_rule(DATA, EmbedConfig()) == InputRule("short-side", 200, 160, (0.5,) * 3, (0.25,) * 3)
    squashed = input_rule({**DATA, "crop_mode": "squash"}, EmbedConfig())
    assert squashed == InputRule("square", 160, None, (0.5,) * 3, (0.25,) * 3)


def test_without_timm_the_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def no_timm(name: str, *rest: Any, **options: Any) -> Any:
        if name == "timm":
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", no_timm)
    with pytest.raises(UserError, match="pip install timm"):
        load_embedder("timm:resnet18")


def test_a_checkpoint_gives_the_models_numbers_and_one_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    model = timm.create_model("test_vit", pretrained=False, num_classes=7).eval()
    file = tmp_path / "weights.pt"
    torch.save({"state_dict": {f"module.{key}": value for key, value in model.state_dict().items()}}, file)
    embedder = load_embedder(f"timm:test_vit={file}")
    image = np.random.default_rng(0).integers(0, 256, (180, 200, 3), dtype=np.uint8)
    pixels = torch.from_numpy(input_rule(timm.data.resolve_model_data_config(model), EmbedConfig()).prepare(image))
    with torch.inference_mode():
        truth = model.forward_head(model.forward_features(pixels[None]), pre_logits=True)[0].numpy()
    assert np.allclose(embedder.embed_images([image])[0], truth / np.linalg.norm(truth), atol=1e-5)
    torch.save({"norm.weight": torch.ones(3)}, file)
    with pytest.raises(BrokenArtifact, match="does not fit"):
        load_embedder(f"timm:test_vit={file}")
    with pytest.raises(MissingInput, match="no checkpoint"):
        load_embedder("timm:test_vit=gone.pt")
    with pytest.raises(MissingInput, match="no model 'tset_vit'"):
        load_embedder("timm:tset_vit")
