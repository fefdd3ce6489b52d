"""From offered files to kept images: the counts that must add up."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


def flow_counts(offered: int, unreadable: int, selection: pa.Table) -> list[tuple[str, int]]:
    """From offered files to kept images: (what, count), in the order of the steps."""
    words = pc.struct_field(pc.extract_regex(pc.cast(selection.column("reason"), pa.string()), r"^(?P<w>[^:]*)"), "w")
    gone = pc.value_counts(words.filter(pc.invert(selection.column("kept"))))
    dropped = {str(row["values"]): int(row["counts"]) for row in gone.to_pylist()}
    again = offered - unreadable - selection.num_rows
    rows = [("files offered", offered), ("exact duplicates", again), ("distinct files", selection.num_rows)]
    rows += [(f"dropped: {word.replace('_', ' ')}", count) for word, count in sorted(dropped.items())]
    rows.append(("kept", selection.num_rows - sum(dropped.values())))
    return [rows[0], *([("files without readable bytes", unreadable)] if unreadable else []), *rows[1:]]
