"""Files that call themselves pictures and are none: what every crawl contains."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

# A picture to be cut short, random numbers -> bytes.
Breaker = Callable[[NDArray[np.uint8], np.random.Generator], bytes]


def broken_file(kind: str, picture: NDArray[np.uint8], rng: np.random.Generator) -> tuple[str, bytes]:
    """File ending and bytes of one of BROKEN_KINDS; `picture` is what a truncated file began with."""
    ending, make = BROKEN[kind]
    return ending, make(picture, rng)


def _cut_short(ending: str) -> Breaker:
    def cut(picture: NDArray[np.uint8], rng: np.random.Generator) -> bytes:
        _, data = cv2.imencode(ending, picture[..., ::-1])
        whole = data.tobytes()
        return whole[: int(len(whole) * rng.uniform(0.4, 0.7))]

    return cut


def _nothing(_picture: NDArray[np.uint8], _rng: np.random.Generator) -> bytes:
    return b""


def _web_page(_picture: NDArray[np.uint8], rng: np.random.Generator) -> bytes:
    number = int(rng.integers(0, 1 << 30))
    return f"<!DOCTYPE html><html><body><h1>404 Not Found</h1><p>request {number}</p></body></html>\n".encode()


def _bomb(_picture: NDArray[np.uint8], rng: np.random.Generator) -> bytes:
    """A PNG of a few bytes whose header announces gigapixels."""
    side = int(rng.integers(60_000, 90_000))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(64))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _random_bytes(_picture: NDArray[np.uint8], rng: np.random.Generator) -> bytes:
    return rng.bytes(int(rng.integers(500, 3000)))


BROKEN: dict[str, tuple[str, Breaker]] = {
    "bomb": (".png", _bomb),
    "cut-jpeg": (".jpg", _cut_short(".jpg")),
    "cut-png": (".png", _cut_short(".png")),
    "no-bytes": (".jpg", _nothing),
    "random-bytes": (".webp", _random_bytes),
    "web-page": (".jpg", _web_page),
}
BROKEN_KINDS = tuple(BROKEN)
