"""Labelled sets of every kind mean the same to evaluations and to a run's probe; those without classes are told."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from contracts.errors import ConfigError, MissingInput
from trainer.evaluate.eval_images import EvalTransform
from trainer.evaluate.labelled_images import open_labelled
from trainer.evaluate.probe import ProbeSettings, labelled_probe
from trainer.models.vision_transformer import VisionTransformer, VitSettings

CLASSES = ("ape", "bee", "cow")
Samples = list[tuple[bytes, int | None]]


def samples(seed: int) -> Samples:
    """Images of three classes that differ a little in colour, in no order."""
    rng = np.random.default_rng(seed)
    made: Samples = []
    for number in range(21):
        label = (5 * number + seed) % 3
        pixels = np.clip(np.eye(3)[label] * 9 + rng.integers(60, 160, (16, 16, 3)), 0, 255).astype(np.uint8)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        made.append((stream.getvalue(), label))
    return made


def as_folders(root: Path, images: Samples) -> Path:
    for number, (data, label) in enumerate(images):
        folder = root if label is None else root / CLASSES[label]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:02}.png").write_bytes(data)
    return root


def as_list(root: Path, images: Samples) -> Path:
    as_folders(root, [(data, None) for data, _ in images])
    listing = root / "images.txt"
    lines = [f"{n:02}.png" + ("" if label is None else f"\t{CLASSES[label]}") for n, (_, label) in enumerate(images)]
    listing.write_text("\n".join(lines))
    return listing


def as_tars(root: Path, images: Samples) -> Path:
    """Two WebDataset shards, with a .cls before the image in one and behind it in the other."""
    root.mkdir()
    for shard in range(2):
        with tarfile.open(root / f"{shard:06}.tar", "w") as tar:
            for number, (data, label) in list(enumerate(images))[shard::2]:
                members = [("png", data)] + ([] if label is None else [("cls", str(label).encode())])
                for suffix, content in members[:: -1 if shard else 1]:
                    info = tarfile.TarInfo(f"{number:02}.{suffix}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    return root


def as_parquet(root: Path, images: Samples, *, named: bool = True) -> Path:
    """As Hugging Face datasets writes it."""
    table: dict[str, list[object]] = {"image": [{"bytes": data, "path": None} for data, _ in images]}
    if images[0][1] is not None:
        table["label"] = [label for _, label in images]
    features = {"info": {"features": {"label": {"names": list(CLASSES), "_type": "ClassLabel"}}}}
    metadata = {"huggingface": json.dumps(features)} if named else None
    root.mkdir()
    pq.write_table(pa.table(table).replace_schema_metadata(metadata), root / "part.parquet", row_group_size=4)
    return root / "part.parquet"


def as_numbers(root: Path, images: Samples) -> Path:
    return as_parquet(root, images, named=False)


KINDS: dict[str, Callable[[Path, Samples], Path]] = {
    "folders": as_folders,
    "list": as_list,
    "tars": as_tars,
    "parquet": as_parquet,
    "parquet without names": as_numbers,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("apart", [True, False], ids=["train and test", "one set"])
def test_the_probe_takes_any_labelled_set(kind: str, apart: bool, tmp_path: Path) -> None:
    """With sets of their own, every kind gives the same accuracies as class folders do."""
    images, asked = samples(0), samples(1)
    data, test = KINDS[kind](tmp_path / "train", images), KINDS[kind](tmp_path / "test", asked)
    train_part, test_part = open_labelled(data, test if apart else None)
    torch.manual_seed(0)
    backbone = VisionTransformer(VitSettings(24, 1, 2, 4, 16, layer_scale=1.0))
    settings = ProbeSettings(k=5, linear_steps=20)
    found = labelled_probe(train_part, test_part, EvalTransform(16, (0.5,) * 3, (0.5,) * 3), settings)(backbone)
    assert set(found) == {"knn_accuracy", "linear_accuracy"}
    if not apart:
        assert len(train_part.indices) + len(test_part.indices) == len(images)
        return
    folders = open_labelled(as_folders(tmp_path / "a", images), as_folders(tmp_path / "b", asked))
    same = labelled_probe(*folders, EvalTransform(16, (0.5,) * 3, (0.5,) * 3), ProbeSettings(k=5))(backbone)
    assert found["knn_accuracy"] == same["knn_accuracy"]
    assert 0.4 < found["knn_accuracy"] < 1, found


@pytest.mark.parametrize("kind", KINDS)
def test_a_set_without_classes_is_told(kind: str, tmp_path: Path) -> None:
    data = KINDS[kind](tmp_path / "set", [(image, None) for image, _ in samples(0)])
    with pytest.raises(MissingInput, match=r"has no classes.*one folder per class.*\.cls"):
        open_labelled(data, None)


def test_sets_of_different_kinds_go_together_where_labels_mean_the_same(tmp_path: Path) -> None:
    """Numbers may end earlier in one of the sets; names must be the same."""
    images = samples(0)
    tars = as_tars(tmp_path / "tars", images)
    fewer = as_numbers(tmp_path / "numbers", [sample for sample in images if sample[1] != 2])
    train, test = open_labelled(tars, fewer)
    assert (len(train.indices), len(test.indices)) == (21, 14)
    assert len(open_labelled(fewer, tars)[0].indices) == 14
    with pytest.raises(ConfigError, match=r"has the classes 0, 1, 2 \(3\) and .* has ape, bee, cow \(3\)"):
        open_labelled(tars, as_folders(tmp_path / "folders", images))
