"""The masks of one batch: which global crops get one, and how large each is."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import numpy as np
from numpy.typing import NDArray

from trainer.data.masking.blocks import block_mask, max_block_patches
from trainer.data.masking.settings import MaskingSettings


def mask_targets(settings: MaskingSettings, crops: int, patches: int, random: Random) -> list[int | None]:
    """Patches to mask in each of `crops` crops, None for the crops that stay whole.

    int(crops * probability) crops are masked; their ratios are drawn one from each of as many equal strata of the
    range (with `exact_count` the upper end of each stratum), then dealt out at random.
    Source: DINOv2 data/collate.py; DINOv3 data/collate.py for the upper ends.
    """
    masked = int(crops * settings.probability)
    edges = np.linspace(*settings.ratio, masked + 1).tolist()
    targets: list[int | None] = [None] * (crops - masked)
    for low, high in pairwise(edges):
        ratio = high if settings.exact_count else random.uniform(low, high)
        targets.append(max(int(patches * ratio), 1 if settings.never_empty else 0))
    random.shuffle(targets)
    return targets


def batch_masks(
    settings: MaskingSettings, crop_px: int, patch_px: int, crops: range | list[int], total: int, seed: str
) -> NDArray[np.bool_]:
    """Masks of some crops (their numbers within the whole batch of `total` crops, over all ranks).

    Every crop has its own generator, so a rank makes its own masks only, and the masks of a batch do not depend on how
    many ranks share it. Differs: the official code deals the strata out within each rank's part.
    Shapes: bool [len(crops), N].
    """
    side = crop_px // patch_px
    targets = mask_targets(settings, total, side * side, Random(f"{seed}:targets"))
    masks = np.zeros((len(crops), side * side), dtype=bool)
    for row, crop in zip(masks, crops, strict=True):
        target = targets[crop]
        if target:
            random = Random(f"{seed}:{crop}")
            limit = max_block_patches(crop_px, patch_px)
            row[:] = block_mask((side, side), target, limit, random, exact_count=settings.exact_count).ravel()
            if settings.never_empty and not row.any():
                row[random.randrange(side * side)] = True
    return masks
