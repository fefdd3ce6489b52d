"""Decisions by hand: what a person said about single images, with a note and the time. Every step honours them.

| action | effect |
|---|---|
| `keep`, `drop` | the image is in or out, whatever the steps found; what is quarantined cannot be kept |
| `merge` | the image's whole group joins the group of the image `into`; that group's kept image stays the kept one |
| `split` | the image leaves its group and is a picture of its own |

An image has at most one of the first two and one of the last two; a new one takes the place of the old.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from contracts.errors import UserError, nearest_name
from contracts.keys import is_key
from contracts.tables import OVERRIDES, empty_table, read_table, write_table

DECIDING, GROUPING = ("keep", "drop"), ("merge", "split")
ACTIONS = (*DECIDING, *GROUPING)
NOTE_LENGTH = 500
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@dataclass(frozen=True)
class Override:
    """One decision by hand. `at`: UTC, as `2026-01-31T12:00:00.000000Z`. Errors: UserError for what makes no sense."""

    key: str
    action: str
    at: str
    note: str = ""
    into: str | None = None

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise UserError(f"{self.action!r} is no decision ({nearest_name(self.action, ACTIONS)})")
        if not is_key(self.key):
            raise UserError(f"{self.key!r} is no key of an image: 24 hexadecimal digits are wanted")
        if not _TIME.fullmatch(self.at):
            raise UserError(f"{self.at!r} is no time: wanted is UTC such as 2026-01-31T12:00:00.000000Z")
        if (self.action == "merge") != (self.into is not None):
            raise UserError("`merge`, and nothing else, needs the image whose group is joined: name it with `into`")
        if self.into is not None and (not is_key(self.into) or self.into == self.key):
            raise UserError(f"{self.key} cannot be merged with {self.into}: name the key of another image")
        if len(self.note) > NOTE_LENGTH or "\n" in self.note:
            raise UserError(f"a note is one line of at most {NOTE_LENGTH} characters, this one has {len(self.note)}")


def read_overrides(file: Path) -> pa.Table:
    """All decisions by hand; no rows where nobody decided. Errors: BrokenArtifact, NewerVersion."""
    return read_table(file, OVERRIDES) if file.is_file() else empty_table(OVERRIDES)


def add_overrides(file: Path, new: Sequence[Override]) -> pa.Table:
    """Publish the table with new decisions, each in the place of an earlier one of its kind. Returns the table."""
    last = {(one.key, one.action in DECIDING): one for one in new}
    rows = pa.Table.from_pylist([asdict(one) for one in last.values()], schema=_PLAIN)
    with _alone(file):
        old = read_overrides(file)
        for deciding in (True, False):
            keys = [one.key for one in new if (one.action in DECIDING) == deciding]
            old = old.filter(pc.invert(_of_kind(old, keys, DECIDING if deciding else GROUPING)))
        return _publish(file, pa.concat_tables([old.cast(_PLAIN), rows.select(_PLAIN.names)]))


def remove_overrides(file: Path, keys: Sequence[str], actions: Sequence[str] = ACTIONS) -> pa.Table:
    """Publish the table without the decisions over these images. Returns the table."""
    with _alone(file):
        old = read_overrides(file)
        return _publish(file, old.filter(pc.invert(_of_kind(old, keys, actions))))


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """One writer at a time, also of several processes: two who decide at once lose nothing."""
    import fcntl

    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_suffix(".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


_PLAIN = pa.schema(
    [
        pa.field(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type, f.nullable)
        for f in OVERRIDES.schema
    ]
)


def _of_kind(table: pa.Table, keys: Sequence[str], actions: Sequence[str]) -> pa.ChunkedArray:
    named = pc.is_in(table.column("key"), value_set=pa.array(keys, pa.string()))
    kind = pc.is_in(pc.cast(table.column("action"), pa.string()), value_set=pa.array(actions, pa.string()))
    return pc.and_(named, kind)


def _publish(file: Path, table: pa.Table) -> pa.Table:
    if table.num_rows:
        write_table(file, table, OVERRIDES)
    else:
        file.unlink(missing_ok=True)
    return read_overrides(file)


def action_counts(overrides: pa.Table) -> dict[str, int]:
    """How many decisions of each kind, for reports."""
    counted = pc.value_counts(pc.cast(overrides.column("action"), pa.string())).to_pylist()
    return dict(sorted((str(row["values"]), int(row["counts"])) for row in counted))
