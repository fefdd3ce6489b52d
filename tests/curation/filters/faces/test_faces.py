"""Faces: found where they are, blurred there and nowhere else, and every derived image leads back to its original."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from tests.curation.filters.faces.onnx_file import BOX_PX, FACE_PX, MAGENTA, write_detector
from tests.curation.filters.pictures import sharp

from contracts.errors import BrokenArtifact, MissingInput
from contracts.keys import key_of_bytes
from contracts.publish import sha256_file
from curation import api
from curation.explain.in_words import explanation_lines
from curation.filters.faces.blur import blurred
from curation.filters.faces.detector import FaceDetector

PLACES = {"none": [], "one": [(1, 1)], "two": [(0, 0), (2, 3)]}


def people(seed: int, faces: list[tuple[int, int]]) -> np.ndarray:
    """A picture of 160 x 128 px with magenta faces at (row, column) of a grid of 32 px."""
    image = sharp(seed, 160, 128)
    for row, column in faces:
        image[row * FACE_PX : (row + 1) * FACE_PX, column * FACE_PX : (column + 1) * FACE_PX] = MAGENTA
    return image


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_detector(tmp_path_factory.mktemp("detector") / "magenta.onnx")


@pytest.fixture
def workspace(tmp_path: Path) -> api.Workspace:
    pool = tmp_path / "pool"
    pool.mkdir()
    for number, (name, faces) in enumerate(PLACES.items()):
        Image.fromarray(people(number, faces)).save(pool / f"{name}.png")
        Image.fromarray(people(10 + number, faces)).save(pool / f"{name}.jpg", quality=98, subsampling=0)
    made = api.init(tmp_path / "workspace", api.NewWorkspace([str(pool)], {"own": str(tmp_path / "seed")}))
    with api.open_engine("local") as engine:
        api.ingest(made, made.config(), engine)
    return made


@pytest.fixture(autouse=True)
def seed(tmp_path: Path) -> Path:
    (tmp_path / "seed").mkdir()
    Image.fromarray(people(20, [(1, 2)])).save(tmp_path / "seed" / "person.png")
    return tmp_path / "seed"


def settings(workspace: api.Workspace, **faces: Any) -> None:
    values = yaml.safe_load(workspace.settings.read_text())
    workspace.settings.write_text(yaml.safe_dump({**values, "filters": {"faces": faces}}))


def build(workspace: api.Workspace) -> api.BuildReport:
    with api.open_engine("local") as engine:
        return api.build(workspace, workspace.config(), engine)


def members(workspace: api.Workspace) -> dict[str, bytes]:
    found = {}
    for shard in sorted(workspace.dataset.glob("*.tar")):
        with tarfile.open(shard) as tar:
            found |= {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    return found


def key_of(workspace: api.Workspace, name: str) -> str:
    return key_of_bytes((workspace.root.parent / "pool" / name).read_bytes())


def test_boxes_are_in_pixels_of_the_picture(detector: Path) -> None:
    found = FaceDetector(str(detector), 0.8)
    margin = (BOX_PX - FACE_PX) / 2
    boxes = found.find(people(0, [(2, 3)]))
    assert boxes.tolist() == [[3 * 32 - margin, 2 * 32 - margin, BOX_PX, BOX_PX]]
    # A larger picture is reduced to 640 px and its boxes are scaled back.
    large = np.kron(people(0, [(2, 3)]), np.ones((8, 8, 1), np.uint8))
    assert large.shape == (1024, 1280, 3)
    reduced = np.kron(people(0, [(0, 0)])[:32, :32], np.ones((2, 2, 1), np.uint8))
    large[256:320, 512:576] = reduced
    small = found.find(large)
    assert [512 - 2 * margin, 256 - 2 * margin, 2 * BOX_PX, 2 * BOX_PX] in small.tolist()
    assert len(found.find(people(0, []))) == 0


def test_faces_are_gone_and_the_rest_is_untouched() -> None:
    image = people(0, [(1, 1)])
    box = np.array([[24, 24, 48, 48]], np.float32)
    out = blurred(image, box)
    reach = int(np.ceil(0.2 * np.hypot(48, 48))) + 1
    outside = np.ones(image.shape[:2], bool)
    outside[24 - reach : 72 + reach, 24 - reach : 72 + reach] = False
    assert (out[outside] == image[outside]).all()
    stripes = image.copy()
    stripes[24:72, 24:72] = (np.arange(48) % 6 < 3)[None, :, None] * np.uint8(255)
    inside = blurred(stripes, box)[32:64, 32:64].astype(int)
    assert np.abs(np.diff(inside, axis=1)).max() <= 12
    at_the_edge = blurred(image, np.array([[-20, -20, 60, 60], [150, 120, 30, 30]], np.float32))
    assert at_the_edge.shape == image.shape


def test_pictures_of_people_are_dropped_with_their_count(workspace: api.Workspace, detector: Path) -> None:
    settings(workspace, mode="drop", model=str(detector))
    with api.open_engine("local") as engine:
        report = api.filter_images(workspace, workspace.config(), engine)
    assert report.filters.by_filter["faces"] == 4
    lines = explanation_lines(api.explain(workspace, key_of(workspace, "two.png")))
    assert "OUT: filtered: faces 2 above 0 (step filter)" in lines[0]
    assert any("faces 2" in line for line in lines if "measured" in line)
    settings(workspace, mode="drop", model=str(detector), allowed=1)
    with api.open_engine("local") as engine:
        report = api.filter_images(workspace, workspace.config(), engine)
    assert (report.filters.by_filter["faces"], report.filters.scored_now) == (2, {"faces": 0})


def test_blurred_images_have_their_own_key_and_name_their_original(workspace: api.Workspace, detector: Path) -> None:
    settings(workspace, mode="blur", model=str(detector))
    report = build(workspace)
    assert (report.samples, dict(report.flow)["with blurred faces"]) == (6, 4)
    assert api.verify(workspace.dataset).problems == []
    inside = members(workspace)
    for name, faces in PLACES.items():
        for ending in ("png", "jpg"):
            original = key_of(workspace, f"{name}.{ending}")
            if not faces:
                assert f"{original}.{ending}" in inside
                continue
            assert f"{original}.{ending}" not in inside
            told = [json.loads(data) for member, data in inside.items() if member.endswith(".json")]
            (mine,) = [one for one in told if one.get("original_key") == original]
            assert mine["faces_blurred"] == len(faces)
            assert mine["uri"].endswith(f"pool/{name}.{ending}")
            data = inside[f"{mine['key']}.{ending}"]
            assert key_of_bytes(data) == mine["key"] != original
            pixels = np.asarray(Image.open(io.BytesIO(data)))
            assert len(FaceDetector(str(detector), 0.95).find(pixels)) < len(faces)
            for key in (original, mine["key"]):
                (found,) = api.explain(workspace, key)
                assert (found.key, found.derived["key"]) == (original, mine["key"])  # type: ignore[index]
                text = "\n".join(explanation_lines([found]))
                assert f"blurred: in the dataset it is the derived image {mine['key']}" in text
                assert "IN: unique" in text and "in the dataset: shard 0" in text


def test_the_same_bytes_whatever_was_looked_at_before(workspace: api.Workspace, detector: Path, tmp_path: Path) -> None:
    settings(workspace, mode="blur", model=str(detector))
    build(workspace)
    first = {file.name: sha256_file(file) for file in sorted(workspace.dataset.iterdir())}
    assert build(workspace).state == "unchanged"
    shutil.rmtree(workspace.faces)
    shutil.rmtree(workspace.dataset)
    # An earlier dataset of fewer images leaves other parts; a killed one leaves drafts.
    held = tmp_path / "pool" / "two.png"
    held.rename(tmp_path / "two.png")
    shutil.rmtree(workspace.catalog)
    with api.open_engine("local") as engine:
        api.ingest(workspace, workspace.config(), engine)
        build(workspace)
        (tmp_path / "two.png").rename(held)
        api.ingest(workspace, workspace.config(), engine)
    (folder,) = workspace.faces.iterdir()
    (folder / "part-00009.parquet.draft-1-x").write_bytes(b"half")
    build(workspace)
    assert len(list(folder.iterdir())) == 2
    assert {file.name: sha256_file(file) for file in sorted(workspace.dataset.iterdir())} == first
    rows = pq.read_table(folder / "part-00000.parquet", columns=["original_key", "faces"]).num_rows
    assert rows == 5

    settings(workspace, mode="off")
    assert dict(build(workspace).flow).get("with blurred faces") is None
    assert not workspace.derived.exists()
    assert f"{key_of(workspace, 'two.png')}.png" in members(workspace)


def test_seed_images_are_blurred_as_well_and_twins_become_one(
    workspace: api.Workspace, detector: Path, tmp_path: Path, seed: Path
) -> None:
    Image.fromarray(people(2, PLACES["two"])).save(tmp_path / "pool" / "twin of two.bmp")
    settings(workspace, mode="blur", model=str(detector))
    with api.open_engine("local") as engine:
        api.ingest(workspace, workspace.config(), engine)
        config = workspace.config(["retrieve.as_is=true", "retrieve.mode=none"])
        api.retrieve(workspace, config, ["own"], engine)
    report = build(workspace)
    assert dict(report.flow)["the same once faces are blurred"] == 1
    assert report.samples == dict(report.flow)["written"] == 7
    told = [json.loads(data) for member, data in members(workspace).items() if member.endswith(".json")]
    own = key_of_bytes((seed / "person.png").read_bytes())
    assert [one["origin"] for one in told if one.get("original_key") == own] == ["seed"]
    assert api.verify(workspace.dataset).problems == []


def test_a_detector_that_is_missing_or_broken_is_told_with_where_to_get_one(
    workspace: api.Workspace, tmp_path: Path
) -> None:
    settings(workspace, mode="blur")
    with pytest.raises(MissingInput, match=r"face_detection_yunet.*github\.com/opencv/opencv_zoo"):
        build(workspace)
    settings(workspace, mode="drop", model=str(tmp_path / "gone.onnx"))
    with pytest.raises(MissingInput, match=r"no face detector .*gone\.onnx"), api.open_engine("local") as engine:
        api.filter_images(workspace, workspace.config(), engine)
    (tmp_path / "text.onnx").write_text("no network")
    settings(workspace, mode="blur", model=str(tmp_path / "text.onnx"))
    with pytest.raises(BrokenArtifact, match="no YuNet detector"):
        build(workspace)
