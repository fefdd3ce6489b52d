"""One worker of the embedding step: reads, decodes, describes and publishes whole parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contracts.embedding_store import EmbeddingWriter
from contracts.keys import key_of_bytes
from curation.decode import BadImage, decode_rgb
from curation.embed.config import EmbedConfig
from curation.embed.embedder import Embedder
from curation.embed.parts import EmbedPart
from curation.embed.table import load_embedder
from curation.sources.read_bytes import read_bytes


@dataclass(frozen=True)
class PartResult:
    """`failed`: (key, reason) of images that could not be read or decoded any more."""

    rows: int
    failed: tuple[tuple[str, str], ...]


def make_worker(spec: str, store_folder: str, settings: EmbedConfig) -> Callable[[EmbedPart], PartResult]:
    """Built once per worker: the model is loaded here."""
    embedder = load_embedder(spec, settings)
    writer = EmbeddingWriter(Path(store_folder), model=spec, dim=embedder.dim)

    def work(part: EmbedPart) -> PartResult:
        return embed_part(part, embedder, writer, settings.batch_images)

    return work


def embed_part(part: EmbedPart, embedder: Embedder, writer: EmbeddingWriter, batch_images: int) -> PartResult:
    """Embed and publish one part. Images that fail are left out and named."""
    keys: list[str] = []
    failed: list[tuple[str, str]] = []
    vectors: list[NDArray[np.float32]] = []
    batch: list[NDArray[np.uint8]] = []
    for key, data in zip(part.keys, read_bytes(part.uris), strict=True):
        if key_of_bytes(data) != key:
            failed.append((key, "changed: the file is gone or holds other bytes than when it was catalogued"))
            continue
        try:
            batch.append(decode_rgb(data, max_side_px=embedder.max_side_px))
        except BadImage as error:
            failed.append((key, str(error)))
            continue
        keys.append(key)
        if len(batch) == batch_images:
            vectors.append(embedder.embed_images(batch))
            batch = []
    if batch:
        vectors.append(embedder.embed_images(batch))
    if keys:
        writer.write_part(part.number, keys, np.concatenate(vectors))
    return PartResult(len(keys), tuple(failed))
