from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import BrokenArtifact, MissingInput
from trainer.data.sources.files import open_file_list, open_image_folder
from trainer.data.sources.text_pool import TextPool


def test_class_folders_give_labels(image_folder: Path) -> None:
    source = open_image_folder(image_folder)
    assert source.class_names == ("cat", "dog")
    assert [source.read(i).label for i in range(6)] == [0, 0, 0, 1, 1, 1]
    assert source.read(4).key == "dog/4.jpg"
    assert source.read(4).data == (image_folder / "dog" / "4.jpg").read_bytes()


def test_an_image_beside_the_folders_means_no_classes(image_folder: Path) -> None:
    (image_folder / "stray.png").write_bytes(b"x")
    (image_folder / "notes.txt").write_text("not an image")
    (image_folder / ".hidden.jpg").write_bytes(b"x")
    source = open_image_folder(image_folder)
    assert len(source) == 7
    assert (source.class_names, source.read(0).label) == (None, None)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="no images"):
        open_image_folder(tmp_path)


def test_a_list_with_names_numbers_or_no_labels(image_folder: Path, tmp_path: Path) -> None:
    listing = tmp_path / "list.txt"
    listing.write_text(f"# a comment\nimages/dog/3.jpg\tdog\n\n{image_folder}/cat/0.jpg\tcat\n")
    source = open_file_list(listing)
    assert source.class_names == ("cat", "dog")
    assert [source.read(i).label for i in range(2)] == [1, 0]
    assert source.read(1).data == (image_folder / "cat" / "0.jpg").read_bytes()
    listing.write_text("images/dog/3.jpg\t5\nimages/cat/0.jpg\t2\n")
    assert [open_file_list(listing).read(i).label for i in range(2)] == [5, 2]
    listing.write_text("images/dog/3.jpg\n")
    assert open_file_list(listing).class_names is None


def test_a_list_half_labelled_or_empty_is_refused(tmp_path: Path) -> None:
    listing = tmp_path / "list.txt"
    listing.write_text("a.jpg\tcat\nb.jpg\n")
    with pytest.raises(BrokenArtifact, match="1 labels for 2 paths"):
        open_file_list(listing)
    listing.write_text("# nothing\n")
    with pytest.raises(MissingInput, match="lists no image"):
        open_file_list(listing)


def test_a_listed_file_that_is_gone_is_an_error_of_that_file(tmp_path: Path) -> None:
    listing = tmp_path / "list.txt"
    listing.write_text("gone.jpg\n")
    with pytest.raises(OSError, match=r"gone\.jpg"):
        open_file_list(listing).read(0)


def test_the_text_pool_returns_what_it_was_given() -> None:
    texts = ["", "a/b.jpg", "Käse.png", "x" * 500, b"\xff\xfe".decode("utf-8", "surrogateescape")]
    pool = TextPool(texts)
    assert [pool[i] for i in range(len(pool))] == texts
