"""Small pictures inside a page: `data:` addresses, so that the page is one file that works anywhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from curation.decode import BadImage, decode_rgb
from curation.decode.small_jpeg import small_jpeg
from curation.sources.read_bytes import read_bytes

SIDE_PX = 112
QUALITY = 72


def thumbnails(uris: Mapping[str, str]) -> dict[str, str]:
    """Address of a thumbnail by key; images that cannot be read any more have none. Input: uri by key."""
    keys = sorted(uris, key=lambda key: uris[key])
    found = {}
    for key, data in zip(keys, read_bytes(uris[key] for key in keys), strict=True):
        try:
            jpeg = small_jpeg(decode_rgb(data, max_side_px=SIDE_PX), SIDE_PX, QUALITY)
        except BadImage:
            continue
        found[key] = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
    return found
