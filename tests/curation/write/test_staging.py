from __future__ import annotations

from pathlib import Path

import pytest

from contracts.dataset_folder import HEADER
from contracts.errors import UserError
from curation.write.staging import recover, staging_folder, take_place


def folder(path: Path, text: str, *, whole: bool = True) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "000000.tar").write_text(text)
    if whole:
        (path / HEADER).write_text("{}")
    return path


def content(path: Path) -> str:
    return (path / "000000.tar").read_text()


def test_the_new_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    final = folder(tmp_path / "data [1]", "old")
    staged = folder(staging_folder(final, "plan-b"), "new")
    assert content(final) == "old"
    take_place(staged, final)
    assert content(final) == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["data [1]"]


def test_building_the_same_plan_goes_on_and_another_plan_begins_anew(tmp_path: Path) -> None:
    final = tmp_path / "dataset"
    first = folder(staging_folder(final, "plan-a"), "half", whole=False)
    (first / "000001.tar.draft-7-abc").write_text("torn")
    assert staging_folder(final, "plan-a") == first
    assert [p.name for p in first.iterdir()] == ["000000.tar"]
    other = staging_folder(final, "plan-b")
    assert not first.exists()
    assert list(other.iterdir()) == []


def test_a_kill_between_the_two_renames_is_mended(tmp_path: Path) -> None:
    final = tmp_path / "dataset"
    folder(tmp_path / "dataset.replaced", "old")
    folder(tmp_path / "dataset.building-plan-b", "new")
    recover(final)
    assert content(final) == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["dataset"]


def test_the_old_folder_comes_back_when_no_new_one_is_whole(tmp_path: Path) -> None:
    final = tmp_path / "dataset"
    folder(tmp_path / "dataset.replaced", "old")
    folder(tmp_path / "dataset.building-plan-b", "half", whole=False)
    recover(final)
    assert content(final) == "old"


def test_a_kill_before_the_old_folder_was_removed_keeps_the_new_one(tmp_path: Path) -> None:
    final = folder(tmp_path / "dataset", "new")
    folder(tmp_path / "dataset.replaced", "old")
    recover(final)
    assert content(final) == "new"
    assert not (tmp_path / "dataset.replaced").exists()


def test_a_place_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UserError, match="cannot be written"):
        staging_folder(tmp_path / "file" / "dataset", "a" * 64)
