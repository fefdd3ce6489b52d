"""Images of a part in order, read, decoded and prepared by threads ahead of the model that works on them.

Decoders and resizing release the interpreter lock, so the next images get ready while the model computes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from contracts.keys import key_of_bytes
from curation.decode import BadImage, decode_rgb
from curation.sources.read_bytes import read_bytes

Pixels = NDArray[np.uint8]
Ready = TypeVar("Ready")
CHANGED = "changed: the file is gone or holds other bytes than when it was catalogued"


@dataclass(frozen=True)
class Unusable:
    """An image that cannot be read or decoded any more, and why."""

    reason: str


@dataclass(frozen=True)
class Preparing(Generic[Ready]):
    """How images are made ready. `threads` 0: when they are asked for. `ahead`: images in flight, at most.

    `max_side_px`: the decoder may give a picture reduced to no less than this longer side.
    """

    prepare: Callable[[Pixels], Ready]
    max_side_px: int | None = None
    threads: int = 0
    ahead: int = 32

    def __call__(self, key: str, data: bytes) -> Ready | Unusable:
        """Decode and prepare one image."""
        if key_of_bytes(data) != key:
            return Unusable(CHANGED)
        try:
            return self.prepare(decode_rgb(data, max_side_px=self.max_side_px))
        except BadImage as error:
            return Unusable(str(error))


def prepared_images(
    keys: Sequence[str], uris: Sequence[str], preparing: Preparing[Ready]
) -> Iterator[tuple[str, Ready | Unusable]]:
    """(key, what `prepare` made of its pixels) for each image, in the order of the keys."""
    read = zip(keys, read_bytes(uris), strict=True)
    if preparing.threads < 1:
        for key, data in read:
            yield key, preparing(key, data)
        return
    with ThreadPoolExecutor(preparing.threads) as pool:
        waiting: deque[tuple[str, Future[Ready | Unusable]]] = deque()
        for key, data in read:
            waiting.append((key, pool.submit(preparing, key, data)))
            if len(waiting) > preparing.ahead:
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()
