"""What became of catalogued files: gone, back again, or no longer the bytes that were read.

Decided before a rerun of ingest reads what is new, over the sources that it is given:

    not offered any more            the row stays, in quarantine as `gone`; offered again, it is read again
    other bytes, or another archive or table under the name     its rows leave, and it is read as if it were new

A loose file is looked into when its size differs or when it was touched after its part was read; it has changed when
its bytes have another key. An archive or table has changed when it was touched. When a part was read is its file's
mtime, so that the same images give the same bytes. Remote files are known by name alone.
Vectors, groups and retrievals are kept by key, so nothing has to be undone: what a key stands for never changes.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.keys import key_of_bytes
from contracts.tables import CATALOG, read_table, write_table
from curation.catalog import part_file, part_numbers
from curation.engine import Engine
from curation.engine.local import LocalEngine
from curation.ingest.offering import Offering
from curation.sources.filesystem import is_remote
from curation.sources.uri import split_uri

GONE = "gone: the source does not offer it any more"
LOOSE_FILES_HERE = 20_000
"""Up to so many files are looked at in this process: sooner than Ray has started."""


@dataclass(frozen=True)
class Changes:
    """Rows of the catalogue: newly gone, offered again, and read again because their bytes are others."""

    gone: int = 0
    back: int = 0
    changed: int = 0


@dataclass(frozen=True)
class _Task:
    """What is known of one part without looking at its files: uris that are gone, and uris whose rows leave.

    `loose`: files of their own, each of which is looked at.
    """

    number: int
    gone: pa.Array
    leaving: pa.Array
    sources: tuple[str, ...]
    loose: int


def settle_changes(catalog_folder: Path, offering: Offering, whole_again: set[str], engine: Engine) -> Changes:
    """Bring the catalogue in line with what its sources offer now. Parts are published one by one.

    `whole_again`: sources of which only a subset was offered before; their archives and tables are read again.
    """
    numbers = part_numbers(catalog_folder)
    if not numbers:
        return Changes()
    touched = set[str]()
    for number in numbers:
        touched |= _touched_containers(catalog_folder, number, offering, whole_again)
    offering.forget_downloads(touched)
    tasks, counts = [], Changes()
    for number in numbers:
        task, some = _plan(catalog_folder, number, offering, touched)
        if task is not None:
            tasks.append(task)
            counts = Changes(counts.gone + some.gone, counts.back + some.back, counts.changed + some.changed)
    worker = partial(make_worker, str(catalog_folder))
    checker = engine if sum(task.loose for task in tasks) > LOOSE_FILES_HERE else LocalEngine()
    changed = sum(found for _, found in checker.map_parts(worker, tasks, label="check"))
    return Changes(counts.gone, counts.back, counts.changed + changed)


def _touched_containers(folder: Path, number: int, offering: Offering, whole_again: set[str]) -> set[str]:
    """Local archives and tables of the sources that were touched after this part was read (as in uris)."""
    read_ns = part_file(folder, number).stat().st_mtime_ns
    rows = _rows(folder, number, offering.sources)
    found = set[str]()
    for source in pc.unique(rows.column("source").cast(pa.string())).to_pylist():
        uris = rows.column("uri").filter(pc.equal(rows.column("source").cast(pa.string()), source))
        for one in _containers(uris.combine_chunks()):
            if source in whole_again or _was_touched(one, read_ns, offering):
                found.add(one)
    return found


def _containers(uris: pa.Array) -> list[str]:
    """Archives and tables that uris lie in, as in uris."""
    inside = uris.filter(pc.match_substring(uris, "#"))
    found: list[str] = pc.unique(pc.list_element(pc.split_pattern(inside, "#", max_splits=1), 0)).to_pylist()
    return found


def _was_touched(container: str, read_ns: int, offering: Offering) -> bool:
    path = split_uri(container)[0]
    if is_remote(path) or offering.is_download(container):
        return False
    try:
        return touched_ns(path) > read_ns
    except OSError:
        return False


def touched_ns(path: str) -> int:
    """When a file's bytes, or the link that leads to it, changed last. Units: ns. Errors: OSError."""
    here = Path(path).lstat()
    there = Path(path).stat() if stat.S_ISLNK(here.st_mode) else here
    return max(here.st_mtime_ns, here.st_ctime_ns, there.st_mtime_ns, there.st_ctime_ns)


def _rows(folder: Path, number: int, sources: Sequence[str]) -> pa.Table:
    rows = read_table(part_file(folder, number), CATALOG, ["uri", "source", "error"])
    source = rows.column("source")
    return rows.filter(pc.is_in(source.cast(pa.string()), value_set=pa.array(sources, pa.string()))).combine_chunks()


