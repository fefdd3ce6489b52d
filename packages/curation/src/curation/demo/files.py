"""Every file of a demo folder as a pure function of the seed, its part and its number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.demo.broken_files import BROKEN_KINDS, broken_file
from curation.demo.edits import EDIT_KINDS, edited
from curation.demo.encode import encode_file
from curation.demo.off_topic import OFF_TOPIC_KINDS, draw_off_topic
from curation.demo.picture import KINDS, draw_picture
from curation.demo.shares import Shares

# One stream of random numbers for each part of the folder.
_ON_TOPIC, _OFF_TOPIC, _EDITS, _BROKEN, _SEED, _TRAIN, _TEST, _CHOICE = range(8)


@dataclass(frozen=True)
class DemoFile:
    """Bytes of one file. `part` names a field of DemoTruth; `original` is the number of an on-topic file or -1."""

    part: str
    kind: str
    ending: str
    data: bytes
    original: int = -1


class DemoFiles:
    """The files of one folder: same seed, shares and side, same bytes."""

    def __init__(self, seed: int, shares: Shares, image_px: int) -> None:
        self.seed, self.shares, self.image_px = seed, shares, image_px
        choice = self._rng(_CHOICE, 0)
        weights = np.linspace(1.5, 0.5, len(KINDS))
        self._kinds = choice.choice(choice.permutation(len(KINDS)), shares.on_topic, p=weights / weights.sum())
        self._originals = choice.permutation(shares.on_topic)[: shares.exact + shares.edited]
        self._order = choice.permutation(shares.pool)

    def pool_order(self) -> NDArray[np.int64]:
        """Position of each pool file among the names, so that names tell nothing."""
        return self._order

    def pool(self) -> Iterator[DemoFile]:
        """Every file of the pool, part by part; the on-topic ones come first."""
        s = self.shares
        for number in range(s.on_topic):
            kind, _, ending, data = self._on_topic(number)
            yield DemoFile("on_topic", kind, ending, data)
        for number in range(s.off_topic):
            kind, rng = OFF_TOPIC_KINDS[number % len(OFF_TOPIC_KINDS)], self._rng(_OFF_TOPIC, number)
            yield DemoFile("off_topic", kind, *encode_file(draw_off_topic(kind, rng, self.image_px), rng))
        for original in self._originals[: s.exact]:
            _, _, ending, data = self._on_topic(original)
            yield DemoFile("exact_copies", "none", ending, data, int(original))
        for number, original in enumerate(self._originals[s.exact :]):
            edit, rng = EDIT_KINDS[number % len(EDIT_KINDS)], self._rng(_EDITS, number)
            picture = edited(edit, self._on_topic(original)[1], rng)
            yield DemoFile("edited_copies", edit, *encode_file(picture, rng), int(original))
        for number in range(s.broken):
            kind, rng = BROKEN_KINDS[number % len(BROKEN_KINDS)], self._rng(_BROKEN, number)
            picture = draw_picture(KINDS[number % len(KINDS)], rng, self.image_px)
            yield DemoFile("broken", kind, *broken_file(kind, picture, rng))

    def seed_set(self) -> Iterator[DemoFile]:
        """Pictures like the on-topic ones, in equal parts, without labels."""
        yield from self._labelled(_SEED, "seed", self.shares.seed)

    def probe(self, test: bool) -> Iterator[DemoFile]:
        """Labelled pictures, in equal parts."""
        s = self.shares
        count = s.probe_test_per_kind if test else s.probe_train_per_kind
        yield from self._labelled(_TEST if test else _TRAIN, "probe", count * len(KINDS))

    def _labelled(self, stream: int, part: str, count: int) -> Iterator[DemoFile]:
        for number in range(count):
            kind, rng = KINDS[number % len(KINDS)], self._rng(stream, number)
            yield DemoFile(part, kind, *encode_file(draw_picture(kind, rng, self.image_px), rng))

    def _on_topic(self, number: int) -> tuple[str, NDArray[np.uint8], str, bytes]:
        kind, rng = KINDS[self._kinds[number]], self._rng(_ON_TOPIC, number)
        picture = draw_picture(kind, rng, self.image_px)
        return kind, picture, *encode_file(picture, rng)

    def _rng(self, stream: int, number: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, stream, number])
