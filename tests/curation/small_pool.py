"""A small pool of generated pictures in three colours, with a seed set of one of them, for tests of whole steps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from curation import api
from curation.config import CurateConfig

COLOURS = {"red": (210, 40, 30), "green": (30, 170, 60), "blue": (40, 60, 200)}
PER_COLOUR = 12


def picture(colour: str, number: int, side_px: int = 48) -> Image.Image:
    """A picture in shades of one colour; the number alone decides its pattern."""
    rng = np.random.default_rng([list(COLOURS).index(colour), number])
    coarse = rng.uniform(0.3, 1.0, (6, 6, 1)) * np.array(COLOURS[colour])
    return Image.fromarray(coarse.astype(np.uint8)).resize((side_px, side_px), Image.Resampling.BICUBIC)


@dataclass(frozen=True)
class SmallPool:
    """Folders of a pool and a red seed set, and a workspace that knows both."""

    pool: Path
    seed: Path
    workspace: api.Workspace

    def config(self, *overrides: str) -> CurateConfig:
        return self.workspace.config(["engine.kind=local", *overrides])


def make_small_pool(root: Path) -> SmallPool:
    """36 pictures (every third a JPEG), an exact copy, two edited copies, two broken files, and 6 red seed pictures."""
    pool, seed = root / "pool", root / "seed"
    for colour in COLOURS:
        (pool / colour).mkdir(parents=True)
        for number in range(PER_COLOUR):
            ending = "jpg" if number % 3 == 0 else "png"
            picture(colour, number).save(pool / colour / f"{number:02d}.{ending}", quality=95)
    (pool / "again.png").write_bytes((pool / "red/01.png").read_bytes())
    picture("red", 2).resize((40, 40)).save(pool / "small copy, of red 2.jpg")
    picture("blue", 2).save(pool / "blue 2.webp", quality=60)
    (pool / "torn.png").write_bytes((pool / "red/01.png").read_bytes()[:150])
    (pool / "text.jpg").write_text("no picture")
    seed.mkdir()
    for number in range(6):
        picture("red", 100 + number).save(seed / f"{number}.png")
    workspace = api.init(root / "workspace", api.NewWorkspace([str(pool)], {"warm": str(seed)}))
    return SmallPool(pool, seed, workspace)


def curated(root: Path, *overrides: str) -> SmallPool:
    """A small pool that went through ingest, dedup and retrieval by the red seed set."""
    small = make_small_pool(root)
    config = small.config(*overrides)
    with api.open_engine("local") as engine:
        api.ingest(small.workspace, config, engine)
        api.dedup(small.workspace, config, engine)
        api.retrieve(small.workspace, config, ["warm"], engine)
    return small
