"""Embeddings on disk: parts of float16 rows that can be memory-mapped, each beside a table of its keys.

    <folder>/part-00000.npy       float16 [rows, dim], C order
    <folder>/part-00000.parquet   column key, same row order
    <folder>/embeddings.json      header, published last

A part is published key table first, vectors last: a part counts when its .npy exists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.errors import BrokenArtifact, MissingInput
from contracts.header import read_header, write_header
from contracts.publish import draft, publish_array

FORMAT, VERSION, HEADER = "winnow.embeddings", 1, "embeddings.json"
_PART = re.compile(r"part-(\d{5,})\.npy")

Vectors = npt.NDArray[np.float16]


def published_parts(folder: Path | str) -> list[int]:
    """Numbers of the parts that are whole, ascending; also while the store is unfinished."""
    root = Path(folder)
    if not root.is_dir():
        return []
    return sorted(int(m.group(1)) for p in root.iterdir() if (m := _PART.fullmatch(p.name)))


class EmbeddingWriter:
    """Writes a store part by part; any process may write any part, one process finishes."""

    def __init__(self, folder: Path | str, *, model: str, dim: int) -> None:
        self.folder, self.model, self.dim = Path(folder), model, dim
        self.folder.mkdir(parents=True, exist_ok=True)

    def write_part(self, number: int, keys: Sequence[str], vectors: npt.NDArray[np.floating[Any]]) -> None:
        """Publish one part. Shapes: vectors [len(keys), dim]. Errors: ValueError for wrong shape or non-finite rows."""
        with np.errstate(over="ignore"):  # what overflows is refused below
            rows = np.ascontiguousarray(vectors, dtype=np.float16)
        if rows.shape != (len(keys), self.dim):
            raise ValueError(f"part {number}: vectors are {rows.shape}, wanted {(len(keys), self.dim)}")
        if not np.isfinite(rows).all():
            raise ValueError(f"part {number}: vectors are not finite in float16")
        stem = self.folder / f"part-{number:05d}"
        with draft(stem.with_suffix(".parquet")) as rough:
            pq.write_table(pa.table({"key": pa.array(keys, pa.string())}), rough, compression="zstd")
        publish_array(stem.with_suffix(".npy"), rows)

    def finish(self, *, config_sha256: str, settings: Mapping[str, Any]) -> EmbeddingStore:
        """Publish the header over all parts that are on disk. `settings` say how the vectors were made."""
        parts = published_parts(self.folder)
        counts = [int(np.load(_vectors_file(self.folder, n), mmap_mode="r").shape[0]) for n in parts]
        write_header(
            self.folder / HEADER,
            format_name=FORMAT,
            version=VERSION,
            config_sha256=config_sha256,
            fields={
                "model": self.model,
                "dim": self.dim,
                "rows": sum(counts),
                "parts": [{"number": n, "rows": c} for n, c in zip(parts, counts, strict=True)],
                "settings": dict(settings),
            },
        )
        return EmbeddingStore.open(self.folder)


def _vectors_file(folder: Path, number: int) -> Path:
    return folder / f"part-{number:05d}.npy"


@dataclass(frozen=True)
class EmbeddingStore:
    """A complete store, read through memory maps: opening it costs no memory per vector."""

    folder: Path
    model: str
    dim: int
    part_numbers: tuple[int, ...]
    part_rows: tuple[int, ...]
    settings: Mapping[str, Any]
    config_sha256: str

    @classmethod
    def open(cls, folder: Path | str) -> EmbeddingStore:
        """Open and check a store. Errors: MissingInput, BrokenArtifact (part missing or cut short), NewerVersion."""
        root = Path(folder)
        header = read_header(root / HEADER, format_name=FORMAT, version=VERSION, made_with="curate embed")
        store = cls(
            folder=root,
            model=str(header["model"]),
            dim=int(header["dim"]),
            part_numbers=tuple(int(part["number"]) for part in header["parts"]),
            part_rows=tuple(int(part["rows"]) for part in header["parts"]),
            settings=header["settings"],
            config_sha256=str(header["config_sha256"]),
        )
        for position in range(len(store.part_numbers)):
            store.part_vectors(position)
        return store

    @property
    def rows(self) -> int:
        """Number of vectors in all parts."""
        return sum(self.part_rows)

    @property
    def parts(self) -> int:
        """Number of parts."""
        return len(self.part_numbers)

    def part_vectors(self, position: int) -> Vectors:
        """Vectors of the part at a position (not its number), memory-mapped. Shapes: [rows, dim] float16."""
        file = _vectors_file(self.folder, self.part_numbers[position])
        try:
            vectors: Vectors = np.load(file, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            raise MissingInput(f"{file} is missing: run `curate embed` again") from None
        except (ValueError, EOFError, OSError) as error:
            raise BrokenArtifact(f"{file} is cut short or damaged ({error}): run `curate embed` again") from None
        if vectors.shape != (self.part_rows[position], self.dim) or vectors.dtype != np.float16:
            raise BrokenArtifact(
                f"{file} holds {vectors.dtype} {vectors.shape} where float16 "
                f"{(self.part_rows[position], self.dim)} was wanted: run `curate embed` again"
            )
        return vectors

    def part_keys(self, position: int) -> pa.Array:
        """Keys of the part at a position, in row order."""
        file = _vectors_file(self.folder, self.part_numbers[position]).with_suffix(".parquet")
        try:
            keys = pq.read_table(file, columns=["key"]).column("key").combine_chunks()
        except FileNotFoundError:
            raise MissingInput(f"{file} is missing: run `curate embed` again") from None
        except (pa.ArrowInvalid, OSError):
            raise BrokenArtifact(f"{file} is cut short or damaged: run `curate embed` again") from None
        if len(keys) != self.part_rows[position]:
            raise BrokenArtifact(f"{file} holds {len(keys)} keys where {self.part_rows[position]} were wanted")
        return keys

    @cached_property
    def keys(self) -> pa.Array:
        """All keys in row order (about 28 bytes each in memory)."""
        chunks = [self.part_keys(position) for position in range(self.parts)]
        return pa.concat_arrays(chunks) if chunks else pa.array([], pa.string())

    def all_vectors(self) -> Vectors:
        """All vectors: a memory map when there is one part, else a copy in memory (2 * rows * dim bytes)."""
        if self.parts == 1:
            return self.part_vectors(0)
        out = np.empty((self.rows, self.dim), np.float16)
        start = 0
        for position, rows in enumerate(self.part_rows):
            out[start : start + rows] = self.part_vectors(position)
            start += rows
        return out
