from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.curation.small_pool import SmallPool, curated

from contracts.dataset_folder import HEADER, read_dataset
from contracts.errors import UserError
from curation import api
from curation.write.upload import UPLOADING, open_filesystem, upload_dataset


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallPool:
    small = curated(tmp_path_factory.mktemp("curated"), "retrieve.per_query=2")
    with api.open_engine("local") as engine:
        api.build(small.workspace, small.config("write.shard_samples=3"), engine)
    return small


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_copy_on_another_file_system_is_whole_and_copied_once(small: SmallPool, tmp_path: Path) -> None:
    target = f"file://{tmp_path}/bucket/set"
    report = upload_dataset(small.workspace.dataset, target)
    assert (report.copied, report.skipped) == (len(content(small.workspace.dataset)), 0)
    assert content(tmp_path / "bucket/set") == content(small.workspace.dataset)
    assert read_dataset(tmp_path / "bucket/set").header.samples == 12
    assert upload_dataset(small.workspace.dataset, target).copied == 0


def test_a_copy_that_broke_off_goes_on(small: SmallPool, tmp_path: Path) -> None:
    target, copy = f"file://{tmp_path}/set", tmp_path / "set"
    upload_dataset(small.workspace.dataset, target)
    (copy / HEADER).rename(copy / UPLOADING)  # no header: unfinished
    (copy / UPLOADING).write_text("{}")
    assert upload_dataset(small.workspace.dataset, target).skipped == 0, "files of an unknown plan are not trusted"
    (copy / "000001.tar").write_bytes(b"cut short")
    assert upload_dataset(small.workspace.dataset, target).copied == 2, "the short file and the header"
    assert content(copy) == content(small.workspace.dataset)


def test_a_smaller_dataset_leaves_no_shard_of_the_larger_one(small: SmallPool, tmp_path: Path) -> None:
    target, copy = f"file://{tmp_path}/set", tmp_path / "set"
    upload_dataset(small.workspace.dataset, target)
    shutil.copy(copy / "000000.tar", copy / "000077.tar")
    (copy / HEADER).unlink()
    upload_dataset(small.workspace.dataset, target)
    assert content(copy) == content(small.workspace.dataset)


@pytest.fixture
def memory_store() -> Iterator[object]:
    import fsspec

    store = fsspec.filesystem("memory")
    yield store
    store.rm("/bucket", recursive=True)


def test_any_fsspec_file_system_is_a_target(small: SmallPool, memory_store: object) -> None:
    report = upload_dataset(small.workspace.dataset, "memory://bucket/set")
    assert report.copied == len(content(small.workspace.dataset))
    filesystem, root = open_filesystem("memory://bucket/set")
    with filesystem.open_input_stream(f"{root}/000000.tar") as stream:
        assert stream.read() == (small.workspace.dataset / "000000.tar").read_bytes()
    assert upload_dataset(small.workspace.dataset, "memory://bucket/set").copied == 0


def test_build_to_an_address_copies_and_says_so(small: SmallPool, tmp_path: Path) -> None:
    target = api.BuildTarget(f"file://{tmp_path}/set")
    with api.open_engine("local") as engine:
        report = api.build(small.workspace, small.config("write.shard_samples=3"), engine, target)
    assert (report.path, report.state) == (f"file://{tmp_path}/set", "unchanged")
    assert report.upload is not None
    assert report.upload.copied > 4
    assert api.verify(tmp_path / "set").problems == []


def test_an_unknown_address_is_one_sentence() -> None:
    with pytest.raises(UserError, match="cannot be opened"):
        open_filesystem("nosuch://bucket/set")
