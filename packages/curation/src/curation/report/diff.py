"""Two datasets side by side: which images both hold, which only one, and what they are made of."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from contracts.dataset_folder import read_dataset


@dataclass(frozen=True)
class PartDiff:
    """Images of one part (origin, seed) in each dataset."""

    origin: str
    seed: str | None
    images_a: int
    images_b: int


@dataclass(frozen=True)
class DiffReport:
    """Counts of images. `moved`: in both, but credited to another part. `examples_*`: some keys that only one has."""

    a: str
    b: str
    images_a: int
    images_b: int
    both: int
    only_a: int
    only_b: int
    moved: int
    parts: list[PartDiff]
    examples_a: list[str]
    examples_b: list[str]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)

    def counts(self) -> dict[str, Any]:
        """What a person reads first."""
        names = ("a", "b", "images_a", "images_b", "both", "only_a", "only_b", "moved")
        return {name: getattr(self, name) for name in names}

    def lines(self) -> list[str]:
        """A line per part."""
        return [
            f"  {part.origin} {part.seed or ''}: {part.images_a:,} -> {part.images_b:,} "
            f"({part.images_b - part.images_a:+,})"
            for part in self.parts
        ]


def diff(a: Path, b: Path, examples: int = 10) -> DiffReport:
    """Compare the manifests of two dataset folders. Errors: those of read_dataset."""
    left, right = _rows(a), _rows(b)
    in_right = pc.is_in(left.column("key"), value_set=right.column("key"))
    in_left = pc.is_in(right.column("key"), value_set=left.column("key"))
    only_a = left.filter(pc.invert(in_right)).column("key")
    only_b = right.filter(pc.invert(in_left)).column("key")
    common_a, common_b = left.filter(in_right).sort_by("key"), right.filter(in_left).sort_by("key")
    moved = pc.not_equal(common_a.column("part"), common_b.column("part"))
    counts = Counter(left.column("part").to_pylist()), Counter(right.column("part").to_pylist())
    return DiffReport(
        a=str(a),
        b=str(b),
        images_a=left.num_rows,
        images_b=right.num_rows,
        both=common_a.num_rows,
        only_a=len(only_a),
        only_b=len(only_b),
        moved=int(pc.sum(moved).as_py() or 0),
        parts=[_part(name, counts[0][name], counts[1][name]) for name in sorted(counts[0].keys() | counts[1].keys())],
        examples_a=sorted(only_a.to_pylist())[:examples],
        examples_b=sorted(only_b.to_pylist())[:examples],
    )


def _rows(path: Path) -> pa.Table:
    """Columns key and part (origin, then the seed's name after a tab)."""
    manifest = read_dataset(path).manifest(["key", "origin", "seed"])
    origin, seed = pc.cast(manifest.column("origin"), pa.string()), pc.cast(manifest.column("seed"), pa.string())
    part = pc.binary_join_element_wise(origin, pc.fill_null(seed, ""), "\t")
    return pa.table({"key": manifest.column("key"), "part": part})


def _part(name: str, images_a: int, images_b: int) -> PartDiff:
    origin, _, seed = name.partition("\t")
    return PartDiff(origin, seed or None, images_a, images_b)
