"""What a seed set brought, on disk.

retrieval/<seed>.parquet          contracts.tables.RETRIEVAL
retrieval/capped/<seed>.parquet   keys that were drawn and then cut by the seed's limit (only where there are any)
retrieval/<seed>.json             header, published last: how it was made, and the counts of the report
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from contracts.errors import BrokenArtifact
from contracts.header import read_header, write_header
from contracts.publish import remove_drafts
from contracts.tables import RETRIEVAL, TableSpec, empty_table, read_table, write_table

FORMAT, VERSION = "winnow.retrieval-header", 1
CAPPED = TableSpec(
    "winnow.capped", 1, pa.schema([pa.field("key", pa.string(), nullable=False)]), ("key",), "curate retrieve"
)


@dataclass(frozen=True)
class SeedReport:
    """What one seed set brought and how.

    `inputs`: sha256 over the pool's and the seed's vectors and the settings: a rerun knows that nothing changed.
    `pool`: sha256 over the pool's images and their vectors alone: a build knows that the pool changed since
    (empty where nobody noted it).
    `rows`: rows of the table by mode. `collision_rate`, `short_queries`: sample mode. `clusters`, `clusters_used`,
    `before_cap`: cluster mode.
    """

    seed: str
    source: str
    mode: str
    model: str
    inputs: str
    seed_images: int
    pool_images: int
    rows: Mapping[str, int]
    images: int
    pool: str = ""
    collision_rate: float | None = None
    short_queries: int | None = None
    clusters: int | None = None
    clusters_used: int | None = None
    before_cap: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def restricts(self) -> bool:
        """Whether images that no seed brought leave the dataset."""
        return self.mode != "none"


@dataclass(frozen=True)
class SeedResult:
    """A finished retrieval, read back."""

    report: SeedReport
    rows: pa.Table
    capped: pa.Array


def write_retrieval(folder: Path, report: SeedReport, rows: pa.Table, capped: pa.Array, config_sha256: str) -> None:
    """Publish what a seed set brought; the header last."""
    for place in (folder, folder / "capped"):
        remove_drafts(place)
    header = folder / f"{report.seed}.json"
    header.unlink(missing_ok=True)
    write_table(folder / f"{report.seed}.parquet", rows, RETRIEVAL)
    cut = folder / "capped" / f"{report.seed}.parquet"
    if len(capped):
        write_table(cut, pa.table({"key": capped}), CAPPED)
    else:
        cut.unlink(missing_ok=True)
    write_header(header, format_name=FORMAT, version=VERSION, config_sha256=config_sha256, fields=asdict(report))


def read_report(folder: Path, seed: str) -> SeedReport:
    """The header of a finished retrieval. Errors: MissingInput, BrokenArtifact, NewerVersion."""
    file = folder / f"{seed}.json"
    raw = read_header(file, format_name=FORMAT, version=VERSION, made_with=f"curate retrieve --seed {seed}")
    try:
        return SeedReport(**{name: raw[name] for name in SeedReport.__dataclass_fields__})
    except KeyError as missing:
        raise BrokenArtifact(f"{file} lacks {missing}: run `curate retrieve --seed {seed}` again") from None


def read_retrievals(folder: Path) -> list[SeedResult]:
    """All finished retrievals of a workspace, by seed name; empty when there are none."""
    results = []
    for header in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        report = read_report(folder, header.stem)
        cut = folder / "capped" / f"{report.seed}.parquet"
        capped = read_table(cut, CAPPED) if cut.is_file() else empty_table(CAPPED)
        rows = read_table(folder / f"{report.seed}.parquet", RETRIEVAL)
        results.append(SeedResult(report, rows, capped.column("key").combine_chunks()))
    return results


def forget_retrieval(folder: Path, seed: str) -> None:
    """Take a seed's retrieval out of the workspace, header first."""
    for file in (folder / f"{seed}.json", folder / f"{seed}.parquet", folder / "capped" / f"{seed}.parquet"):
        file.unlink(missing_ok=True)
