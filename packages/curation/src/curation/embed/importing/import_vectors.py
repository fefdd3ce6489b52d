"""Imported vectors -> an embedding store of the catalogue's images.

    <store>/importing.json         which files an unfinished, or the finished import read

Every file is read in blocks of bounded size and every block is a part of the store, or none when no row of it is taken.
A rerun after a kill goes on behind the published parts; a rerun of a finished import does nothing; other files, or
another catalogue, make the store anew.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.config import config_sha256
from contracts.embedding_store import HEADER, EmbeddingStore, EmbeddingWriter, published_parts
from contracts.errors import UserError
from contracts.publish import publish_json, read_json, remove_drafts, sha256_file
from curation.embed.importing.arrays import Block, Rows, open_rows
from curation.embed.importing.identities import AMBIGUOUS, NONE, KnownImages
from curation.embed.importing.layout import VectorFile
from curation.embed.importing.matching import Matcher
from curation.sources.tables import open_table, row_count
from curation.sources.uri import file_uri

NOTE = "importing.json"
SMALLEST_NORM = 1e-12


@dataclass
class ImportReport:
    """Rows of the files: rows = matched + unmatched + ambiguous + repeated + unusable.

    `matched`: stored. `ambiguous`: rows that name several different images. `repeated`: rows for an image that an
    earlier row stands for. `unusable`: rows of zeros, or with values that are no finite numbers.
    `matched_by`: what named the stored rows' images. `images_without_row`: usable images that got no vector.
    """

    model: str
    dim: int = 0
    files: int = 0
    rows: int = 0
    matched: int = 0
    unmatched: int = 0
    ambiguous: int = 0
    repeated: int = 0
    unusable: int = 0
    matched_by: dict[str, int] = field(default_factory=dict)
    images: int = 0
    images_without_row: int = 0
    state: str = "imported"
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True)
class Import:
    """What to import: `spec` names the store, `array` one array of .npz files, `block_rows` are read at once."""

    files: Sequence[VectorFile]
    spec: str
    array: str | None = None
    block_rows: int = 4096


def import_vectors(catalog_folder: Path, store_folder: Path, asked: Import) -> ImportReport:
    """Import vectors. Errors: UserError (no usable image, nothing matches, sizes that do not fit, damaged files)."""
    started = time.perf_counter()
    images = KnownImages(catalog_folder)
    if not len(images.keys):
        raise UserError(f"{catalog_folder} holds no usable image: run `curate ingest` on a source that has some")
    report = ImportReport(asked.spec, files=len(asked.files), images=len(images.keys))
    report.dim, report.rows = _measure(asked)
    note = _note(asked, images.keys)
    finished = _finished(store_folder, note)
    if finished is not None:
        return ImportReport(**{**finished, "state": "unchanged", "seconds": round(time.perf_counter() - started, 2)})
    _settle(store_folder, note)
    matcher = Matcher(asked.files, images)
    _store_blocks(store_folder, asked, images, matcher, report)
    if not report.matched:
        _clear(store_folder)
        raise matcher.refuse()
    report.images_without_row = report.images - report.matched
    _finish(store_folder, asked.spec, report, note)
    report.seconds = round(time.perf_counter() - started, 2)
    return report


def _measure(asked: Import) -> tuple[int, int]:
    """(dim, rows) of all files, whose headers must agree with each other and with their tables."""
    dims: dict[int, Path] = {}
    rows = 0
    for file in asked.files:
        with open_rows(file.vectors, asked.array) as opened:
            named = row_count(open_table(str(file.table)))
            if named != opened.count:
                raise UserError(
                    f"{file.vectors} holds {opened.count} vectors and {file.table} {named} rows: they do not belong "
                    "together, so name files that do"
                )
            dims.setdefault(opened.dim, file.vectors)
            rows += opened.count
    if len(dims) > 1:
        (one, first), (other, second) = list(dims.items())[:2]
        raise UserError(f"{first} holds vectors of {one} numbers and {second} of {other}: import them under two names")
    return next(iter(dims)), rows


def _note(asked: Import, keys: pa.Array) -> dict[str, Any]:
    """What an import is a function of."""
    digest = hashlib.sha256()
    for start in range(0, len(keys), 1 << 16):
        digest.update("\n".join(keys.slice(start, 1 << 16).to_pylist()).encode())
    files = []
    for file in asked.files:
        for path in (file.vectors, file.table):
            stat = path.stat()
            files.append([file_uri(path.absolute()), stat.st_size, stat.st_mtime_ns])
    return {
        "model": asked.spec,
        "array": asked.array,
        "block_rows": asked.block_rows,
        "files": files,
        "images": digest.hexdigest(),
    }


def _finished(folder: Path, note: dict[str, Any]) -> dict[str, Any] | None:
    """The report of the import that made the store, if it was this one and the store is whole."""
    if not (folder / NOTE).is_file() or not (folder / HEADER).is_file():
        return None
    known = read_json(folder / NOTE)
    if known.get("import") != note or "report" not in known:
        return None
    try:
        EmbeddingStore.open(folder)
    except UserError:
        return None
    report: dict[str, Any] = known["report"]
    return report


def _settle(folder: Path, note: dict[str, Any]) -> None:
    """Keep the parts of a killed run of this very import; remove everything else."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_drafts(folder)
    resumable = (folder / NOTE).is_file() and read_json(folder / NOTE).get("import") == note
    if not resumable or (folder / HEADER).is_file():
        _clear(folder)
        publish_json(folder / NOTE, {"import": note})


