"""Write the demo images: a pool with planted faults, a seed set, a labelled probe set, and the truth about them.

<out>/pool/roll-NN/img-NNNNN.*   what is curated     <out>/seed/img-NNNNN.*         what it should look like
<out>/probe/{train,test}/<kind>/ labelled, disjoint  <out>/truth.json               what was planted where
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from contracts.errors import UserError
from contracts.publish import publish_json
from curation.demo.files import DemoFile, DemoFiles
from curation.demo.picture import KINDS
from curation.demo.shares import shares_of
from curation.demo.truth import TRUTH_FILE, VERSION, DemoTruth, PlantedCopy, read_truth

POOL, SEED, PROBE_TRAIN, PROBE_TEST = "pool", "seed", "probe/train", "probe/test"
_ROLL_FILES = 500


def make_demo_images(out: Path, *, seed: int = 0, images: int = 3000, image_px: int = 64) -> DemoTruth:
    """Make the folder, or return its truth if it is there already with the same settings and all its files.

    The folder appears whole, by one rename.
    Errors: UserError where `out` holds something else, ConfigError for a tiny pool.
    """
    files = DemoFiles(seed, shares_of(images), image_px)
    known = _finished(out)
    asked = (VERSION, seed, images, image_px)
    if known and (known.version, known.seed, known.images, known.image_px) == asked and _is_whole(out, known):
        return known
    if known is None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there and holds no demo images: remove it or give another folder")
    # Not contracts.publish.draft: to sync thousands of small files takes longer than to draw them once more.
    half_made = out.with_name(out.name + ".half-made")
    for leftover in (half_made, out):
        if leftover.is_dir():
            shutil.rmtree(leftover)
    truth = _write(half_made, files)
    half_made.rename(out)
    return truth


def _finished(out: Path) -> DemoTruth | None:
    return read_truth(out) if (out / TRUTH_FILE).is_file() else None


def _is_whole(out: Path, truth: DemoTruth) -> bool:
    """Are there as many files as were written? (Somebody may have tidied up.)"""
    wanted = truth.pool_files() + truth.seed_images + truth.probe_train_images + truth.probe_test_images
    found = sum(path.is_file() for part in (POOL, SEED, PROBE_TRAIN, PROBE_TEST) for path in (out / part).rglob("*"))
    return found == wanted


def _write(out: Path, files: DemoFiles) -> DemoTruth:
    parts: dict[str, dict[str, str]] = {"on_topic": {}, "off_topic": {}, "broken": {}}
    copies: dict[str, dict[str, PlantedCopy]] = {"exact_copies": {}, "edited_copies": {}}
    names: list[str] = []
    for position, file in zip(files.pool_order(), files.pool(), strict=True):
        name = f"roll-{position // _ROLL_FILES + 1:02d}/img-{position:05d}{file.ending}"
        names.append(name)
        _put(out / POOL / name, file.data)
        if file.part in parts:
            parts[file.part][name] = file.kind
        else:
            copies[file.part][name] = PlantedCopy(original=names[file.original], edit=file.kind)
    truth = DemoTruth(
        seed=files.seed,
        images=len(names),
        image_px=files.image_px,
        kinds=KINDS,
        **parts,
        **copies,
        seed_images=_write_flat(out / SEED, files.seed_set()),
        probe_train_images=_write_by_kind(out / PROBE_TRAIN, files.probe(test=False)),
        probe_test_images=_write_by_kind(out / PROBE_TEST, files.probe(test=True)),
    )
    publish_json(out / TRUTH_FILE, truth.model_dump(mode="json"))
    return truth


def _write_flat(folder: Path, files: Iterable[DemoFile]) -> int:
    count = 0
    for count, file in enumerate(files, start=1):
        _put(folder / f"img-{count:05d}{file.ending}", file.data)
    return count


def _write_by_kind(folder: Path, files: Iterable[DemoFile]) -> int:
    count = 0
    for count, file in enumerate(files, start=1):
        _put(folder / file.kind / f"img-{count:05d}{file.ending}", file.data)
    return count


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
