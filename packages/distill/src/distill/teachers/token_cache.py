"""What a teacher said of crops that come back: half-precision tokens in memory-mapped parts, found by crop name.

    <folder>/cache.json            header: teacher, crops, shapes; a cache of other content is refused
    <folder>/part-00000.npy        float16 [rows, 2, 1 + N, D]: both global crops, class token first
    <folder>/part-00000.json       names of the rows, published after the array: without it the part does not count

One run writes to a folder at a time, all its ranks together: each publishes parts of its own, under numbers that no
other takes, and finds those of the others when it misses a row.
Dimensions: B images, N patches, D width of the teacher.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contracts.config import config_sha256
from contracts.errors import UserError
from contracts.header import read_header, write_header
from contracts.publish import draft, publish_json, read_json

FORMAT, VERSION = "winnow.teacher_cache", 1
HEADER = "cache.json"
PART_BYTES = 16 * 2**20
Tokens = NDArray[np.float16]


@dataclass(frozen=True)
class Writer:
    """Which of how many ranks writes; all of them open the cache before one of them writes."""

    rank: int = 0
    ranks: int = 1


ALONE = Writer()


class TokenCache:
    """Looks up and keeps tokens. A full cache keeps answering and takes nothing more; ranks share out its room."""

    def __init__(
        self,
        folder: Path,
        content: Mapping[str, Any],
        limit_gib: float,
        part_bytes: int = PART_BYTES,
        writer: Writer = ALONE,
    ) -> None:
        """Open or start a cache. `content` tells what its rows are tokens of.

        Errors: UserError when the folder holds tokens of something else.
        """
        self._folder, self._part_bytes = folder, part_bytes
        self._content_sha256 = config_sha256(dict(content))
        self._places: dict[str, tuple[int, int]] = {}
        self._parts: dict[int, Tokens] = {}
        self._pending: dict[str, Tokens] = {}
        self._open(content)
        self._next, self._stride = max(self._parts, default=-1) + 1 + writer.rank, writer.ranks
        self._room = (limit_gib * 2**30 - sum(part.nbytes for part in self._parts.values())) / writer.ranks

    def __len__(self) -> int:
        return len(self._places) + len(self._pending)

    def find(self, names: Sequence[str]) -> list[Tokens | None]:
        """Tokens of each named row, None where there are none. Shapes: [2, 1 + N, D] each."""
        if not all(name in self._places or name in self._pending for name in names):
            self._take_new_parts()
        return [self._row(name) for name in names]

    def keep(self, name: str, tokens: Tokens) -> None:
        """Remember a row, if there is room; a part is published when it is full. Shapes: [2, 1 + N, D]."""
        if name in self._places or name in self._pending or tokens.nbytes > self._room:
            return
        self._pending[name] = tokens
        self._room -= tokens.nbytes
        if len(self._pending) * tokens.nbytes >= self._part_bytes:
            self.publish()

    def publish(self) -> None:
        """Write the rows that wait as one part."""
        if not self._pending:
            return
        number, names = self._next, list(self._pending)
        array = self._folder / f"part-{number:05}.npy"
        with draft(array) as rough, rough.open("wb") as handle:
            np.save(handle, np.stack([self._pending[name] for name in names]), allow_pickle=False)
        publish_json(array.with_suffix(".json"), names)
        self._pending.clear()
        self._next += self._stride
        self._take_part(number)

    def _open(self, content: Mapping[str, Any]) -> None:
        header = self._folder / HEADER
        if not header.is_file():
            self._folder.mkdir(parents=True, exist_ok=True)
            fields = {"content": dict(content)}
            write_header(header, format_name=FORMAT, version=VERSION, config_sha256=self._content_sha256, fields=fields)
        found = read_header(header, format_name=FORMAT, version=VERSION, made_with="distill run")
        if found["config_sha256"] != self._content_sha256:
            raise UserError(
                f"{self._folder} holds what another teacher said, or of other crops: name another folder with "
                "teacher.cache.folder, or remove it"
            )
        self._take_new_parts()

    def _take_new_parts(self) -> None:
        """Parts that were published since the last look, by this rank or another."""
        numbers = {int(file.stem.removeprefix("part-")) for file in self._folder.glob("part-*.json")}
        for number in sorted(numbers - self._parts.keys()):
            self._take_part(number)

    def _take_part(self, number: int) -> None:
        array = self._folder / f"part-{number:05}.npy"
        part: Tokens = np.load(array, mmap_mode="r", allow_pickle=False)
        self._parts[number] = part
        for row, name in enumerate(read_json(array.with_suffix(".json"))):
            self._places[name] = (number, row)

    def _row(self, name: str) -> Tokens | None:
        if name in self._pending:
            return self._pending[name]
        if name not in self._places:
            return None
        part, row = self._places[name]
        tokens: Tokens = self._parts[part][row]
        return tokens


def as_rows(cls: Tensor, patches: Tensor) -> list[Tokens]:
    """Tokens of both crops of every image, as halves. Shapes: [2 B, D], [2 B, N, D] -> B times [2, 1 + N, D]."""
    tokens = torch.cat([cls[:, None], patches], dim=1).half().cpu()
    both = tokens.view(2, -1, *tokens.shape[1:]).transpose(0, 1)
    return [row.numpy() for row in both.contiguous()]


def from_rows(rows: Sequence[Tokens], device: torch.device) -> tuple[Tensor, Tensor]:
    """Class and patch tokens in float32, crop-major. Shapes: B times [2, 1 + N, D] -> [2 B, D], [2 B, N, D]."""
    tokens = torch.from_numpy(np.stack(rows, axis=1)).to(device).float().flatten(0, 1)
    return tokens[:, 0], tokens[:, 1:]
