from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
import torch

from contracts.errors import ConfigError, MissingInput
from trainer.data.augment.settings import AugmentationSettings
from trainer.data.batch import CropBatch
from trainer.data.loader import BatchLoader, LoaderSettings, build_loader
from trainer.data.masking.settings import MaskingSettings
from trainer.data.open_source import open_source

CROPS = AugmentationSettings(global_px=16, local_px=8, local_crops=2)


def loader(folder: Path, **changes: object) -> BatchLoader:
    values: dict[str, object] = {"batch_size": 4, "patch_px": 4, "augmentation": CROPS, "seed": 3, **changes}
    return build_loader(open_source(folder), LoaderSettings(**values))  # type: ignore[arg-type]


def first(batches: BatchLoader, count: int) -> list[CropBatch]:
    stream: Iterator[CropBatch] = iter(batches)
    return list(islice(stream, count))


def same(one: CropBatch, other: CropBatch) -> bool:
    return (
        torch.equal(one.global_crops, other.global_crops)
        and torch.equal(one.local_crops, other.local_crops)
        and torch.equal(one.masks, other.masks)
        and (one.keys, one.position) == (other.keys, other.position)
    )


def test_shapes_types_and_positions(image_folder: Path) -> None:
    batches = first(loader(image_folder), 3)
    for position, batch in enumerate(batches):
        assert batch.global_crops.shape == (8, 3, 16, 16)
        assert batch.local_crops.shape == (8, 3, 8, 8)
        assert (batch.global_crops.dtype, batch.local_crops.dtype) == (torch.float32, torch.float32)
        assert (batch.masks.shape, batch.masks.dtype) == ((8, 16), torch.bool)
        assert batch.masks.any(1).sum() == 4
        assert len(batch.keys) == 4
        assert batch.position == position
    assert not same(batches[0], batches[1])


def test_crops_are_normalised(image_folder: Path) -> None:
    crops = torch.cat([batch.global_crops for batch in first(loader(image_folder), 5)])
    lowest, highest = -0.485 / 0.229, (1 - 0.406) / 0.225
    assert lowest - 0.01 <= crops.min() < -1
    assert 1 < crops.max() <= highest + 0.01


def test_crop_order_is_crop_major(image_folder: Path) -> None:
    """Without randomness of place or colour, both global crops of an image are alike, and unlike the next image's."""
    plain = CROPS.model_copy(
        update={
            "global_area_fraction": (1.0, 1.0),
            "flip_probability": 0.0,
            "jitter_probability": 0.0,
            "grayscale_probability": 0.0,
            "solarize_probability": 0.0,
            "blur_sigma_px": (0.01, 0.02),
        }
    )
    (batch,) = first(loader(image_folder, augmentation=plain), 1)
    assert torch.equal(batch.global_crops[:4], batch.global_crops[4:])
    assert not torch.equal(batch.global_crops[0], batch.global_crops[1])


def test_every_epoch_meets_every_image_once_across_batch_borders(image_folder: Path) -> None:
    keys = [key for batch in first(loader(image_folder), 9) for key in batch.keys]
    for epoch in range(6):
        assert len(set(keys[6 * epoch : 6 * epoch + 6])) == 6
    assert keys[:6] != keys[6:12]


def test_a_source_smaller_than_the_batch_repeats(image_folder: Path) -> None:
    (batch,) = first(loader(image_folder, batch_size=15), 1)
    assert {batch.keys.count(key) for key in set(batch.keys)} <= {2, 3}
    assert len(set(batch.keys)) == 6


def test_resuming_gives_what_an_uninterrupted_run_gives(image_folder: Path) -> None:
    whole = first(loader(image_folder), 6)
    resumed = first(loader(image_folder, start_position=3), 3)
    assert all(same(one, other) for one, other in zip(whole[3:], resumed, strict=True))


def test_worker_processes_do_not_change_the_stream(image_folder: Path) -> None:
    alone = first(loader(image_folder, start_position=1), 4)
    shared = first(loader(image_folder, start_position=1, workers=2), 4)
    assert all(same(one, other) for one, other in zip(alone, shared, strict=True))


