"""Linear segmentation: one linear layer on frozen patch tokens, scored by mean intersection over union.

Dimensions: M images, h x h patches, D width, K classes, S side in px.
Source: DINOv2 (arXiv 2304.07193), section 7.4 (linear protocol: batch normalisation and a 1x1 convolution on the patch
tokens, logits upsampled). Differs: features are computed once, without augmentation and at one scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from contracts.errors import MissingInput
from trainer.evaluate.eval_images import EvalTransform
from trainer.evaluate.features import Embed
from trainer.evaluate.mask_images import IGNORED, MaskedImages, read_masked
from trainer.evaluate.watch import Watch, unwatched


@dataclass(frozen=True)
class SegmentationSettings:
    """AdamW steps, images per step, learning rate and seed."""

    steps: int = 500
    batch_size: int = 16
    lr: float = 1e-3
    weight_decay: float = 1e-3
    seed: int = 0


@dataclass(frozen=True)
class SegmentationScore:
    """Mean intersection over union over the classes that occur, share of right pixels, number of those classes."""

    mean_iou: float
    pixel_accuracy: float
    classes: int


@dataclass(frozen=True)
class DenseTable:
    """Patch tokens and masks. Shapes: patches [M, h * h, D], masks uint8 [M, S, S]."""

    patches: Tensor
    masks: Tensor


@torch.inference_mode()
def dense_features(
    pairs: MaskedImages,
    transform: EvalTransform,
    embed: Embed,
    batch_size: int = 16,
    device: str = "cpu",
    watch: Watch = unwatched,
) -> DenseTable:
    """Patch tokens of all images. `embed` gives [B, h * h, D]."""
    patches, masks = [], []
    starts = range(0, len(pairs.images), batch_size)
    for start in watch(starts, len(pairs.images), "images with masks", lambda _: batch_size):
        stop = min(start + batch_size, len(pairs.images))
        read = [read_masked(pairs, index, transform) for index in range(start, stop)]
        images = transform.normalised(torch.stack([image for image, _ in read]).to(device))
        patches.append(embed(images).float().cpu())
        masks += [mask.to(torch.uint8) for _, mask in read]
    return DenseTable(torch.cat(patches).clone(), torch.stack(masks))


def segmentation_score(train: DenseTable, test: DenseTable, settings: SegmentationSettings) -> SegmentationScore:
    """Train the linear layer on `train` and score it on `test`.

    Errors: MissingInput when no pixel of a set has a class, or all those to learn from have the same one.
    """
    learned, asked = (torch.unique(table.masks[table.masks != IGNORED]) for table in (train, test))
    if not len(learned) or not len(asked):
        raise MissingInput("no pixel of the masks has a class: 255 stands for pixels that are not counted")
    if len(learned) == 1:
        raise MissingInput(
            f"all pixels of the training masks have the class {int(learned[0])}, and any model is right then: wanted "
            "two classes or more (255 stands for pixels that are not counted, so masks of 0 and 255 have one)"
        )
    K = int(max(learned.max(), asked.max())) + 1
    head = _train(train, K, settings)
    confusion = torch.zeros(K, K, dtype=torch.int64)
    for rows in _runs(len(test.masks), settings.batch_size):
        logits = _logits(head, test.patches[rows], test.masks.shape[-1])
        confusion += confusion_matrix(logits.argmax(1), test.masks[rows], K)
    return score_of(confusion)


def score_of(confusion: Tensor) -> SegmentationScore:
    """Scores from counts of pixels. Shapes: [K true, K predicted]."""
    right = confusion.diagonal().double()
    union = confusion.sum(0) + confusion.sum(1) - confusion.diagonal()
    occurs = confusion.sum(1) > 0
    iou = right[occurs] / union[occurs]
    return SegmentationScore(float(iou.mean()), float(right.sum() / confusion.sum()), int(occurs.sum()))


def confusion_matrix(predicted: Tensor, masks: Tensor, classes: int) -> Tensor:
    """Pixels by true and predicted class, ignored ones left out. Shapes: [B, S, S] each -> [K, K]."""
    counted = masks != IGNORED
    pairs = masks[counted].long() * classes + predicted[counted]
    return torch.bincount(pairs, minlength=classes**2).view(classes, classes)


def _train(train: DenseTable, classes: int, settings: SegmentationSettings) -> nn.Module:
    generator = torch.Generator().manual_seed(settings.seed)
    D = train.patches.shape[-1]
    norm, linear = nn.BatchNorm1d(D, affine=False), nn.Linear(D, classes)
    with torch.no_grad():
        linear.weight.copy_(0.01 * torch.randn(classes, D, generator=generator))
        linear.bias.zero_()
    head = nn.Sequential(norm, linear)
    optimizer = torch.optim.AdamW(linear.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    with torch.enable_grad():
        for _ in range(settings.steps):
            rows = torch.randint(len(train.masks), (settings.batch_size,), generator=generator)
            logits = _logits(head, train.patches[rows], train.masks.shape[-1])
            masks = train.masks[rows].long()
            loss = F.cross_entropy(logits, masks, ignore_index=IGNORED, reduction="sum")
            optimizer.zero_grad()
            torch.autograd.backward(loss / (masks != IGNORED).sum().clamp_min(1))
            optimizer.step()
            schedule.step()
    return head.eval()


def _logits(head: nn.Module, patches: Tensor, side: int) -> Tensor:
    """Class scores of every pixel. Shapes: [B, h * h, D] -> [B, K, S, S]."""
    B, N, D = patches.shape
    h = round(N**0.5)
    coarse = head(patches.reshape(B * N, D)).view(B, h, h, -1).permute(0, 3, 1, 2)
    return F.interpolate(coarse, size=(side, side), mode="bilinear", align_corners=False)


def _runs(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))
