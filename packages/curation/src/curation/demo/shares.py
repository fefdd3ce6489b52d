"""How many files of each part a demo folder holds."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.errors import ConfigError
from curation.demo.picture import KINDS

SMALLEST_POOL = 60


@dataclass(frozen=True)
class Shares:
    """Numbers of files."""

    on_topic: int
    off_topic: int
    exact: int
    edited: int
    broken: int
    seed: int
    probe_train_per_kind: int
    probe_test_per_kind: int

    @property
    def pool(self) -> int:
        """Files of the pool."""
        return self.on_topic + self.off_topic + self.exact + self.edited + self.broken


def shares_of(images: int) -> Shares:
    """Parts of a pool of so many files, and the seed and probe sets that go with it. Errors: ConfigError."""
    if images < SMALLEST_POOL:
        raise ConfigError(f"a demo pool of {images} images is too small for its faults: take {SMALLEST_POOL} or more")
    exact, edited, broken, off_topic = images // 25, images // 12, images // 60, images // 5
    return Shares(
        on_topic=images - exact - edited - broken - off_topic,
        off_topic=off_topic,
        exact=exact,
        edited=edited,
        broken=broken,
        seed=images // 8,
        probe_train_per_kind=max(images // 3 // len(KINDS), 4),
        probe_test_per_kind=max(images // 5 // len(KINDS), 4),
    )
