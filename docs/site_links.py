"""Site build: a link from a page to a file outside docs/ becomes the file's path, since the site does not hold it."""

from __future__ import annotations

import re
from typing import Any

LINK = re.compile(r"\[([^\]]+)\]\((?:\.\./)+([^)#\s]+)(?:#[^)]*)?\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs event: the page's text before it is rendered."""
    return LINK.sub(_path, markdown)


def _path(link: re.Match[str]) -> str:
    text, target = link[1].strip("`"), link[2].rstrip("/")
    return f"`{target}`" if target.endswith(text) else f"{link[1]} (`{target}`)"
