"""A frozen teacher: opened once, run without autograd, in its own precision.

Dimensions: B images, N patches, D width of the teacher.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from contracts.config import config_sha256
from contracts.model_folder import BACKBONE_FILE, HEADS_FILE
from contracts.publish import sha256_file
from distill.matching_views import at_grid, at_side
from distill.teachers.token_cache import TokenCache, as_rows, from_rows
from trainer.data.batch import CropBatch
from trainer.export.model_folder import Backbone, LoadedModel, load_model
from trainer.models.heads import PrototypeHead

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class TeacherTokens:
    """What the teacher says of a batch, after its final norm. Shapes: cls [B, D], patches [B, N, D]."""

    cls: Tensor
    patches: Tensor


class Teacher:
    """Backbone and, where it has them, heads. Not a module: its weights belong to no checkpoint of the student's run.

    Heads stay in float32; the backbone computes in `precision`. With a `cache`, crops that were seen before are not
    computed again, and all tokens are rounded to half precision, so that a hit and a miss are the same numbers. With a
    `grid`, it sees crops at so many patches a side, and its patch tokens are resampled to the students' grid.
    """

    cache: TokenCache | None = None
    grid: int | None = None

    def __init__(
        self, backbone: Backbone, heads: nn.ModuleDict, device: torch.device, precision: str, compiled: bool = False
    ) -> None:
        self.dtype = DTYPES[precision]
        self.backbone: Backbone = backbone.requires_grad_(False).eval().to(device=device, dtype=self.dtype)
        self.heads: nn.ModuleDict = heads.requires_grad_(False).eval().to(device)
        self._run = torch.compile(self.backbone) if compiled else self.backbone

    @property
    def patch_size(self) -> int:
        """Side of a patch, px."""
        return self.backbone.patch_size

    @property
    def embed_dim(self) -> int:
        """D."""
        return self.backbone.embed_dim

    @property
    def dino_head(self) -> PrototypeHead | None:
        """The head of the class token, if there is one."""
        return cast(PrototypeHead, self.heads["dino_head"]) if "dino_head" in self.heads else None

    @property
    def ibot_head(self) -> PrototypeHead | None:
        """The head of the patches: its own, or the shared one."""
        return cast(PrototypeHead, self.heads["ibot_head"]) if "ibot_head" in self.heads else self.dino_head

    def look(self, batch: CropBatch, reference_patch: int) -> TeacherTokens:
        """Tokens of the global crops, as many patches as `reference_patch` gives.

        Shapes: global_crops [2 * B, C, S, S] -> cls [2 * B, D], patches [2 * B, N, D].
        """
        if self.cache is None:
            return self.on_grid(batch.global_crops, reference_patch)
        return self._remembered(self.cache, batch, reference_patch)

    def on_grid(self, crops: Tensor, reference_patch: int) -> TeacherTokens:
        """Tokens of crops at the size of the teacher's view, on the patch grid that `reference_patch` gives.

        Shapes: crops [B, C, S, S] -> cls [B, D], patches [B, N, D].
        """
        grid = crops.shape[-1] // reference_patch
        said = self.tokens(at_side(crops, (self.grid or grid) * self.patch_size))
        return TeacherTokens(said.cls, at_grid(said.patches, grid))

    def _remembered(self, cache: TokenCache, batch: CropBatch, reference_patch: int) -> TeacherTokens:
        """Tokens from the cache, where it has them; what is new is computed in one pass and kept."""
        crops = batch.global_crops
        names = [f"{key}:{number}" for key, number in zip(batch.keys, batch.crop_numbers, strict=True)]
        rows = cache.find(names)
        missing = [index for index, row in enumerate(rows) if row is None]
        if missing:
            both = [view * len(names) + index for view in range(2) for index in missing]
            said = self.on_grid(crops[both], reference_patch)
            for index, row in zip(missing, as_rows(said.cls, said.patches), strict=True):
                rows[index] = row
                cache.keep(names[index], row)
        return TeacherTokens(*from_rows([row for row in rows if row is not None], crops.device))

    def take_heads(self, heads: nn.ModuleDict) -> None:
        """Use these heads from now on."""
        device = next(self.backbone.parameters()).device
        self.heads = heads.requires_grad_(False).eval().to(device)

    def tokens(self, images: Tensor) -> TeacherTokens:
        """Class and patch tokens in float32. They may take part in autograd as constants."""
        with torch.inference_mode(), torch.autocast(images.device.type, enabled=False):
            features = self._run(images.to(self.dtype))
            cls, patches = features.cls.float(), features.patches.float()
        # Copies outside inference mode: autograd refuses to keep inference tensors for the backward pass.
        return TeacherTokens(cls.clone(), patches.clone())

    def bottlenecks(self, cls: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Bottleneck features of class and patch tokens. Shapes: [B, D], [M, D] -> [B, H], [M, H]."""
        dino, ibot = self.dino_head, self.ibot_head
        assert dino is not None and ibot is not None, "a teacher without heads has no prototypes"
        with torch.no_grad():
            return dino.bottleneck(cls), ibot.bottleneck(patches)


def open_teacher(spec: Path | str, device: torch.device, precision: str = "fp32", compiled: bool = False) -> Teacher:
    """Open a run, a model folder, a Hugging Face folder or a hub id as a teacher. Errors: UserError of load_model."""
    model = load_model(spec)
    return Teacher(model.backbone, model.heads, device, precision, compiled)


def teacher_fingerprint(model: LoadedModel) -> str:
    """Hex sha256 over the weights of backbone and heads: it names the teacher in a run's identity."""
    files = [file for name in (BACKBONE_FILE, HEADS_FILE) if (file := model.folder / name).is_file()]
    return config_sha256({file.name: sha256_file(file) for file in files})


def native_grid(model: LoadedModel) -> int:
    """Patches along a side of the images that the teacher is made for."""
    return model.image_px // model.backbone.patch_size
