"""Scores by a linear head over stored embeddings, such as an aesthetic predictor over CLIP vectors.

Dimensions: N images, D width of the embeddings, K outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.embedding_store import EmbeddingStore
from contracts.errors import BrokenArtifact, MissingInput, UserError
from contracts.publish import sha256_file
from curation.filters.config import HeadFilter
from curation.filters.scores.score import Score, write_scores


@dataclass(frozen=True)
class LinearHead:
    """Shapes: weight float32 [D]."""

    weight: NDArray[np.float32]
    bias: float


@dataclass(frozen=True)
class VectorPart:
    """Images whose vectors lie in one part of the store (`position`)."""

    number: int
    keys: tuple[str, ...]
    position: int


def head_score(asked: HeadFilter, store: EmbeddingStore) -> Score:
    """Check a head against the store that it reads. Errors: MissingInput, BrokenArtifact, UserError (shapes)."""
    head = read_head(asked)
    if len(head.weight) != store.dim:
        raise UserError(
            f"the filter {asked.name!r}: {asked.head} is for vectors of width {len(head.weight)} and "
            f"{asked.embeddings} gives {store.dim}: name the embedder that the head was trained on"
        )
    return Score(
        name=asked.name,
        bounds=asked.bounds,
        version=f"head {sha256_file(Path(asked.head))} output {asked.output or 0}, vectors {store.config_sha256}",
        about={"head": Path(asked.head).name, "embeddings": store.model},
        cut=partial(_cut, store=store),
        make_worker=partial(make_worker, store, head),
    )


def read_head(asked: HeadFilter) -> LinearHead:
    """The chosen output of a safetensors file. Errors: MissingInput, BrokenArtifact, UserError."""
    file = Path(asked.head)
    if not file.is_file():
        raise MissingInput(f"the filter {asked.name!r}: there is no head file {file}")
    tensors = _tensors(file)
    weight = _one(tensors, "weight", file)
    weight = weight.reshape(1, -1) if weight.ndim == 1 else weight
    bias = _one(tensors, "bias", file).reshape(-1) if any(_is(name, "bias") for name in tensors) else None
    if weight.ndim != 2 or (bias is not None and len(bias) != len(weight)):
        shapes = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in sorted(tensors.items()))
        raise UserError(
            f"{file} holds {shapes} where one linear layer was wanted: weight [outputs, width], bias [outputs]"
        )
    if asked.output is None and len(weight) > 1:
        raise UserError(
            f"the filter {asked.name!r}: {file} has {len(weight)} outputs: choose one with `output`, from 0"
        )
    output = asked.output or 0
    if output >= len(weight):
        raise UserError(f"the filter {asked.name!r}: {file} has {len(weight)} outputs, so there is no output {output}")
    return LinearHead(weight[output], 0.0 if bias is None else float(bias[output]))


def _tensors(file: Path) -> dict[str, NDArray[np.float32]]:
    try:
        from safetensors.numpy import load_file
    except ImportError:
        raise UserError(
            f"reading {file} needs safetensors and it is not installed: install winnow-curation[models]"
        ) from None
    try:
        return {name: np.asarray(tensor, np.float32) for name, tensor in load_file(file).items()}
    except Exception as error:  # safetensors raises its own class, which derives from Exception alone
        detail = str(error).splitlines()[0]
        raise BrokenArtifact(f"{file} is not a readable safetensors file ({detail})") from None


def _one(tensors: dict[str, NDArray[np.float32]], what: str, file: Path) -> NDArray[np.float32]:
    found = sorted(name for name in tensors if _is(name, what))
    if len(found) != 1:
        held = ", ".join(sorted(tensors)) or "nothing"
        raise UserError(
            f"{file} has {len(found)} tensors called {what!r} (it holds {held}) where one linear layer was wanted"
        )
    return tensors[found[0]]


def _is(name: str, what: str) -> bool:
    return name.rpartition(".")[2] == what


def _cut(images: pa.Table, store: EmbeddingStore) -> Sequence[VectorPart]:
    """The wanted images by part of the store."""
    wanted = images.column("key").combine_chunks()
    parts: list[VectorPart] = []
    for position in range(store.parts):
        keys = store.part_keys(position)
        keys = keys.filter(pc.is_in(keys, value_set=wanted))
        if len(keys):
            parts.append(VectorPart(len(parts), tuple(sorted(keys.to_pylist())), position))
    return parts


def make_worker(store: EmbeddingStore, head: LinearHead, folder: str) -> Callable[[VectorPart], int]:
    """Built once per worker."""

    def work(part: VectorPart) -> int:
        rows = pc.index_in(pa.array(part.keys, pa.string()), value_set=store.part_keys(part.position)).to_numpy()
        # In float64, so that the order of additions (and with it the number of threads) does not show in float32.
        vectors = np.asarray(store.part_vectors(part.position)[rows], np.float64)
        values = vectors @ head.weight.astype(np.float64) + head.bias
        return write_scores(folder, part, values.astype(np.float32).tolist())

    return work
