"""A loader that starts at a saved position gives the batches of one that never stopped, whatever holds the images."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.trainer.data.sources.test_tar_shards import dataset

from trainer.data.augment.settings import AugmentationSettings
from trainer.data.batch import CropBatch
from trainer.data.loader import LoaderSettings, build_loader
from trainer.data.open_source import open_source

IMAGES, BATCHES = 7, 6  # batches of 3: the stream ends and begins anew in the middle of a batch
CROPS = AugmentationSettings(global_px=16, local_px=8, local_crops=2)


def image_folder(place: Path, images: list[bytes], _write_tar: Callable[..., Path]) -> Path:
    for number, data in enumerate(images):
        file = place / ("cat" if number % 2 else "dog") / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return place


def file_list(place: Path, images: list[bytes], write_tar: Callable[..., Path]) -> Path:
    files = sorted(image_folder(place / "images", images, write_tar).rglob("*.jpg"))
    listed = place / "list.txt"
    listed.write_text("".join(f"{file}\n" for file in files))
    return listed


def tars(place: Path, images: list[bytes], write_tar: Callable[..., Path]) -> str:
    place.mkdir()
    write_tar(place / "part-0.tar", {f"{n}.jpg": data for n, data in enumerate(images[:3])})
    write_tar(place / "part-1.tar", {f"{n}.jpeg": data for n, data in enumerate(images[3:])})
    return f"{place}/part-{{0..1}}.tar"


def parquet(place: Path, images: list[bytes], _write_tar: Callable[..., Path]) -> Path:
    place.mkdir()
    table = pa.table({"image": [{"bytes": data, "path": None} for data in images]})
    pq.write_table(table.slice(0, 4), place / "train-0.parquet", row_group_size=2)
    pq.write_table(table.slice(4), place / "train-1.parquet", row_group_size=2)
    return place


KINDS = {"folder": image_folder, "list": file_list, "tars": tars, "parquet": parquet, "dataset": dataset}


def batches(spec: Path | str, start: int, workers: int) -> list[CropBatch]:
    settings = LoaderSettings(
        batch_size=3, patch_px=4, augmentation=CROPS, seed=3, start_position=start, workers=workers
    )
    return list(islice(iter(build_loader(open_source(spec), settings)), BATCHES - start))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("workers", "starts"), [(0, range(BATCHES)), (2, (4,))])
def test_the_stream_goes_on_where_it_was(
    tmp_path: Path,
    image_bytes: Callable[..., bytes],
    write_tar: Callable[..., Path],
    kind: str,
    workers: int,
    starts: range | tuple[int, ...],
) -> None:
    images = [image_bytes(number) for number in range(IMAGES - 1)] + [image_bytes(9)[:200]]  # the last is cut short
    spec = KINDS[kind](tmp_path / "data", images, write_tar)
    whole = batches(spec, 0, 0)
    met = [key for batch in whole for key in batch.keys]
    assert len(met) == 3 * BATCHES
    assert len(set(met)) == IMAGES - 1
    for start in starts:
        resumed = batches(spec, start, workers)
        assert len(resumed) == BATCHES - start
        for one, other in zip(whole[start:], resumed, strict=True):
            assert torch.equal(one.global_crops, other.global_crops)
            assert torch.equal(one.local_crops, other.local_crops)
            assert torch.equal(one.masks, other.masks)
            assert (one.keys, one.position, one.crop_numbers) == (other.keys, other.position, other.crop_numbers)
