"""The uri of an image: `path`, `archive#member` or `table#row`.

Paths stay readable: only `%`, `#`, control characters (a newline in a name) and bytes that are not UTF-8 are written
as %XX of their bytes. Everything else, spaces, commas, quotes, emoji, stands as it is.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes

_TO_ESCAPE = re.compile(r"[%#\x00-\x1f\x7f\udc80-\udcff]")


def escape(name: str) -> str:
    """A file or member name as part of a uri."""
    return _TO_ESCAPE.sub(lambda match: "".join(f"%{byte:02X}" for byte in os.fsencode(match[0])), name)


def unescape(text: str) -> str:
    """The name that `escape` was given."""
    return os.fsdecode(unquote_to_bytes(text.encode("utf-8")))


def file_uri(path: Path | str) -> str:
    """Uri of a file of its own."""
    return escape(str(path))


def member_uri(container: Path | str, member: str | int) -> str:
    """Uri of a member of a tar archive, or of a row of a table."""
    return f"{escape(str(container))}#{escape(str(member))}"


def split_uri(uri: str) -> tuple[str, str | None]:
    """(path, None) of a file, or (container path, member name or row number as text)."""
    path, mark, member = uri.partition("#")
    return unescape(path), unescape(member) if mark else None
