"""Reading by address: a web server on this machine, and folders by file:// as stores that list."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.trainer.data.remote.shard_server import ShardServer, shard_server

from contracts.errors import BrokenArtifact, ConfigError, MissingInput
from trainer.data.remote.files import copy_file, exists, find_files, list_files, open_table, read_whole
from trainer.data.remote.patience import Unreachable
from trainer.data.remote.settings import RemoteSettings

SETTINGS = RemoteSettings(allow_private=True, wait_seconds=0, tries=3, timeout_seconds=5)
CONTENT = bytes(range(256)) * 64


@pytest.fixture
def server() -> Iterator[ShardServer]:
    with shard_server() as server:
        server.files["a.tar"] = CONTENT
        yield server


def copied(address: str, target: Path, sha256: str | None = None) -> bytes:
    (file,) = find_files([address], SETTINGS)
    copy_file(file, target, SETTINGS, sha256)
    return target.read_bytes()


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_of_the_web_is_found_and_copied(server: ShardServer, tmp_path: Path, ranges: bool) -> None:
    server.ranges = ranges
    (file,) = find_files([server.url("a.tar")], SETTINGS)
    assert (file.size, file.name) == (len(CONTENT), "a.tar")
    assert copied(server.url("a.tar"), tmp_path / "copy", hashlib.sha256(CONTENT).hexdigest()) == CONTENT


@pytest.mark.parametrize("ranges", [True, False])
def test_a_copy_goes_on_where_the_connection_broke(server: ShardServer, tmp_path: Path, ranges: bool) -> None:
    server.ranges = ranges
    server.cut["a.tar"] = 2 if ranges else 1
    assert copied(server.url("a.tar"), tmp_path / "copy") == CONTENT


def test_failures_that_pass_are_met_with_patience(server: ShardServer, tmp_path: Path) -> None:
    server.unavailable["a.tar"] = 2
    assert copied(server.url("a.tar"), tmp_path / "copy") == CONTENT


def test_failures_that_stay_name_the_file(server: ShardServer) -> None:
    server.unavailable["a.tar"] = 1000
    with pytest.raises(Unreachable, match=r"/a\.tar could not be read 3 times in a row .*503.*--resume"):
        read_whole(server.url("a.tar"), SETTINGS)
    assert server.asked["a.tar"] == 3


def test_what_is_not_there_is_not_tried_again(server: ShardServer) -> None:
    with pytest.raises(MissingInput, match=r"/b\.tar cannot be read .*404"):
        read_whole(server.url("b.tar"), SETTINGS)
    assert server.asked["b.tar"] == 1
    assert not exists(server.url("b.tar"), SETTINGS)


def test_private_hosts_are_refused_also_behind_a_redirect(server: ShardServer, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = RemoteSettings(tries=1)
    for address in (server.url("a.tar"), "http://[::1]:1/a.tar", "http://169.254.169.254/latest"):
        with pytest.raises(ConfigError, match=r"private: set data\.remote\.allow_private"):
            read_whole(address, closed)
    assert not server.asked
    monkeypatch.setattr("trainer.data.remote.web.is_public", lambda address: address == "127.0.0.1")
    server.moved["moved"] = "http://127.0.0.2:1/a.tar"
    with pytest.raises(ConfigError, match=r"127\.0\.0\.2 is private"):
        read_whole(server.url("moved"), closed)
    server.moved["moved"] = server.url("a.tar")
    assert read_whole(server.url("moved"), closed) == CONTENT


def test_a_redirect_leads_to_no_local_file(server: ShardServer) -> None:
    server.moved["away"] = "file:///etc/hostname"
    with pytest.raises(MissingInput, match="away"):
        read_whole(server.url("away"), SETTINGS)


def test_other_bytes_than_wanted_are_refused(server: ShardServer, tmp_path: Path) -> None:
    with pytest.raises(BrokenArtifact, match=r"a\.tar does not hold"):
        copied(server.url("a.tar"), tmp_path / "copy", hashlib.sha256(b"other").hexdigest())


def test_a_table_of_the_web_is_read_in_parts(server: ShardServer) -> None:
    (file,) = find_files([server.url("a.tar")], SETTINGS)
    with open_table(file, SETTINGS) as handle:
        handle.seek(1000)
        assert handle.read(24) == CONTENT[1000:1024]
    server.ranges = False
    with open_table(file, SETTINGS) as handle, pytest.raises(MissingInput, match="no parts of files"):
        handle.read(24)


def test_folders_are_listed_where_they_can_be(tmp_path: Path) -> None:
    for name in ("b.tar", "a.tar", "a.txt", "deep/c.tar"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    root = f"file://{tmp_path}"
    assert list_files(root, "*.tar", SETTINGS) == [f"{root}/a.tar", f"{root}/b.tar"]
    assert list_files(root, "*.tar", SETTINGS, recursive=True)[-1] == f"{root}/deep/c.tar"
    assert list_files(f"{root}/nowhere", "*.tar", SETTINGS) == []
    with pytest.raises(MissingInput, match="cannot be listed"):
        list_files("https://example.com/set", "*.tar", SETTINGS)
