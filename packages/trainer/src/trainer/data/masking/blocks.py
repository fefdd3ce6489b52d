"""Block masks: rectangles of random area and aspect until enough patches are covered.

Source: iBOT (block-wise masking as in BEiT); DINOv2 data/masking.py, which may stop short of its target; DINOv3
data/masking.py, which fills the rest at random.
"""

from __future__ import annotations

import math
from random import Random

import numpy as np
from numpy.typing import NDArray

MIN_BLOCK_PATCHES = 4
MIN_ASPECT = 0.3
TRIES = 10


def max_block_patches(crop_px: int, patch_px: int) -> float:
    """Largest block: half of the patches, with the official order of rounding (21, not 24, at 7 x 7 patches)."""
    return float(0.5 * crop_px // patch_px * crop_px // patch_px)


def block_mask(
    grid: tuple[int, int], target: int, max_block: float, random: Random, *, exact_count: bool = False
) -> NDArray[np.bool_]:
    """Mask of about `target` patches, never more; of exactly as many when `exact_count` fills the rest at random.

    The draws from `random` come in the order of the official generator, so equal seeds give equal masks.
    Shapes: bool [height, width]. Source: DINOv2 MaskingGenerator.__call__.
    """
    height, width = grid
    covered, count = 0, 0  # the mask as the bits of one whole number, row after row
    while count < target:
        block = _block(grid, covered, min(target - count, max_block), random)
        if block is None:
            break
        covered |= block
        count = covered.bit_count()
    flat = np.frombuffer(covered.to_bytes(-(-height * width // 8), "little"), dtype=np.uint8)
    mask = np.unpackbits(flat, count=height * width, bitorder="little").astype(bool)
    if exact_count and count < target:
        free = np.flatnonzero(~mask).tolist()
        mask[random.sample(free, target - count)] = True
    return mask.reshape(height, width)


def _block(grid: tuple[int, int], covered: int, room: float, random: Random) -> int | None:
    """A rectangle, as bits, that covers between 1 and `room` new patches; None when ten tries find none."""
    height, width = grid
    log_aspect = (math.log(MIN_ASPECT), math.log(1 / MIN_ASPECT))
    for _ in range(TRIES):
        area = random.uniform(MIN_BLOCK_PATCHES, room)
        aspect = math.exp(random.uniform(*log_aspect))
        block_height, block_width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if block_width >= width or block_height >= height:
            continue
        top, left = random.randint(0, height - block_height), random.randint(0, width - block_width)
        row = ((1 << block_width) - 1) << left
        block = 0
        for line in range(top, top + block_height):
            block |= row << (line * width)
        new = (block & ~covered).bit_count()
        if 0 < new <= room:
            return block
    return None