def _plan(folder: Path, number: int, offering: Offering, touched: set[str]) -> tuple[_Task | None, Changes]:
    rows = _rows(folder, number, offering.sources)
    if rows.num_rows == 0:
        return None, Changes()
    uris = rows.column("uri").combine_chunks()
    was_gone = pc.fill_null(pc.starts_with(rows.column("error").cast(pa.string()), "gone:"), False).to_numpy()
    offered = offering.offers(uris)
    containers = pc.list_element(pc.split_pattern(uris, "#", max_splits=1), 0)
    groups = pa.array(sorted(offering.renewed(_containers(uris), touched)), pa.string())
    renewed = pc.and_(pc.is_in(containers, value_set=groups), pc.match_substring(uris, "#")).to_numpy(
        zero_copy_only=False
    )
    gone, back = ~offered & ~was_gone, offered & was_gone
    changed = offered & renewed & ~was_gone
    loose = rows.num_rows - int(pc.sum(pc.match_substring(uris, "#")).as_py())
    leaving = back | changed
    if not (loose or gone.any() or leaving.any()):
        return None, Changes()
    task = _Task(number, uris.filter(pa.array(gone)), uris.filter(pa.array(leaving)), offering.sources, loose)
    return task, Changes(int(gone.sum()), int(back.sum()), int(changed.sum()))


def make_worker(catalog_folder: str) -> Callable[[_Task], int]:
    """Built once per worker. The function settles a part and gives the number of loose files that have changed."""

    def work(task: _Task) -> int:
        return _settle(Path(catalog_folder), task)

    return work


def _settle(folder: Path, task: _Task) -> int:
    now_ns = time.time_ns()
    file = part_file(folder, task.number)
    read_ns = file.stat().st_mtime_ns
    table = read_table(file, CATALOG)
    uris = table.column("uri").combine_chunks()
    gone = pc.is_in(uris, value_set=task.gone).to_numpy(zero_copy_only=False)
    leaving = pc.is_in(uris, value_set=task.leaving).to_numpy(zero_copy_only=False)
    mine = pc.is_in(table.column("source").cast(pa.string()), value_set=pa.array(task.sources, pa.string()))
    loose = ~gone & ~leaving & mine.to_numpy() & pc.invert(pc.match_substring(uris, "#")).to_numpy(zero_copy_only=False)
    changed = np.zeros(len(uris), bool)
    looked = False
    for row, verdict in _looked_into(table, np.flatnonzero(loose), read_ns):
        looked, changed[row] = True, verdict
    kept = table.filter(pa.array(~(leaving | changed)))
    if gone.any() or kept.num_rows < table.num_rows:
        _publish(file, _with_gone(kept, task.gone))
    if looked and file.is_file() and not _has_containers(kept):
        os.utime(file, ns=(now_ns, now_ns))
    elif file.is_file():
        os.utime(file, ns=(read_ns, read_ns))
    return int(changed.sum())


def _has_containers(table: pa.Table) -> bool:
    return bool(pc.any(pc.match_substring(table.column("uri"), "#")).as_py())


def _looked_into(table: pa.Table, rows: NDArray[np.intp], read_ns: int) -> Iterator[tuple[int, bool]]:
    """(row, whether its bytes are others) of the loose files that may have changed."""
    some = table.select(["uri", "key", "byte_count", "error"]).take(pa.array(rows)).to_pylist()
    for row, known in zip(rows.tolist(), some, strict=True):
        path = split_uri(known["uri"])[0]
        if is_remote(path) or (known["error"] or "").startswith("gone:"):
            continue
        try:
            size = Path(path).stat().st_size
            if touched_ns(path) > read_ns or known["byte_count"] not in (None, size):
                yield row, size != known["byte_count"] or _key_of(path) != known["key"]
        except OSError:
            if known["error"] is None:  # it is listed and cannot be read: ingest says why
                yield row, True


def _key_of(path: str) -> str | None:
    """Key of the bytes of a file; pipes and devices, which may never end, have none."""
    return key_of_bytes(Path(path).read_bytes()) if Path(path).is_file() else None


def _with_gone(table: pa.Table, gone: pa.Array) -> pa.Table:
    mask = pc.is_in(table.column("uri"), value_set=gone)
    for name, value in (("status", "quarantined"), ("error", GONE)):
        at = table.schema.get_field_index(name)
        column = table.column(name).cast(pa.string())
        table = table.set_column(at, name, pc.if_else(mask, value, column))
    return table


def _publish(file: Path, table: pa.Table) -> None:
    if table.num_rows:
        write_table(file, table, CATALOG)
    else:
        file.unlink()
