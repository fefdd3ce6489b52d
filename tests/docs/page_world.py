"""What the pages of docs/ name, made small: folders of pictures, tables, archives, vectors, models and finished runs.

Everything is written under the very names that the pages use, so that their commands run as they are typed.
"""

from __future__ import annotations

import io
import json
import runpy
import shutil
import subprocess
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image, ImageFilter

ROOT = Path(__file__).resolve().parents[2]
TINY_RUN = (
    "--steps 2 --set model.arch=vitp4 --set crops.global_px=16 --set crops.local_px=8 --set crops.local_crops=2 "
    "--set heads.dino.prototypes=16 --set heads.dino.hidden_dim=16 --set heads.dino.bottleneck_dim=8 "
    "--set heads.ibot.prototypes=16 --set heads.ibot.hidden_dim=16 --set heads.ibot.bottleneck_dim=8 "
    "--set run.batch_size=4 --set run.log_every_steps=1 --set run.device=cpu --set data.workers=0"
)
"""Two steps of a model of nothing: settings that anyone may give to `trainer pretrain`."""
TINY_DISTILLATION = (
    "--config cpu --steps 2 --set teacher.head_steps=1 --set run.batch_size=4 --set run.device=cpu "
    "--set run.log_every_steps=1 --set data.workers=0"
)


def photograph(rng: np.random.Generator, width: int = 320, height: int = 240) -> Image.Image:
    """A picture with detail of every size, like no other."""
    picture = np.zeros((height, width, 3), np.float32)
    for cells in (3, 12, 60, 240):
        coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        picture += np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32) / 4
    return Image.fromarray(picture.astype(np.uint8))


def jpeg(image: Image.Image) -> bytes:
    """The picture as JPEG bytes."""
    box = io.BytesIO()
    image.save(box, "JPEG", quality=92)
    return box.getvalue()


class PhotographServer:
    """Serves photographs on the loopback address, as the hosts of a crawl do."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        rng = np.random.default_rng(2)
        for number in range(24):
            (folder / f"{number}.jpg").write_bytes(jpeg(photograph(rng)))
        handler = partial(QuietHandler, directory=str(folder))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


class QuietHandler(SimpleHTTPRequestHandler):
    """Does not tell every request."""

    def log_message(self, *words: Any) -> None:
        """Nothing."""


def write_world(here: Path, address: str) -> None:
    """Everything but a workspace, which the pages make themselves. `address`: where photographs are served."""
    rng = np.random.default_rng(0)
    _pools(here, rng)
    _tables(here, rng)
    _laion(here / "path" / "to" / "laion", address)
    _labelled(here, rng)
    _vectors(here)
    _models(here)
    for name in ("pipelines", "docs"):
        (here / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "benchmarks", here / "benchmarks", ignore=shutil.ignore_patterns("results", "__pycache__"))


def write_runs(here: Path, environment: dict[str, str]) -> None:
    """Finished runs by the names of the pages: a pretrained one and two distilled ones, trained for two steps."""
    probe = "--set probe.data=probe/train --set probe.test=probe/test --set probe.every_steps=1"
    commands = (
        f"trainer pretrain --config cpu --data photos --out runs/my-run {TINY_RUN} {probe}",
        f"distill run --student vitp4 --teacher runs/my-run --data photos --out runs/distill-a {TINY_DISTILLATION}",
        f"distill run --student vitp4 --teacher runs/my-run --data photos --out runs/distill-b {TINY_DISTILLATION} "
        "--set optim.lr=2e-3",
    )
    for command in commands:
        done = subprocess.run(command.split(), cwd=here, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    for name in ("NAME", "cifar", "the-same-size-alone"):
        shutil.copytree(here / "runs" / "my-run", here / "runs" / name)
    shutil.copytree(here / "runs" / "distill-a", here / "runs" / "distill-vits14-1a2b3c4d")


def _pools(here: Path, rng: np.random.Generator) -> None:
    """photos/ with copies and faults, the same pool under other names, and seed and reference sets that resemble it."""
    pool = here / "photos"
    pool.mkdir(parents=True)
    pictures = [photograph(rng) for _ in range(40)]
    for number, picture in enumerate(pictures):
        (pool / f"{number:04d}.jpg").write_bytes(jpeg(picture))
    for number, picture in enumerate(pictures[:6]):
        (pool / f"half {number}.jpg").write_bytes(jpeg(picture.resize((160, 120))))
    (pool / "blurred.png").write_bytes(jpeg(pictures[9].filter(ImageFilter.GaussianBlur(25))))
    (pool / "cut short.jpg").write_bytes(jpeg(pictures[8])[:3000])
    (pool / "page.jpg").write_bytes(b"<html>404</html>")
    for name in ("photos", "pool", "imagenet-sample"):
        shutil.copytree(pool, here / "path" / "to" / name)
    (here / "path" / "to" / "imagenet-sample" / "n02011460_bittern.JPEG").write_bytes(jpeg(photograph(rng)))
    seeds = [picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for picture in pictures[10:22]]
    for name in ("path/to/imagenet", "path/to/val", "path/to/birds", "my-birds", "probe/seen"):
        folder = here / name
        folder.mkdir(parents=True)
        for number, picture in enumerate(seeds):
            (folder / f"{number}.jpg").write_bytes(jpeg(picture))
    recipe = yaml.safe_load((ROOT / "pipelines" / "lvd142m.yaml").read_text(encoding="utf-8"))
    for name in {name for step in recipe["steps"] for name in step.get("seeds", ())}:
        shutil.copytree(here / "my-birds", here / "seeds" / name)
    shutil.copy(pool / "0003.jpg", here / "holiday.jpg")


def _tables(here: Path, rng: np.random.Generator) -> None:
    """Archives and tables: WebDataset tars, a table of images, DataComp's layout, LAION's with its downloads."""
    tour: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "tour_files.py"))
    for number in range(100):
        tour["write_tar"](here / "shards" / f"{number:06d}.tar", {"0.jpg": jpeg(photograph(rng, 160, 120))})
    rows = [{"bytes": jpeg(photograph(rng)), "path": f"{number}.jpg"} for number in range(8)]
    pq.write_table(pa.table({"image": rows}), here / "crawl.parquet")
    tour["datacomp"](here / "datacomp", [jpeg(photograph(rng)) for _ in range(5)])
    shutil.move(here / "datacomp" / "subset.npy", here / "basic_filtering.npy")


def _laion(folder: Path, address: str) -> None:
    """Two tables with LAION's columns: photographs that are served, two that are gone, one that is marked unsafe."""
    folder.mkdir(parents=True)
    rows = [
        {"URL": f"{address}/{number}.jpg", "TEXT": f"photograph {number}", "WIDTH": 320, "HEIGHT": 240}
        | {"similarity": 0.3, "punsafe": 0.9 if number == 5 else 0.01}
        for number in range(26)
    ]
    for part in range(2):
        pq.write_table(pa.Table.from_pylist(rows[13 * part : 13 * part + 13]), folder / f"part-{part:05d}.parquet")


