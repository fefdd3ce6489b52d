"""Any TorchScript file that maps images to vectors, with the preprocessing of SSCD.

Source: Pizzi et al. 2022 (arXiv 2202.10261); the released `sscd_disc_mixup.torchscript.pt` is the usual file.
The default input is the 320 px square that SSCD's authors recommend for batches (`resize: short-side` gives 288).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from contracts.errors import BrokenArtifact
from contracts.publish import sha256_file
from curation.embed.config import EmbedConfig
from curation.embed.neural_embedder import NeuralEmbedder
from curation.embed.neural_input import InputRule
from curation.embed.torch_device import load_torch

SQUARE_PX, SHORT_SIDE_PX = 320, 288


class TorchScriptEmbedder(NeuralEmbedder):
    """Thresholds are those of DINOv2 (section 3) for SSCD: 0.6 for the same picture, 0.45 against references.

    Errors: BrokenArtifact.
    """

    default_threshold: float | None = 0.6
    default_against_threshold: float | None = 0.45

    def __init__(self, file: Path, settings: EmbedConfig) -> None:
        short = settings.resize == "short-side"
        side = settings.image_px or (SHORT_SIDE_PX if short else SQUARE_PX)
        rule = InputRule("short-side" if short else "square", side)
        super().__init__(file.stem, _load(file), rule, f"sha256 {sha256_file(file)[:16]}", settings)

    def features(self, pixels: Any) -> Any:
        """Torch tensors. Shapes: [B, 3, H, W] -> [B, D]."""
        return self._model(pixels).flatten(1)


def _load(file: Path) -> Any:
    try:
        return load_torch().jit.load(str(file), map_location="cpu")
    except (RuntimeError, ValueError) as error:
        detail = str(error).splitlines()[0]
        raise BrokenArtifact(f"{file} is no TorchScript file that this torch can load ({detail})") from None
