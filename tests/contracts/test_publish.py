"""A published file is whole, and a failed or killed writer leaves nothing under the final name."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import BrokenArtifact, MissingInput, UserError
from contracts.publish import (
    disk_is_full,
    draft,
    publish_array,
    publish_json,
    publish_text,
    read_json,
    remove_drafts,
    sha256_file,
)


def test_a_failed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    publish_text(file, "old")
    with pytest.raises(RuntimeError), draft(file) as rough:
        rough.write_text("half")
        raise RuntimeError
    assert file.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_replaces_a_folder_whole(tmp_path: Path) -> None:
    folder = tmp_path / "dataset"
    for content in ("first", "second"):
        with draft(folder) as rough:
            rough.mkdir()
            (rough / content).write_text(content)
    assert [p.name for p in folder.iterdir()] == ["second"]
    assert [p.name for p in tmp_path.iterdir()] == ["dataset"]


def test_an_empty_draft_is_our_bug(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), draft(tmp_path / "nothing"):
        pass


def test_a_killed_writer_leaves_only_a_draft_that_can_be_removed(tmp_path: Path) -> None:
    script = (
        "import sys, os, signal\n"
        "from contracts.publish import draft\n"
        f"with draft({str(tmp_path / 'a.bin')!r}) as rough:\n"
        "    rough.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, env=dict(os.environ))
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "a.bin").exists()
    assert remove_drafts(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError("1024 requested and 512 written"), True),  # numpy's
        (OSError("something else"), False),
        (PermissionError(errno.EACCES, "Permission denied"), False),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory"), False),
    ],
)
def test_only_a_full_disk_is_called_full(error: OSError, full: bool) -> None:
    assert disk_is_full(error) is full


def test_another_error_of_the_disk_keeps_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises((NotADirectoryError, FileExistsError)):
        publish_text(tmp_path / "file" / "a", "x")


def test_a_full_disk_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="disk is full"), draft(tmp_path / "a"):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("room", [0, 100, 3000, 5000, 32_000])
def test_an_array_is_published_whole_or_not_at_all(tmp_path: Path, room: int) -> None:
    script = (
        "import resource, numpy, sys\n"
        "from contracts.publish import publish_array\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))\n"
        f"publish_array({str(tmp_path / 'folder' / 'a.npy')!r}, numpy.zeros(4096))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "UserError: the disk is full while writing" in done.stderr
    assert list((tmp_path / "folder").iterdir()) == []


@pytest.mark.parametrize("array", [np.arange(6, dtype=np.float16).reshape(2, 3), np.empty((0, 5), np.int64)])
def test_arrays_have_the_bytes_of_numpy(tmp_path: Path, array: np.ndarray) -> None:
    publish_array(tmp_path / "ours.npy", array)
    np.save(tmp_path / "theirs.npy", array)
    assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "theirs.npy").read_bytes()


def test_json_bytes_do_not_depend_on_key_order(tmp_path: Path) -> None:
    publish_json(tmp_path / "a.json", {"b": 1, "a": [1, 2]})
    publish_json(tmp_path / "b.json", {"a": [1, 2], "b": 1})
    assert sha256_file(tmp_path / "a.json") == sha256_file(tmp_path / "b.json")
    assert read_json(tmp_path / "a.json") == {"a": [1, 2], "b": 1}


def test_unreadable_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "cut.json").write_text('{"a": ')
    with pytest.raises(BrokenArtifact, match=r"cut\.json"):
        read_json(tmp_path / "cut.json")
    with pytest.raises(MissingInput, match=r"none\.json"):
        read_json(tmp_path / "none.json")


def test_files_have_the_mode_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "new").touch()
    with draft(tmp_path / "folder") as rough:
        rough.mkdir()
        (rough / "weights").touch(mode=0o600)
    assert (tmp_path / "folder" / "weights").stat().st_mode == (tmp_path / "new").stat().st_mode