def _labelled(here: Path, rng: np.random.Generator) -> None:
    """Labelled images: folders of two classes, and CIFAR's table in the layout of the hub."""

    def picture(label: int) -> Image.Image:
        pixels = rng.integers(0, 120, (32, 32, 3), dtype=np.uint8)
        start = int(rng.integers(2, 26))
        pixels[start : start + 4] = 230
        return Image.fromarray(pixels if label else pixels.transpose(1, 0, 2))

    for name in ("probe/train", "probe/test", "path/to/labelled", "path/to/labelled-test"):
        for label in (0, 1):
            (here / name / f"class {label}").mkdir(parents=True)
            for number in range(12):
                picture(label).save(here / name / f"class {label}" / f"{number}.png")
    for split, count in (("train", 48), ("test", 24)):
        rows = [{"bytes": jpeg(picture(number % 2)), "path": f"{number}.jpg"} for number in range(count)]
        table = pa.table({"image": rows, "label": [number % 2 for number in range(count)]})
        pq.write_table(table, here / "path" / "to" / f"cifar10-{split}.parquet")


def _vectors(here: Path) -> None:
    """clip-retrieval's layout over the pool and over a seed set, and DataComp's `.npz` beside its metadata."""
    rng = np.random.default_rng(1)
    for folder, images in (("clip-embeddings", "photos"), ("imagenet-clip", "path/to/imagenet")):
        names = sorted(path.name for path in (here / images).iterdir())
        (here / folder / "img_emb").mkdir(parents=True)
        (here / folder / "metadata").mkdir()
        np.save(here / folder / "img_emb" / "img_emb_0.npy", rng.standard_normal((len(names), 32)))
        pq.write_table(pa.table({"image_path": names}), here / folder / "metadata" / "metadata_0.parquet")
    (here / "datacomp" / "metadata").mkdir()
    names = sorted(path.name for path in (here / "photos").iterdir())
    vectors = rng.standard_normal((len(names), 16)).astype(np.float16)
    np.savez(here / "datacomp" / "metadata" / "0.npz", l14_img=vectors, b32_img=vectors)
    pq.write_table(pa.table({"image_path": names}), here / "datacomp" / "metadata" / "0.parquet")


def _models(here: Path) -> None:
    """Models with random weights: DINOv2 as the hub has it and as published, and a TorchScript file."""
    import torch
    from transformers import Dinov2Config, Dinov2Model

    from trainer.models.sizes import build_vit

    torch.manual_seed(0)
    size = SimpleNamespace(hidden_size=64, num_hidden_layers=4, num_attention_heads=1)
    prepare = {
        "size": {"shortest_edge": 32},
        "crop_size": {"height": 28, "width": 28},
        "do_center_crop": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.25, 0.25, 0.25],
    }
    for name in ("facebook/dinov2-small", "facebook/dinov2-large", "path/to/dinov2-large"):
        model = Dinov2Model(Dinov2Config(**vars(size), image_size=28, patch_size=14))
        model.save_pretrained(here / name)
        (here / name / "preprocessor_config.json").write_text(json.dumps(prepare), encoding="utf-8")
    released = build_vit("vits14", image_size=98, registers=4)
    torch.save(released.state_dict(), here / "dinov2_vits14_reg4_pretrain.pth")
    pool = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 32, 32), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    script = torch.jit.trace(pool, torch.zeros(1, 3, 320, 320))
    (here / "models").mkdir()
    for place in ("sscd_disc_mixup.torchscript.pt", "models/sscd_disc_mixup.torchscript.pt"):
        script.save(str(here / place))

    predictor = {f"layers.{n}.weight": torch.randn(w, v) for n, v, w in ((0, 32, 16), (2, 16, 1))}
    biases = {f"layers.{n}.bias": torch.randn(w) for n, w in ((0, 16), (2, 1))}
    torch.save(predictor | biases, here / "sac+logos+ava1-l14-linearMSE.pth")
