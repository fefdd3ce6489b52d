"""From JPEG bytes to 2 global and 8 local float32 crops on one thread: ours beside Pillow + torchvision.

    python benchmarks/data_path.py [IMAGE FOLDER] [--images 100] [--rounds 5] [--out FILE.json]

The reference is the official DINOv2 augmentation by torchvision's transforms on Pillow images, with the blur
probabilities that the official code in fact applies. What those transforms run on Pillow images is also run step by
step, without torchvision's own draws and calls; where torchvision is not installed, that is the reference. Every side
makes every crop of every image; rounds alternate, CPU seconds of the process are counted, and the ratio is the median
over the rounds. Without a folder, photograph-like JPEGs of 468 x 401 pixels are generated.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import nn

try:
    from torchvision import transforms
except (ImportError, RuntimeError):  # not installed, or built for another torch
    transforms = None

from trainer.data.augment.compiled import kernels
from trainer.data.augment.settings import BLUR_PROBABILITY, AugmentationSettings
from trainer.data.batch import CropBatch
from trainer.data.decode.image import BadImage, Canvas, decode_image
from trainer.data.loader import LoaderSettings, build_loader
from trainer.data.open_source import open_source
from trainer.data.sources.source import ImageSource, RawSample

BATCH = 20
SETTINGS = AugmentationSettings()
MEAN = torch.tensor(SETTINGS.mean)[:, None, None]
STD = torch.tensor(SETTINGS.std)[:, None, None]


def random_resized_crop(image: Image.Image, size: int, scale: tuple[float, float]) -> Image.Image:
    """torchvision.transforms.RandomResizedCrop, bicubic."""
    width, height = image.size
    left, top, crop_width, crop_height = 0, 0, width, height
    for _ in range(10):
        area = width * height * random.uniform(*scale)
        aspect = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top, crop_width, crop_height = random.randint(0, width - w), random.randint(0, height - h), w, h
            break
    box = (left, top, left + crop_width, top + crop_height)
    return image.crop(box).resize((size, size), Image.Resampling.BICUBIC)


def adjust_hue(image: Image.Image, factor: float) -> Image.Image:
    """torchvision.transforms.functional.adjust_hue of a Pillow image."""
    hue, saturation, value = image.convert("HSV").split()
    shifted = np.array(hue, dtype=np.uint8)
    shifted += np.array(int(factor * 255) % 256, dtype=np.uint8)
    return Image.merge("HSV", (Image.fromarray(shifted), saturation, value)).convert("RGB")


def color_jitter(image: Image.Image) -> Image.Image:
    """torchvision.transforms.ColorJitter(0.4, 0.4, 0.2, 0.1)."""
    for operation in torch.randperm(4).tolist():
        if operation == 0:
            image = ImageEnhance.Brightness(image).enhance(random.uniform(0.6, 1.4))
        elif operation == 1:
            image = ImageEnhance.Contrast(image).enhance(random.uniform(0.6, 1.4))
        elif operation == 2:
            image = ImageEnhance.Color(image).enhance(random.uniform(0.8, 1.2))
        else:
            image = adjust_hue(image, random.uniform(-0.1, 0.1))
    return image


def gaussian_blur(image: Image.Image) -> Image.Image:
    """torchvision.transforms.GaussianBlur(9, (0.1, 2.0)): to a tensor, one depthwise convolution, and back."""
    sigma = random.uniform(0.1, 2.0)
    x = torch.linspace(-4, 4, 9)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    kernel = kernel / kernel.sum()
    weight = torch.outer(kernel, kernel).expand(3, 1, 9, 9)
    tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()[None].to(torch.float32)
    blurred = nn.functional.conv2d(nn.functional.pad(tensor, [4, 4, 4, 4], mode="reflect"), weight, groups=3)
    return Image.fromarray(blurred.round().to(torch.uint8)[0].permute(1, 2, 0).numpy())


def official_crop(image: Image.Image, number: int) -> torch.Tensor:
    """One crop as the official augmentation makes it: geometry, colour, blur, solarisation, ToTensor, Normalize."""
    is_global = number < 2
    area = SETTINGS.global_area_fraction if is_global else SETTINGS.local_area_fraction
    crop = random_resized_crop(image, SETTINGS.global_px if is_global else SETTINGS.local_px, area)
    if random.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if random.random() < 0.8:
        crop = color_jitter(crop)
    if random.random() < 0.2:
        crop = Image.fromarray(np.dstack([np.array(crop.convert("L"))] * 3))
    if random.random() < BLUR_PROBABILITY["released"][min(number, 2)]:
        crop = gaussian_blur(crop)
    if number == 1 and random.random() < 0.2:
        crop = ImageOps.solarize(crop, 128)
    tensor = torch.from_numpy(np.array(crop)).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
    return tensor.clone().sub_(MEAN).div_(STD)


def torchvision_crops() -> list[Callable[[Image.Image], torch.Tensor]]:
    """The official augmentation of each crop by torchvision's own transforms."""
    t = transforms
    crops = []
    for number in range(2 + SETTINGS.local_crops):
        is_global = number < 2
        area = SETTINGS.global_area_fraction if is_global else SETTINGS.local_area_fraction
        size = SETTINGS.global_px if is_global else SETTINGS.local_px
        blurred = BLUR_PROBABILITY["released"][min(number, 2)]
        steps = [
            t.RandomResizedCrop(size, scale=area, interpolation=t.InterpolationMode.BICUBIC),
            t.RandomHorizontalFlip(0.5),
            t.RandomApply([t.ColorJitter(0.4, 0.4, 0.2, 0.1)], 0.8),
            t.RandomGrayscale(0.2),
            t.RandomApply([t.GaussianBlur(9, (0.1, 2.0))], blurred),
        ]
        if number == 1:
            steps.append(t.RandomSolarize(128, 0.2))
        crops.append(t.Compose([*steps, t.ToTensor(), t.Normalize(SETTINGS.mean, SETTINGS.std)]))
    return crops


