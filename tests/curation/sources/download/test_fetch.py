"""One address: what a server may answer, and what an address from a stranger must not reach."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator

import pytest
from tests.curation.sources.download.image_server import ImageServer, image_server

from contracts.remote_files import is_public
from curation.sources.download.config import DownloadConfig
from curation.sources.download.fetch import NotFetched, fetch

TLS = ssl.create_default_context()
LOCAL = DownloadConfig(allow_private=True, timeout_seconds=5)


@pytest.fixture
def server() -> Iterator[ImageServer]:
    with image_server() as running:
        yield running


def test_bytes_come_back_through_redirects_and_odd_addresses(server: ImageServer) -> None:
    server.files = {"/a.jpg": b"picture" * 40_000, "/two%20words.jpg?w=1&n=%C3%A4": b"odd"}
    assert fetch(server.url("/moved/a.jpg"), LOCAL, TLS) == b"picture" * 40_000
    assert fetch(server.url("/two words.jpg?w=1&n=ä"), LOCAL, TLS) == b"odd"


@pytest.mark.parametrize(
    ("path", "reason", "again"),
    [
        ("/none.jpg", "HTTP 404", False),
        ("/busy.jpg", "HTTP 503", True),
        ("/circle", "more than 5 redirects", False),
        ("/local-file", "not an http", False),
        ("/cut", "broke off", True),
        ("/no-ai/a.jpg", "X-Robots-Tag: noai", False),
        ("/large.jpg", "more than 1000 bytes", False),
    ],
)
def test_failures_say_why_and_whether_they_may_pass(server: ImageServer, path: str, reason: str, again: bool) -> None:
    server.failures_first = {"/busy.jpg": 9}
    server.files = {"/no-ai/a.jpg": b"x", "/other-bot/a.jpg": b"x", "/large.jpg": b"x" * 1001}
    with pytest.raises(NotFetched) as caught:
        fetch(server.url(path), DownloadConfig(allow_private=True, max_bytes=1000), TLS)
    assert reason in caught.value.reason
    assert caught.value.again is again
    assert fetch(server.url("/other-bot/a.jpg"), LOCAL, TLS) == b"x", "said to another robot"


def test_a_dripping_server_is_left_at_the_deadline(server: ImageServer) -> None:
    started = time.monotonic()
    with pytest.raises(NotFetched, match=r"no answer within 0\.5 s"):
        fetch(server.url("/drip"), DownloadConfig(allow_private=True, timeout_seconds=0.5), TLS)
    assert time.monotonic() - started < 2.0


def test_private_addresses_are_refused_unless_allowed(server: ImageServer) -> None:
    server.files = {"/a.jpg": b"secret"}
    for url in (server.url("/a.jpg"), server.url("/a.jpg").replace("127.0.0.1", "localhost")):
        with pytest.raises(NotFetched, match="private"):
            fetch(url, DownloadConfig(), TLS)
    assert not server.asked
    assert fetch(server.url("/a.jpg"), LOCAL, TLS) == b"secret"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fe80::1%eth0",
        "fc00::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::a9fe:a9fe",
    ],
)
def test_what_is_no_address_of_the_open_internet(address: str) -> None:
    assert not is_public(address)


def test_what_is_one() -> None:
    assert is_public("93.184.216.34")
    assert is_public("2606:2800:220:1:248:1893:25c8:1946")
    assert is_public("::ffff:93.184.216.34")


@pytest.mark.parametrize(
    "url", ["", "ftp://example.org/a.jpg", "http://", "http://[::1", "no address", "http://a:99999/"]
)
def test_what_is_no_address_at_all(url: str) -> None:
    with pytest.raises(NotFetched) as caught:
        fetch(url, LOCAL, TLS)
    assert not caught.value.again
