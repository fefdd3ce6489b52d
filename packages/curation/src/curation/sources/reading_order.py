"""The order in which images lie where they are stored, so that a part of a pool opens few archives and tables.

Keys are hashes: in their order, every part of a pool would read a little of every archive.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from curation.sources.kinds import is_table

_PLACE = r"^(?P<container>[^#]*)#?(?P<member>.*)$"
_ROW = r"^[0-9]{1,18}$"


def reading_order(uri: str) -> tuple[str, int, str]:
    """Sort key by which uris lie one after the other in their archives and tables."""
    container, _, member = uri.partition("#")
    return (container, int(member), "") if member.isdigit() and is_table(container) else (container, 0, member)


def in_reading_order(images: pa.Table) -> pa.Table:
    """Rows sorted by where their uri leads: files by path, members and rows of one container together and in order."""
    place = pc.extract_regex(images.column("uri").cast(pa.string()).combine_chunks(), _PLACE)
    member = pc.struct_field(place, "member")
    row = pc.if_else(pc.match_substring_regex(member, _ROW), member, "-1").cast(pa.int64())
    keys = pa.table({"container": pc.struct_field(place, "container"), "row": row, "member": member})
    return images.take(pc.sort_indices(keys, [(name, "ascending") for name in keys.column_names]))
