"""Files behind http(s) addresses, read from any byte on.

Every host is resolved here and the connection goes to an address that was checked, redirects included; proxies of the
environment are not used.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
import ssl
import urllib.request
from functools import lru_cache, partial
from typing import Any
from urllib.parse import quote

from contracts.errors import ConfigError, MissingInput
from contracts.remote_files import is_public
from trainer.data.remote.settings import RemoteSettings

_SAFE = "/%:@!$&'()*+,;=~-._?#[]"


def is_web(address: str) -> bool:
    """Whether an address is one of the web."""
    return address.startswith(("http://", "https://"))


def open_url(url: str, settings: RemoteSettings, start: int = 0, stop: int | None = None) -> http.client.HTTPResponse:
    """The answer from byte `start` on, up to `stop`; the whole of it (status 200) from servers without ranges.

    Errors: OSError, http.client.HTTPException; ConfigError for private hosts.
    """
    headers = {"User-Agent": "winnow-trainer", "Accept-Encoding": "identity"}
    if start or stop is not None:
        headers["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
    request = urllib.request.Request(quote(url, safe=_SAFE), headers=headers)  # noqa: S310 (the opener knows http alone)
    answer: http.client.HTTPResponse = _opener(settings.allow_private).open(request, timeout=settings.timeout_seconds)
    return answer


def url_size(url: str, settings: RemoteSettings) -> tuple[int, str]:
    """(bytes, what tells versions apart) of a file, without reading it. Errors: those of open_url."""
    with open_url(url, settings, 0, 1) as answer:
        total = re.fullmatch(r"bytes \d+-\d+/(\d+)", answer.headers.get("Content-Range", "").strip())
        size = total[1] if answer.status == 206 and total else answer.headers.get("Content-Length", "")
        if not size.isdigit():
            raise MissingInput(f"{url} does not say its size: copy it to a folder or to a server that does")
        return int(size), answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""


class WebFile(io.RawIOBase):
    """A file of the web with random access, for readers of tables. Errors: OSError; MissingInput without ranges."""

    def __init__(self, url: str, size: int, settings: RemoteSettings) -> None:
        self._url, self._size, self._settings = url, size, settings
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + (0, self._place, self._size)[whence]
        return self._place

    def readinto(self, buffer: Any) -> int:
        stop = min(self._size, self._place + len(buffer))
        if stop <= self._place:
            return 0
        with open_url(self._url, self._settings, self._place, stop) as answer:
            if answer.status != 206:
                raise MissingInput(f"the server of {self._url} gives no parts of files: copy the table to a folder")
            read = answer.readinto(memoryview(buffer)[: stop - self._place])
        self._place += read
        return read


@lru_cache(maxsize=2)
def _opener(allow_private: bool) -> urllib.request.OpenerDirector:
    """http and https with redirects, and nothing else (no files, ftp or proxies)."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        _Plain(allow_private),
        _Secure(allow_private),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


class _Plain(urllib.request.HTTPHandler):
    def __init__(self, allow_private: bool) -> None:
        super().__init__()
        self._connect = partial(_PlainConnection, allow_private)

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connect, req)


class _Secure(urllib.request.HTTPSHandler):
    def __init__(self, allow_private: bool) -> None:
        super().__init__()
        self._connect = partial(_SecureConnection, allow_private, ssl.create_default_context())

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connect, req)


class _PlainConnection(http.client.HTTPConnection):
    def __init__(self, allow_private: bool, host: str, **options: Any) -> None:
        super().__init__(host, **options)
        self._allow_private = allow_private

    def connect(self) -> None:
        self.sock = _checked_connection(self.host, self.port, self.timeout, self._allow_private)


class _SecureConnection(http.client.HTTPSConnection):
    def __init__(self, allow_private: bool, tls: ssl.SSLContext, host: str, **options: Any) -> None:
        super().__init__(host, context=tls, **options)
        self._allow_private, self._tls = allow_private, tls

    def connect(self) -> None:
        plain = _checked_connection(self.host, self.port, self.timeout, self._allow_private)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)


def _checked_connection(host: str, port: int, timeout: float | None, allow_private: bool) -> socket.socket:
    """A connection to an address of the host that may be reached. Errors: OSError; ConfigError for private hosts."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    reachable = [address for address in addresses if allow_private or is_public(address)]
    if not reachable:
        raise ConfigError(
            f"the address of {host} is private: set data.remote.allow_private=true if it is a server of yours"
        )
    failure: OSError = TimeoutError()
    for address in reachable:
        try:
            return socket.create_connection((address, port), timeout)
        except OSError as error:
            failure = error
    raise failure