def _clear(folder: Path) -> None:
    """The header first: without it there is no store."""
    (folder / HEADER).unlink(missing_ok=True)
    (folder / NOTE).unlink(missing_ok=True)
    for number in published_parts(folder):
        for ending in (".npy", ".parquet"):
            (folder / f"part-{number:05d}{ending}").unlink(missing_ok=True)


@dataclass(frozen=True)
class _Block:
    """A block of a file: its number among the blocks of all files, and its rows of the table and of the vectors."""

    number: int
    table: str
    rows: range
    opened: Rows


def _blocks(asked: Import) -> Iterator[_Block]:
    number = 0
    for file in asked.files:
        with open_rows(file.vectors, asked.array) as opened:
            for start in range(0, opened.count, asked.block_rows):
                rows = range(start, min(start + asked.block_rows, opened.count))
                yield _Block(number, str(file.table), rows, opened)
                number += 1


def _store_blocks(folder: Path, asked: Import, images: KnownImages, matcher: Matcher, report: ImportReport) -> None:
    """Match and store block after block; those that a killed run published are counted again and kept."""
    writer = EmbeddingWriter(folder, model=asked.spec, dim=report.dim)
    seen = np.zeros(len(images.keys), bool)
    ways: Counter[str] = Counter()
    for block in _blocks(asked):
        places, used = matcher.find(block.table, block.rows)
        report.unmatched += int((places == NONE).sum())
        report.ambiguous += int((places == AMBIGUOUS).sum())
        found = np.flatnonzero(places >= 0)
        if not len(found):
            continue
        vectors, good = unit_rows(block.opened.block(block.rows.start, block.rows.stop)[found])
        report.unusable += int((~good).sum())
        found, vectors = found[good], vectors[good]
        _, first = np.unique(places[found], return_index=True)
        fresh = np.sort(first[~seen[places[found[first]]]])
        report.repeated += len(found) - len(fresh)
        chosen = places[found[fresh]]
        seen[chosen] = True
        report.matched += len(chosen)
        ways.update(f"{matcher.ways[way].column} = {matcher.ways[way].named}" for way in used[found[fresh]].tolist())
        if len(chosen) and not (folder / f"part-{block.number:05d}.npy").is_file():
            writer.write_part(block.number, images.keys.take(pa.array(chosen)), vectors[fresh])
    report.matched_by = dict(ways.most_common())


def unit_rows(block: Block) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Rows of length 1, and which rows have one: finite values and a length. Shapes: [N, dim] -> [N, dim], [N]."""
    with np.errstate(over="ignore", invalid="ignore"):
        rows = np.asarray(block, np.float32)
        largest = np.abs(rows).max(axis=1, keepdims=True, initial=0)
        good = np.isfinite(rows).all(axis=1) & (largest[:, 0] > SMALLEST_NORM)
        scaled = np.divide(rows, largest, out=np.zeros_like(rows), where=good[:, None])
        norms = np.sqrt(np.einsum("nd,nd->n", scaled, scaled))
        return np.divide(scaled, norms[:, None], out=scaled, where=good[:, None]), good


def _finish(folder: Path, spec: str, report: ImportReport, note: dict[str, Any]) -> None:
    """The note with the report first, the header last. The header's sum is that of the vectors."""
    parts = published_parts(folder)
    sums = [sha256_file(folder / f"part-{number:05d}.npy") for number in parts]
    publish_json(folder / NOTE, {"import": note, "report": report.as_dict()})
    settings = {"version": "imported", "odd_dims": 0, "default_threshold": None, "default_against_threshold": None}
    writer = EmbeddingWriter(folder, model=spec, dim=report.dim)
    writer.finish(config_sha256=config_sha256({"model": spec, "dim": report.dim, "parts": sums}), settings=settings)