class ImagesInMemory(ImageSource):
    """The benchmark's images as a source, so that the disk plays no part."""

    def __init__(self, images: Sequence[bytes]) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def read(self, index: int) -> RawSample:
        return RawSample(str(index), self._images[index], None)

    def name(self, index: int) -> str:
        return str(index)

    @property
    def class_names(self) -> None:
        return None

    def describe(self) -> str:
        return f"{len(self)} images in memory"


def torchvision_side(images: Sequence[bytes]) -> None:
    crops = torchvision_crops()
    for data in images:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        for crop in crops:
            crop(image)


def definitions_side(images: Sequence[bytes]) -> None:
    for data in images:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        for number in range(2 + SETTINGS.local_crops):
            official_crop(image, number)


class OurSide:
    """Epoch after epoch of the trainer's own loader: crops, normalised, and the masks too."""

    def __init__(self) -> None:
        self._stream: Iterator[CropBatch] | None = None

    def __call__(self, images: Sequence[bytes]) -> None:
        if self._stream is None:
            settings = LoaderSettings(batch_size=BATCH, patch_px=14, augmentation=SETTINGS)
            self._stream = iter(build_loader(ImagesInMemory(images), settings))
        for _ in islice(self._stream, len(images) // BATCH):
            pass


def pillow_decoding(images: Sequence[bytes]) -> None:
    for data in images:
        Image.open(io.BytesIO(data)).convert("RGB")


def our_decoding(images: Sequence[bytes]) -> None:
    canvas = Canvas()
    for data in images:
        decode_image(data, canvas=canvas)


REFERENCE = "torchvision's definitions" if transforms is None else "Pillow + torchvision"
SIDES: dict[str, Callable[[Sequence[bytes]], None]] = {
    "Pillow decoding": pillow_decoding,
    "our decoding": our_decoding,
    "torchvision's definitions": definitions_side,
    **({} if transforms is None else {"Pillow + torchvision": torchvision_side}),
    "ours": OurSide(),
}


def cpu_seconds(side: Callable[[Sequence[bytes]], None], images: Sequence[bytes]) -> float:
    start = time.process_time()
    side(images)
    return time.process_time() - start


def generated_images(count: int) -> list[bytes]:
    """Smooth shapes with grain, saved at quality 95: about 100 kB each, as ImageNet's photographs have."""
    made = []
    for number in range(count):
        rng = np.random.default_rng(number)
        coarse = Image.fromarray(rng.integers(0, 256, (9, 11, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((468, 401), Image.Resampling.BICUBIC), dtype=np.float32)
        grain = np.repeat(rng.normal(0, 22, (401, 468, 1)), 3, axis=2)
        buffer = io.BytesIO()
        Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=92)
        made.append(buffer.getvalue())
    return made


def read_images(folder: str | None, count: int) -> list[bytes]:
    """Bytes of up to `count` decodable images of a source, spread over it; a whole number of batches."""
    if folder is None:
        return generated_images(count)
    source = open_source(folder)
    images = []
    for index in np.linspace(0, len(source) - 1, min(count, len(source))).astype(int):
        data = source.read(int(index)).data
        try:
            decode_image(data)
        except BadImage:
            continue
        images.append(data)
    return images[: len(images) // BATCH * BATCH]


def measure(images: Sequence[bytes], rounds: int) -> dict[str, object]:
    for side in SIDES.values():
        cpu_seconds(side, images)
    seconds: dict[str, list[float]] = {name: [] for name in SIDES}
    for _ in range(rounds):
        for name, side in SIDES.items():
            seconds[name].append(cpu_seconds(side, images))
    ratios = [a / b for a, b in zip(seconds[REFERENCE], seconds["ours"], strict=True)]
    return {
        "reference": REFERENCE,
        "images_per_cpu_second": {name: len(images) / statistics.median(found) for name, found in seconds.items()},
        "ratio": statistics.median(ratios),
        "ratios": ratios,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="images, any source that `trainer pretrain --data` takes")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "data_path.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    random.seed(0)
    torch.manual_seed(0)
    images = read_images(arguments.folder, arguments.images)
    report = {
        "what": "JPEG to 2 x 224 + 8 x 98 normalised crops, 1 thread",
        "source": "generated" if arguments.folder is None else "given folder",
        "images": len(images),
        "mean_bytes": statistics.mean(len(data) for data in images),
        "compiled_kernels": kernels() is not None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        **measure(images, arguments.rounds),
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    for name, rate in report["images_per_cpu_second"].items():
        print(f"{name:26s} {rate:8.1f} images per CPU-second")
    rounds = ", ".join(f"{ratio:.2f}" for ratio in report["ratios"])
    print(f"ours / {report['reference']}: {report['ratio']:.2f}x (rounds {rounds})")


if __name__ == "__main__":
    main()