def test_the_global_random_state_is_left_alone(image_folder: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first(loader(image_folder, workers=1), 2)
    assert torch.equal(before, torch.get_rng_state())


def test_ranks_share_the_batch_that_one_rank_would_have(image_folder: Path) -> None:
    whole = first(loader(image_folder, batch_size=4), 3)
    parts = [first(loader(image_folder, batch_size=2, rank=rank, world_size=2), 3) for rank in range(2)]
    for number, batch in enumerate(whole):
        left, right = parts[0][number], parts[1][number]
        assert batch.keys == left.keys + right.keys
        crops, masks = batch.global_crops.view(2, 4, 3, 16, 16), batch.masks.view(2, 4, 16)
        for part, images in ((left, slice(0, 2)), (right, slice(2, 4))):
            assert torch.equal(crops[:, images].flatten(0, 1), part.global_crops)
            assert torch.equal(masks[:, images].flatten(0, 1), part.masks)


def test_other_seeds_give_other_streams(image_folder: Path) -> None:
    one, other = (first(loader(image_folder, seed=seed), 1)[0] for seed in (1, 2))
    assert not torch.equal(one.global_crops, other.global_crops)
    assert not torch.equal(one.masks, other.masks)


def test_no_local_crops_and_no_masks(image_folder: Path) -> None:
    augmentation = CROPS.model_copy(update={"local_crops": 0})
    (batch,) = first(loader(image_folder, augmentation=augmentation, masking=MaskingSettings(probability=0.0)), 1)
    assert batch.local_crops.shape == (0, 3, 8, 8)
    assert not batch.masks.any()


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_images_are_replaced_counted_and_named(image_folder: Path, workers: int) -> None:
    bad = image_folder / "cat" / "1.jpg"
    bad.write_bytes(bad.read_bytes()[:100])
    batches = loader(image_folder, batch_size=6, workers=workers)
    streams = [first(batches, 2), first(loader(image_folder, batch_size=6, start_position=1), 1)]
    assert all(len(batch.keys) == 6 and "cat/1.jpg" not in batch.keys for batch in streams[0])
    assert batches.skipped.count >= 2
    assert set(batches.skipped.reasons) == {"cat/1.jpg"}
    assert "undecodable" in batches.skipped.reasons["cat/1.jpg"]
    assert same(streams[0][1], streams[1][0])


def test_an_image_that_vanished_is_named_too(image_folder: Path) -> None:
    batches = loader(image_folder, batch_size=6)
    (image_folder / "dog" / "5.jpg").unlink()
    first(batches, 1)
    assert "No such file" in batches.skipped.reasons["dog/5.jpg"]


@pytest.mark.parametrize("workers", [0, 1])
def test_nothing_but_bad_images_is_said_in_a_sentence(image_folder: Path, workers: int) -> None:
    for file in image_folder.rglob("*.jpg"):
        file.write_bytes(b"<html>not found</html>")
    with pytest.raises(MissingInput, match=r"^6 images one after another cannot be used"):
        first(loader(image_folder, workers=workers), 1)


def test_a_cut_tar_shard_names_its_last_image(
    tmp_path: Path, image_bytes: Callable[..., bytes], write_tar: Callable[..., Path]
) -> None:
    shard = write_tar(tmp_path / "a.tar", {f"{n}.jpg": image_bytes(n) for n in range(4)})
    shard.write_bytes(shard.read_bytes().rstrip(b"\0")[:-50])
    batches = loader(shard, batch_size=4)
    first(batches, 1)
    assert "cut short" in batches.skipped.reasons["a.tar#3"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"patch_px": 5}, "global crops of 16 px"),
        ({"augmentation": CROPS.model_copy(update={"local_px": 9})}, "local crops of 9 px"),
        ({"rank": 2, "world_size": 2}, "rank 2 of 2"),
        ({"batch_size": 0}, "batch size 0"),
    ],
)
def test_settings_that_do_not_fit_are_refused(image_folder: Path, changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        loader(image_folder, **changes)


def test_gray_images_on_request(image_folder: Path) -> None:
    gray = CROPS.model_copy(update={"channels": 1, "mean": (0.5,), "std": (0.25,)})
    (batch,) = first(loader(image_folder, augmentation=gray), 1)
    assert batch.global_crops.shape == (8, 1, 16, 16)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_that_is_kept_is_never_written_again(image_folder: Path, workers: int) -> None:
    kept, copies = [], []
    for batch in islice(loader(image_folder, workers=workers), 6):
        kept.append(batch.global_crops)
        copies.append(batch.global_crops.clone())
    assert all(torch.equal(one, copy) for one, copy in zip(kept, copies, strict=True))
