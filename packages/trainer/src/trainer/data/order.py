"""The order in which images are met: a fresh permutation each epoch, computed for any position without storing it.

An image's place in the stream is (epoch, position in the epoch). Blocks (row groups of a table, say) are permuted as
wholes, a few of them form a window, and a window is shuffled inside, so that a source reads each block about once per
epoch. A source where any order is as good has one block: then the permutation is over all its images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
_ROUNDS = 4
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


class EpochOrder:
    """Maps positions of the endless stream to images. blocks: sizes of the source's blocks, in order."""

    def __init__(self, blocks: Indices, blocks_at_once: int, seed: int) -> None:
        self._starts = np.concatenate([[0], np.cumsum(blocks)]).astype(np.int64)
        self._sizes = np.asarray(blocks, dtype=np.int64)
        self._at_once = blocks_at_once
        self._seed = seed
        self.images = int(self._starts[-1])
        self._layouts: dict[int, tuple[Indices, Indices, Indices]] = {}

    def image_at(self, positions: Indices) -> Indices:
        """Image of each position of the stream (position // images is the epoch). Shapes: [n] -> [n]."""
        positions = np.asarray(positions, dtype=np.int64)
        result = np.empty_like(positions)
        epochs = positions // self.images
        for epoch in np.unique(epochs):
            here = epochs == epoch
            result[here] = self._in_epoch(int(epoch), positions[here] - int(epoch) * self.images)
        return result

    def _in_epoch(self, epoch: int, places: Indices) -> Indices:
        blocks, block_first, window_first = self._layout_of(epoch)
        windows = np.searchsorted(window_first, places, side="right") - 1
        result = np.empty_like(places)
        for window in np.unique(windows):
            here = windows == window
            first, last = int(window_first[window]), int(window_first[window + 1])
            shuffled = first + permute(places[here] - first, last - first, (self._seed, epoch, int(window)))
            block = np.searchsorted(block_first, shuffled, side="right") - 1
            result[here] = self._starts[blocks[block]] + shuffled - block_first[block]
        return result

    def window_at(self, position: int) -> tuple[int, int]:
        """(epoch, window) of a position of the stream."""
        epoch, place = divmod(position, self.images)
        return epoch, int(np.searchsorted(self._layout_of(epoch)[2], place, side="right")) - 1

    def blocks_ahead(self, epoch: int, window: int) -> list[int]:
        """Blocks of a window and of the one after it, in the order in which they were laid out."""
        windows = len(self._layout_of(epoch)[2]) - 1
        following = (epoch, window + 1) if window + 1 < windows else (epoch + 1, 0)
        return [
            int(block)
            for of_epoch, number in ((epoch, window), following)
            for block in self._layout_of(of_epoch)[0][number * self._at_once : (number + 1) * self._at_once]
        ]

    def _layout_of(self, epoch: int) -> tuple[Indices, Indices, Indices]:
        """(blocks in this epoch's order, first place of each, first place of each window), with the end appended."""
        if epoch not in self._layouts:
            count = len(self._sizes)
            blocks = permute(np.arange(count, dtype=np.int64), count, (self._seed, epoch, -1))
            block_first = np.concatenate([[0], np.cumsum(self._sizes[blocks])])
            window_first = np.unique(np.append(block_first[:: self._at_once], self.images))
            while len(self._layouts) > 1:  # the epoch at hand and the one after it
                self._layouts.pop(next(iter(self._layouts)))
            self._layouts[epoch] = blocks, block_first, window_first
        return self._layouts[epoch]


def permute(values: Indices, size: int, key: tuple[int, ...]) -> Indices:
    """A keyed permutation of 0..size-1, for the given values only: a Feistel network with cycle walking.

    Shapes: [n] -> [n]. Source: Black and Rogaway, Ciphers with Arbitrary Finite Domains, 2002.
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    low = np.uint64((1 << half) - 1)
    shift = np.uint64(half)
    words = [int(word) & 0xFFFFFFFFFFFFFFFF for word in key]
    keys = np.random.SeedSequence(words).generate_state(_ROUNDS, np.uint64)
    result = np.asarray(values).astype(np.uint64)
    active = np.ones(len(result), dtype=bool)
    while active.any():
        left, right = result[active] >> shift, result[active] & low
        for key_word in keys:
            left, right = right, left ^ (_mix(right ^ key_word) & low)
        result[active] = (left << shift) | right
        active &= result >= np.uint64(size)
    return result.astype(np.int64)


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finaliser of SplitMix64: every input bit changes about half of the output bits."""
    words = (words ^ (words >> np.uint64(30))) * _MIX_1
    words = (words ^ (words >> np.uint64(27))) * _MIX_2
    return words ^ (words >> np.uint64(31))
