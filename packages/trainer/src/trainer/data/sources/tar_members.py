"""Where the images of a tar file lie: one walk over its headers, no data read, no Python object kept per member.

Source: POSIX.1-1988 (ustar), POSIX.1-2001 (pax), GNU tar long names and base-256 sizes; WebDataset's naming: a sample
is the files that share a name up to the first dot of their last path part.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contracts.errors import BrokenArtifact
from trainer.data.sources.image_types import is_image_suffix

BLOCK = 512
NO_LABEL = -1


@dataclass(frozen=True)
class Member:
    """A regular file in a tar. Units: bytes. `head` is where its (extended) headers begin, `data` where its content."""

    name: str
    head: int
    data: int
    size: int


@dataclass(frozen=True)
class ShardIndex:
    """The images of one tar. Shapes: all [n]. Units: bytes from the start of the file; label is NO_LABEL if none."""

    head: np.ndarray
    data: np.ndarray
    size: np.ndarray
    label: np.ndarray


def index_shard(path: Path) -> ShardIndex:
    """Walk the headers of a tar and keep where each sample's image lies.

    A file that was cut short keeps its last, incomplete member: reading that one fails and names it.
    Errors: BrokenArtifact when the file is no tar.
    """
    heads: list[int] = []
    datas: list[int] = []
    sizes: list[int] = []
    labels: list[int] = []
    stem_now: str | None = None
    image_seen = False
    pending_label = NO_LABEL
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            raise BrokenArtifact(f"{path} is empty where a tar of images was wanted: copy it again or leave it out")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            for member in walk_members(view, path):
                stem, suffix = split_name(member.name)
                if stem != stem_now:
                    stem_now, image_seen, pending_label = stem, False, NO_LABEL
                if suffix == "cls":
                    pending_label = _parse_label(view[member.data : member.data + member.size])
                    if image_seen:
                        labels[-1] = pending_label
                elif not image_seen and is_image_suffix(suffix):
                    image_seen = True
                    heads.append(member.head)
                    datas.append(member.data)
                    sizes.append(member.size)
                    labels.append(pending_label)
    as_array = np.asarray
    return ShardIndex(
        as_array(heads, dtype=np.int64),
        as_array(datas, dtype=np.int64),
        as_array(sizes, dtype=np.int64),
        as_array(labels, dtype=np.int32),
    )


def split_name(name: str) -> tuple[str, str]:
    """(stem with its folder, suffix after the first dot of the last part, lower case)."""
    folder, slash, last = name.rpartition("/")
    stem, _, suffix = last.partition(".")
    return folder + slash + stem, suffix.lower()


def walk_members(view: mmap.mmap | bytes, path: Path) -> Iterator[Member]:
    """Regular files in order. A member whose content ends after the file does is yielded last, with its full size."""
    position, total = 0, len(view)
    head: int | None = None
    long_name: str | None = None
    pax_size: int | None = None
    while position + BLOCK <= total:
        block = view[position : position + BLOCK]
        if block.count(0) == BLOCK:
            return
        size = _checked_size(block, path, position)
        kind = block[156:157]
        start = position if head is None else head
        data = position + BLOCK
        if kind == b"L":
            long_name = view[data : data + size].rstrip(b"\0").decode("utf-8", "surrogateescape")
            head = start
        elif kind == b"x":
            fields = parse_pax(view[data : data + size])
            long_name = fields.get("path", long_name)
            pax_size = int(fields["size"]) if "size" in fields else None
            head = start
        else:
            size = size if pax_size is None else pax_size
            if kind in (b"0", b"\0", b"7"):
                yield Member(long_name or header_name(block), start, data, size)
            if kind != b"g":
                head = long_name = pax_size = None
        position = data + -(-size // BLOCK) * BLOCK


def header_name(block: bytes) -> str:
    """The name in a 512-byte header: prefix and name of ustar, the name alone of older forms."""
    name = block[:100].split(b"\0", 1)[0]
    if block[257:263] == b"ustar\0":
        prefix = block[345:500].split(b"\0", 1)[0]
        name = prefix + b"/" + name if prefix else name
    return name.decode("utf-8", "surrogateescape")


def parse_pax(content: bytes) -> dict[str, str]:
    """The `length key=value` records of a pax header."""
    fields: dict[str, str] = {}
    position = 0
    while position < len(content):
        digits, space, _ = content[position : position + 24].partition(b" ")
        if not space or not digits.isdigit():
            break
        length = int(digits)
        record = content[position + len(digits) + 1 : position + length - 1]
        key, _, value = record.partition(b"=")
        fields[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        position += max(length, 1)
    return fields


def _checked_size(block: bytes, path: Path, position: int) -> int:
    """Size field of a header whose checksum is right. Errors: BrokenArtifact."""
    try:
        stored = int(block[148:156].rstrip(b"\0 ").strip() or b"0", 8)
        field = block[124:136]
        size = int.from_bytes(field[1:], "big") if field[0] & 0x80 else int(field.rstrip(b"\0 ").strip() or b"0", 8)
    except ValueError:
        stored, size = -1, 0
    if stored != sum(block) - sum(block[148:156]) + 8 * 32:
        raise BrokenArtifact(
            f"{path} is no uncompressed tar, or is damaged at byte {position}: copy it again, unpack it if it is "
            "compressed, or leave it out"
        )
    return size


def _parse_label(content: bytes) -> int:
    text = content.strip()
    return int(text) if text.isdigit() else NO_LABEL
