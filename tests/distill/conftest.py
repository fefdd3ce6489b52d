"""Small teachers, students and batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from trainer.data.batch import CropBatch
from trainer.export.model_folder import ModelDescription, export_model
from trainer.models.heads import HeadSettings, PrototypeHead
from trainer.models.vision_transformer import VisionTransformer, VitSettings

DINO_HEAD = HeadSettings(prototypes=12, hidden_dim=16, bottleneck_dim=6, layers=2)
IBOT_HEAD = HeadSettings(prototypes=10, hidden_dim=16, bottleneck_dim=5, layers=2)


def spread_weights(module: nn.Module, seed: int) -> None:
    """Weights that make the model's output depend on everything."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)


@pytest.fixture
def make_teacher(tmp_path: Path) -> Callable[..., Path]:
    """Writes a model folder with random weights: 24 wide, 4 x 4 patches of 4 px."""

    def make(name: str = "teacher", heads: str = "dino_head ibot_head", method: str = "dinov2", patch: int = 4) -> Path:
        settings = VitSettings(24, 2, 2, patch_size=patch, image_size=4 * patch, layer_scale=1.0)
        modules = nn.ModuleDict({"backbone": VisionTransformer(settings)})
        for part, shape in (("dino_head", DINO_HEAD), ("ibot_head", IBOT_HEAD)):
            if part in heads:
                modules[part] = PrototypeHead(24, shape)
        spread_weights(modules, seed=11)
        return export_model(modules, ModelDescription("vitx4", method), tmp_path / name)

    return make


@pytest.fixture
def make_batch() -> Callable[..., CropBatch]:
    """Random crops of 16 and 8 px for 4 x 4 and 2 x 2 patches of 4 px."""

    def make(images: int = 3, local_crops: int = 2, seed: int = 0, side: int = 16) -> CropBatch:
        generator = torch.Generator().manual_seed(seed)
        masks = torch.rand(2 * images, 16, generator=generator) < 0.3
        masks[0] = False
        return CropBatch(
            global_crops=torch.randn(2 * images, 3, side, side, generator=generator),
            local_crops=torch.randn(local_crops * images, 3, side // 2, side // 2, generator=generator),
            masks=masks,
            keys=tuple(str(i) for i in range(images)),
            position=seed,
        )

    return make


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three classes of striped pictures."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:24, :24]
    for name, pattern in {
        "across": rows // 4 % 2,
        "down": columns // 4 % 2,
        "slant": (rows + columns) // 4 % 2,
    }.items():
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True)
        for i in range(8):
            colour = rng.integers(0, 255, 3)
            pixels = np.where(pattern[..., None] > 0, colour, 255 - colour) + rng.normal(0, 10, (24, 24, 3))
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{i}.png")
    return tmp_path / "pictures"
