"""Copy detectors that can be had here, each as: describe every image, then score pairs. Optional ones say when missing.

Every tool gets the same bytes through the same decoder, so the numbers differ by the descriptor alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from copy_scores import ScoredPairs

from curation.decode import decode_rgb
from curation.embed.table import load_embedder
from curation.index.join import self_join
from curation.index.plan import plan_index
from curation.ingest.phash import phash

Tool = Callable[[Sequence[bytes]], ScoredPairs]
# Pairs below these are never asked for; micro-AP counts them as missed.
LOWEST_COSINE = 0.25
HIGHEST_DISTANCE = {64: 16, 256: 96}


def embedder_tool(spec: str) -> tuple[Tool, float | None]:
    """An embedder of the table, a model folder or a TorchScript file, and its own threshold."""
    embedder = load_embedder(spec)

    def describe(images: Sequence[bytes]) -> ScoredPairs:
        vectors = np.concatenate(
            [embedder.embed_images([decode_rgb(data, max_side_px=embedder.max_side_px)]) for data in images]
        ).astype(np.float16)
        plan = plan_index(len(images), embedder.dim, "exact")
        pairs = self_join(vectors, LOWEST_COSINE, plan, odd_dims=embedder.odd_dims)
        return ScoredPairs(pairs.a, pairs.b, pairs.cosine)

    return describe, embedder.default_threshold


def sha256_tool(images: Sequence[bytes]) -> ScoredPairs:
    """Equal bytes."""
    names = np.array([hashlib.sha256(data).hexdigest() for data in images])
    a, b = np.nonzero(np.triu(names[:, None] == names[None, :], 1))
    return ScoredPairs(a, b, np.ones(len(a)))


def phash_tool(images: Sequence[bytes]) -> ScoredPairs:
    """The 64-bit DCT hash of the catalogue."""
    hashes = np.array([phash(decode_rgb(data)) for data in images], np.uint64)
    bits = np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1)
    return _nearest_bits([bits], HIGHEST_DISTANCE[64])


def pdq_tool(images: Sequence[bytes]) -> ScoredPairs:
    """PDQ (Facebook's 256-bit hash), all eight orientations; needs the package pdqhash."""
    import pdqhash

    turned = [pdqhash.compute_dihedral(decode_rgb(data))[0] for data in images]
    return _nearest_bits([np.array([one[k] for one in turned], np.uint8) for k in range(8)], HIGHEST_DISTANCE[256])


def _nearest_bits(orientations: Sequence[np.ndarray], limit: int) -> ScoredPairs:
    """Pairs within a Hamming distance, the best over orientations of one side. Shapes: uint8 0 or 1 [N, bits] each."""
    base = orientations[0].astype(np.float32)
    best = np.full((len(base), len(base)), limit + 1, np.float32)
    for bits in orientations:
        other = bits.astype(np.float32)
        distance = base.sum(axis=1)[:, None] + other.sum(axis=1)[None, :] - 2 * base @ other.T
        np.minimum(best, distance, out=best)
    best = np.minimum(best, best.T)
    a, b = np.nonzero(np.triu(best <= limit, 1))
    return ScoredPairs(a, b, -best[a, b])


TOOLS: dict[str, Callable[[], tuple[Tool, float | None]]] = {
    "descriptor": lambda: embedder_tool("descriptor"),
    "sha256": lambda: (sha256_tool, 0.5),
    "phash": lambda: (phash_tool, -10.5),
    "pdq": lambda: (pdq_tool, -31.5),
}
