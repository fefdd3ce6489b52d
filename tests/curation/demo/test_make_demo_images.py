from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contracts.errors import ConfigError, UserError
from curation.decode import BadImage, decode_rgb
from curation.demo.broken_files import BROKEN_KINDS
from curation.demo.edits import EDIT_KINDS
from curation.demo.make_demo_images import make_demo_images
from curation.demo.off_topic import OFF_TOPIC_KINDS
from curation.demo.picture import KINDS
from curation.demo.truth import DemoTruth, read_truth

IMAGES = 360


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DemoTruth]:
    folder = tmp_path_factory.mktemp("demo") / "images"
    return folder, make_demo_images(folder, images=IMAGES, image_px=32)


def test_every_pool_file_is_accounted_for_once(made: tuple[Path, DemoTruth]) -> None:
    folder, truth = made
    parts = [truth.on_topic, truth.off_topic, truth.exact_copies, truth.edited_copies, truth.broken]
    named = [name for part in parts for name in part]
    found = {str(path.relative_to(folder / "pool")) for path in (folder / "pool").rglob("*") if path.is_file()}
    assert len(named) == len(set(named)) == truth.pool_files() == IMAGES
    assert set(named) == found
    assert read_truth(folder) == truth


def test_all_kinds_of_faults_are_planted(made: tuple[Path, DemoTruth]) -> None:
    _, truth = made
    assert set(truth.broken.values()) == set(BROKEN_KINDS)
    assert set(truth.off_topic.values()) == set(OFF_TOPIC_KINDS)
    assert {copy.edit for copy in truth.edited_copies.values()} == set(EDIT_KINDS)
    assert set(truth.on_topic.values()) == set(truth.kinds) == set(KINDS)


def test_exact_copies_have_the_bytes_of_their_original_and_edited_ones_do_not(made: tuple[Path, DemoTruth]) -> None:
    folder, truth = made
    digest = digests(folder / "pool")
    for name, copy in truth.exact_copies.items():
        assert copy.original in truth.on_topic
        assert digest[name] == digest[copy.original]
    for name, copy in truth.edited_copies.items():
        assert copy.original in truth.on_topic
        assert digest[name] != digest[copy.original]
    assert len(set(digest.values())) >= IMAGES - len(truth.exact_copies) - len(truth.broken)


def test_exactly_the_broken_files_do_not_decode(made: tuple[Path, DemoTruth]) -> None:
    folder, truth = made
    for path in (path for path in folder.rglob("*") if path.suffix in (".jpg", ".png", ".webp")):
        name = str(path.relative_to(folder / "pool")) if folder / "pool" in path.parents else ""
        if name in truth.broken:
            with pytest.raises(BadImage):
                decode_rgb(path.read_bytes())
        else:
            height, width, _ = decode_rgb(path.read_bytes()).shape
            assert (height, width) == (32, 32) or name in truth.edited_copies


def test_probe_and_seed_share_no_picture_with_the_pool(made: tuple[Path, DemoTruth]) -> None:
    folder, truth = made
    parts = [set(digests(folder / part).values()) for part in ("pool", "seed", "probe/train", "probe/test")]
    assert sum(len(part) for part in parts) == len(set().union(*parts))
    assert [len(part) for part in parts[1:]] == [
        truth.seed_images,
        truth.probe_train_images,
        truth.probe_test_images,
    ]
    for part in ("train", "test"):
        assert sorted(path.name for path in (folder / "probe" / part).iterdir()) == list(KINDS)


def test_the_seed_decides_the_bytes(tmp_path: Path) -> None:
    make_demo_images(tmp_path / "a", images=60, image_px=32)
    make_demo_images(tmp_path / "b", images=60, image_px=32)
    make_demo_images(tmp_path / "c", images=60, image_px=32, seed=1)
    first, same, other = (digests(tmp_path / name) for name in "abc")
    assert first == same
    assert set(first.values()).isdisjoint(set(other.values()) - {hashlib.sha256(b"").hexdigest()})


def test_a_finished_folder_is_left_alone_and_a_damaged_one_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    truth = make_demo_images(folder, images=60, image_px=32)
    before = digests(folder)
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert make_demo_images(folder, images=60, image_px=32) == truth
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times
    next((folder / "pool").rglob("*.jpg")).unlink()
    make_demo_images(folder, images=60, image_px=32)
    assert digests(folder) == before
    make_demo_images(folder, images=72, image_px=32)
    assert read_truth(folder).images == 72


def test_a_folder_with_other_files_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(UserError, match="holds no demo images"):
        make_demo_images(tmp_path, images=60)
    assert (tmp_path / "holiday.jpg").read_bytes() == b"mine"


def test_a_tiny_pool_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="too small"):
        make_demo_images(tmp_path / "images", images=59)


@pytest.mark.faults
def test_a_killed_generator_leaves_nothing_that_counts_as_finished(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from curation.demo.make_demo_images import make_demo_images as make;"
    )
    script += "make(Path(sys.argv[1]), images=240, image_px=32)"
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    with subprocess.Popen([sys.executable, "-c", script, str(killed)]) as process:
        while process.poll() is None and not list((tmp_path / "killed.half-made").glob("pool/*/*")):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not killed.exists()
    for folder in (killed, whole):
        make_demo_images(folder, images=240, image_px=32)
    assert digests(killed) == digests(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "whole"]
