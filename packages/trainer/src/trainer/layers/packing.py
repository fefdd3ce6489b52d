"""Sequence packing: the tokens of all crop groups in one matrix, and where each group lies in it.

Dimensions: G crop groups; group g has B_g samples of N_g tokens; T = sum of B_g * N_g rows; D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PackedLayout:
    """Which rows of a packed [T, D] matrix belong to which group: groups, their samples, their tokens in order."""

    groups: tuple[tuple[int, int], ...]
    """(samples, tokens per sample) of each group."""

    @property
    def row_ranges(self) -> list[tuple[int, int]]:
        """First and one-past-last row of each group."""
        ranges, start = [], 0
        for samples, tokens in self.groups:
            ranges.append((start, start + samples * tokens))
            start += samples * tokens
        return ranges

    @property
    def rows(self) -> int:
        """T, the number of rows."""
        return sum(samples * tokens for samples, tokens in self.groups)

    @property
    def sequence_lengths(self) -> list[int]:
        """Number of tokens of every sample, in packed order."""
        return [tokens for samples, tokens in self.groups for _ in range(samples)]

    def split(self, packed: Tensor) -> list[Tensor]:
        """Views of the groups. Shapes: [T, ...] -> G times [B_g, N_g, ...]."""
        return [
            torch.unflatten(packed[start:stop], 0, group)
            for (start, stop), group in zip(self.row_ranges, self.groups, strict=True)
        ]

    def token_rows(self, group: int, token: int, device: torch.device) -> Tensor:
        """Packed rows of one token of every sample of a group (token 0 is CLS). Shapes: [B_g]."""
        samples, tokens = self.groups[group]
        return self.row_ranges[group][0] + token + tokens * torch.arange(samples, device=device)

    def patch_rows(self, group: int, patches: Tensor, prefix: int) -> Tensor:
        """Packed rows of patches given by their index in a group's flattened [B_g * N] patches. Shapes: [M] -> [M]."""
        _, tokens = self.groups[group]
        per_sample = tokens - prefix
        sample = torch.div(patches, per_sample, rounding_mode="floor")
        return self.row_ranges[group][0] + sample * tokens + prefix + patches % per_sample

    def expand_rows(self, tables: Sequence[Tensor]) -> Tensor:
        """Repeat one table per group for each of its samples. Shapes: G times [N_g, D] -> [T, D]."""
        return torch.cat(
            [
                table.unsqueeze(0).expand(samples, *table.shape).flatten(0, 1)
                for table, (samples, _) in zip(tables, self.groups, strict=True)
            ]
        )


def pack(groups: Sequence[Tensor]) -> tuple[Tensor, PackedLayout]:
    """Concatenate crop groups. Shapes: G times [B_g, N_g, D] -> [T, D]."""
    layout = PackedLayout(tuple((group.shape[0], group.shape[1]) for group in groups))
    if len(groups) == 1:
        return groups[0].flatten(0, 1), layout
    return torch.cat([group.flatten(0, 1) for group in groups]), layout
