"""Linear segmentation: scores from counts, learning what the tokens hold, folders of images and masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from contracts.errors import BrokenArtifact, ConfigError, MissingInput
from trainer.evaluate.eval_images import EvalTransform
from trainer.evaluate.evaluate_model import EvaluationRequest, evaluate_model
from trainer.evaluate.mask_images import open_masked, read_masked
from trainer.evaluate.segmentation import (
    DenseTable,
    SegmentationSettings,
    confusion_matrix,
    score_of,
    segmentation_score,
)
from trainer.export.model_folder import ModelDescription, export_model
from trainer.models.vision_transformer import VisionTransformer, VitSettings

QUICK = SegmentationSettings(steps=120, batch_size=8, lr=0.05)


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """A bright square (class 1) on a dark ground (class 0), with a strip that is not counted."""
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (tmp_path / "scenes" / part).mkdir(parents=True)
    for i in range(20):
        top, left = rng.integers(0, 4, 2) * 4
        mask = np.zeros((24, 24), dtype=np.uint8)
        mask[top : top + 12, left : left + 12] = 1
        picture = np.where(mask[..., None] == 1, 200, 50) + rng.integers(-20, 20, (24, 24, 3))
        mask[:, 20:] = 255
        Image.fromarray(picture.astype(np.uint8)).save(tmp_path / "scenes" / "images" / f"{i}.jpg")
        Image.fromarray(mask).save(tmp_path / "scenes" / "masks" / f"{i}.png")
    return tmp_path / "scenes"


def test_scores_of_known_counts() -> None:
    masks = torch.tensor([[[0, 0], [1, 255]]], dtype=torch.uint8)
    predicted = torch.tensor([[[0, 1], [1, 1]]])
    confusion = confusion_matrix(predicted, masks, classes=3)
    assert confusion.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    score = score_of(confusion)
    assert score.mean_iou == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert score.pixel_accuracy == pytest.approx(2 / 3)
    assert score.classes == 2


def table(count: int, seed: int, informative: bool) -> DenseTable:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 3, (count, 4, 4), generator=generator)
    patches = torch.randn(count, 16, 6, generator=generator)
    if informative:
        patches[..., :3] += 4 * nn.functional.one_hot(coarse.flatten(1), 3)
    masks = coarse.repeat_interleave(4, 1).repeat_interleave(4, 2).to(torch.uint8)
    return DenseTable(patches, masks)


def test_what_the_tokens_hold_is_found_and_nothing_else() -> None:
    good = segmentation_score(table(40, 1, True), table(20, 2, True), QUICK)
    blind = segmentation_score(table(40, 1, False), table(20, 2, False), QUICK)
    assert good.mean_iou > 0.6
    assert blind.mean_iou < 0.3
    assert good == segmentation_score(table(40, 1, True), table(20, 2, True), QUICK)


def test_masks_that_count_nothing_are_told() -> None:
    empty = table(4, 1, True)
    empty.masks.fill_(255)
    with pytest.raises(MissingInput, match="no pixel"):
        segmentation_score(empty, empty, QUICK)


def test_masks_of_one_class_are_told() -> None:
    """As of binary masks that were saved as 0 and 255."""
    one = table(4, 1, True)
    one.masks.clamp_(max=1).mul_(255)
    with pytest.raises(MissingInput, match=r"have the class 0.*two classes or more"):
        segmentation_score(one, one, QUICK)


def test_a_whole_evaluation(scenes: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    backbone = VisionTransformer(VitSettings(24, 1, 2, 4, 24, layer_scale=1.0))
    folder = export_model(nn.ModuleDict({"backbone": backbone}), ModelDescription("v", "dinov2"), tmp_path / "m")
    report = evaluate_model(EvaluationRequest(folder, scenes, tasks=("segmentation",)))
    assert report["images"] == {"train": 10, "test": 10}
    assert report["table"]["header"] == ["", "mIoU (%)", "pixels right (%)"]
    assert report["results"]["raw pixels"]["segmentation"]["mean_iou"] > 0.8
    assert report["results"]["model"]["segmentation"]["classes"] == 2
    with pytest.raises(ConfigError, match="evaluate it alone"):
        evaluate_model(EvaluationRequest(folder, scenes, tasks=("segmentation", "knn")))
    for file in (scenes / "images").iterdir():
        if file.stem != "0":
            file.unlink()
    with pytest.raises(MissingInput, match="holds one image: add more"):
        evaluate_model(EvaluationRequest(folder, scenes, tasks=("segmentation",)))


def test_masks_keep_their_numbers_when_resized(scenes: Path) -> None:
    pairs = open_masked(scenes)
    image, mask = read_masked(pairs, 0, EvalTransform(12, (0.5,) * 3, (0.5,) * 3))
    assert image.shape == (3, 12, 12)
    assert set(mask.unique().tolist()) == {0, 1, 255}


def test_what_is_missing_or_broken_is_told(scenes: Path) -> None:
    with pytest.raises(MissingInput, match="no folder images"):
        open_masked(scenes / "images")
    pairs, transform = open_masked(scenes), EvalTransform(8, (0.5,) * 3, (0.5,) * 3)
    wrong = {
        r"is a colour picture.*grey or palette PNG": np.zeros((24, 24, 3), dtype=np.uint8),
        r"has 24 x 12 px and .*0\.jpg has 24 x 24": np.zeros((12, 24), dtype=np.uint8),
        r"holds the number 1000: classes go from 0 to 254": np.full((24, 24), 1000, dtype=np.uint16),
    }
    for words, mask in wrong.items():
        Image.fromarray(mask).save(pairs.masks[0])
        with pytest.raises(BrokenArtifact, match=words):
            read_masked(pairs, 0, transform)
    pairs.masks[0].write_bytes(b"no mask")
    with pytest.raises(BrokenArtifact, match=r"the mask .*0\.png cannot be read"):
        read_masked(pairs, 0, transform)
    pairs.images[0].write_bytes(b"no image")
    with pytest.raises(BrokenArtifact, match=r"0\.jpg cannot be read \(undecodable: cannot identify image file\)"):
        read_masked(pairs, 0, transform)
    (scenes / "masks" / "3.png").unlink()
    with pytest.raises(MissingInput, match=r"has no mask: wanted .*3\.png"):
        open_masked(scenes)
