"""What is painted: kept in the run folder, the same for the same model, without a draw from the run's generator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from contracts.errors import MissingInput
from trainer.data.open_source import open_source
from trainer.evaluate.eval_images import EvalTransform
from trainer.models.vision_transformer import VisionTransformer, VitSettings
from trainer.pictures.folder import ATTENTION, COMPONENTS, PictureFolder
from trainer.pictures.painter import NEAREST, Painter, PainterSettings, spread


def backbone(seed: int) -> VisionTransformer:
    torch.manual_seed(seed)
    model = VisionTransformer(VitSettings(16, 2, 2, patch_size=4, image_size=8, layer_scale=1.0))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def painter(images: Path, folder: Path, shown: int = 3, gallery: int = 20) -> Painter:
    large, small = (EvalTransform(side, (0.5,) * 3, (0.5,) * 3) for side in (16, 8))
    source = open_source(str(images))
    return Painter(source, large, small, PictureFolder(folder), PainterSettings(shown, gallery))


def test_pictures_are_kept_step_by_step(labelled_images: Path, tmp_path: Path) -> None:
    paint, folder = painter(labelled_images, tmp_path / "pictures"), PictureFolder(tmp_path / "pictures")
    assert folder.steps() == []
    strips = paint(backbone(1), 0)
    assert {name: strip.shape[:2] for name, strip in strips.items()} == {
        "images": (112, 3 * 112),
        "components": (112, 3 * 112),
        "attention": (112, 3 * 112),
        "neighbours": (3 * 112, (1 + NEAREST) * 112),
    }
    for number in range(3):  # a row of neighbours begins with the image itself
        row = strips["neighbours"][112 * number : 112 * (number + 1)]
        assert np.array_equal(row[:, :112], strips["images"][:, 112 * number : 112 * (number + 1)])
        assert len({row[:, 112 * n : 112 * (n + 1)].tobytes() for n in range(1 + NEAREST)}) == 1 + NEAREST
    paint(backbone(2), 30)
    assert folder.steps() == [0, 30]
    assert [tile.shape for tile in folder.tiles(30, COMPONENTS)] == [(4, 4, 3)] * 3
    assert [tile.shape for tile in folder.tiles(30, ATTENTION)] == [(4, 4)] * 3
    assert not np.array_equal(folder.tiles(0, ATTENTION)[0], folder.tiles(30, ATTENTION)[0])
    near = folder.neighbours(30)
    assert [len(found) for found in near] == [NEAREST] * 3
    assert all(found == sorted(found, key=lambda pair: -pair[1]) for found in near)
    tiles = folder.gallery([place for place, _ in near[0]])
    assert all(tile.shape == (56, 56, 3) for tile in tiles.values())
    assert len({tile.tobytes() for tile in tiles.values()}) == NEAREST


def test_the_same_model_gives_the_same_files_and_draws_nothing(labelled_images: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        before = torch.get_rng_state()
        model = backbone(1)
        state = torch.get_rng_state()
        painter(labelled_images, tmp_path / name)(model, 5)
        assert torch.equal(torch.get_rng_state(), state)
        torch.set_rng_state(before)
    files = [file.relative_to(tmp_path / "a") for file in sorted((tmp_path / "a").rglob("*")) if file.is_file()]
    assert len(files) == 6
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


def test_an_image_is_not_its_own_neighbour_and_a_gallery_is_not_needed(labelled_images: Path, tmp_path: Path) -> None:
    paint = painter(labelled_images, tmp_path / "all", shown=24, gallery=24)
    paint(backbone(1), 0)
    near = PictureFolder(tmp_path / "all").neighbours(0)
    assert all(number not in [place for place, _ in found] for number, found in enumerate(near))
    paint = painter(labelled_images, tmp_path / "none", gallery=0)
    paint(backbone(1), 0)
    assert PictureFolder(tmp_path / "none").neighbours(0) == [[], [], []]
    assert PictureFolder(tmp_path / "none").gallery([0]) == {}


def test_a_run_that_goes_on_keeps_its_pictures_and_other_images_begin_anew(
    labelled_images: Path, tmp_path: Path
) -> None:
    folder = PictureFolder(tmp_path / "pictures")
    painter(labelled_images, folder.root)(backbone(1), 0)
    (folder.root / "step_00000007.draft-1-abc").mkdir()
    painter(labelled_images, folder.root)(backbone(1), 7)
    assert folder.steps() == [0, 7]
    assert not list(folder.root.glob("*.draft-*"))
    painter(labelled_images, folder.root, shown=2)(backbone(1), 9)
    assert folder.steps() == [9]
    assert len(folder.images()) == len(folder.tiles(9, COMPONENTS)) == 2


def test_images_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "broken.png").write_bytes(b"no picture")
    with pytest.raises(MissingInput, match="none of 1 images to paint"):
        painter(tmp_path / "images", tmp_path / "pictures")(backbone(1), 0)


def test_images_are_spread_over_the_source() -> None:
    assert spread(100, 4).tolist() == [0, 25, 50, 75]
    assert spread(3, 8).tolist() == [0, 1, 2]
