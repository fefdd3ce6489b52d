"""Pictures by key: read where the catalogue says, checked, made small, encoded anew. No path comes from outside."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import numpy as np
import pyarrow as pa

from contracts.errors import MissingInput
from contracts.keys import key_of_bytes
from curation.catalog import unique_images
from curation.decode import BadImage, DecodeLimits, decode_rgb
from curation.decode.small_jpeg import small_jpeg
from curation.explore.keys import Keys, key_array, row_of
from curation.sources.read_bytes import ByteReader

SIDES_PX = (128, 256, 1024)
QUALITY = 82
KEPT_BYTES = 96 << 20


class Pictures:
    """Pictures of the pool and of its seed and reference sets. Any thread may ask."""

    def __init__(self, keys: Keys, uris: pa.Array, sets: Sequence[Path], limits: DecodeLimits) -> None:
        tables = [unique_images(catalog, ()) for catalog in sets]
        self._places = [(keys, uris)] + [
            (key_array(table.column("key")), table.column("uri").combine_chunks()) for table in tables if table.num_rows
        ]
        self._limits = limits
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._bytes = 0
        self._reading, self._keeping = Lock(), Lock()
        self._reader = ByteReader()

    def thumbnail(self, key: str, side_px: int) -> bytes:
        """A JPEG of at most `side_px` (rounded up to one of SIDES_PX). Errors: MissingInput."""
        side = next((side for side in SIDES_PX if side >= side_px), SIDES_PX[-1])
        with self._keeping:
            if found := self._kept.get((key, side)):
                self._kept.move_to_end((key, side))
                return found
        made = small_jpeg(self._decoded(key, side), side, QUALITY)
        self._keep((key, side), made)
        return made

    def _decoded(self, key: str, side: int) -> np.ndarray:
        data = self.original(key)
        try:
            return decode_rgb(data, self._limits, max_side_px=side)
        except BadImage as bad:
            raise MissingInput(f"the picture {key} cannot be decoded any more ({bad})") from None

    def original(self, key: str) -> bytes:
        """The bytes that the key names. Errors: MissingInput when it is unknown, or its bytes are gone or others."""
        for keys, uris in self._places:
            row = row_of(key, keys)
            if row >= 0:
                with self._reading:
                    data = self._reader.read(uris[row].as_py())
                if key_of_bytes(data) == key:
                    return data
        raise MissingInput(f"the picture {key} is not in the catalogue, or its file is gone or has changed since")

    def _keep(self, name: tuple[str, int], made: bytes) -> None:
        with self._keeping:
            if name not in self._kept:
                self._kept[name] = made
                self._bytes += len(made)
            while self._bytes > KEPT_BYTES:
                self._bytes -= len(self._kept.popitem(last=False)[1])
