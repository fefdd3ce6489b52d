"""Fetch one image by its address, and nothing that an address from a stranger's table must not reach.

Every host is resolved here, its addresses are checked, and the connection goes to the checked address itself, so that
a name which resolves to something else a moment later leads nowhere. Redirects are checked in the same way. Proxies of
the environment are not used.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import time
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from contracts.remote_files import is_public
from curation.sources.download.config import DownloadConfig
from curation.sources.download.timed_socket import TimedSocket, seconds_left

REDIRECTS = 5
LONGEST_WAIT_SECONDS = 60.0
_BLOCK_BYTES = 64 << 10
_SAFE = "/%:@!$&'()*+,;=~-._"
_MAY_PASS = {408, 425, 429, 500, 502, 503, 504}


@dataclass
class NotFetched(Exception):
    """Why there are no bytes. `again`: another attempt may succeed, after at least `wait_seconds`."""

    reason: str
    again: bool = False
    wait_seconds: float = 0.0
    code: str = "not_downloaded"


def fetch(url: str, settings: DownloadConfig, tls: ssl.SSLContext) -> bytes:
    """The bytes behind an address. Errors: NotFetched."""
    deadline = time.monotonic() + settings.timeout_seconds
    try:
        for _ in range(REDIRECTS + 1):
            answer = _get(url, settings, tls, deadline)
            if isinstance(answer, bytes):
                return answer
            url = answer
    except NotFetched:
        raise
    except TimeoutError:
        raise NotFetched(f"no answer within {settings.timeout_seconds:g} s", again=True) from None
    except (OSError, http.client.HTTPException) as error:
        raise NotFetched(f"{type(error).__name__}: {error}"[:200], again=True) from None
    except ValueError as error:
        raise NotFetched(f"not an address: {error}"[:200]) from None
    raise NotFetched(f"more than {REDIRECTS} redirects")


def _get(url: str, settings: DownloadConfig, tls: ssl.SSLContext, deadline: float) -> bytes | str:
    """The body, or the address of a redirect."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NotFetched("not an http(s) address")
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    sock = _connect(parts.hostname, port, settings.allow_private, deadline)
    with contextlib.closing(sock):
        if secure:
            sock = tls.wrap_socket(sock, server_hostname=parts.hostname)
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(parts.hostname, port)
        connection.sock = TimedSocket(sock, deadline)
        with contextlib.closing(connection):
            headers = {"User-Agent": settings.user_agent, "Accept": "image/*,*/*;q=0.5"}
            connection.request("GET", _target(parts), headers=headers)
            answer = connection.getresponse()
            if answer.status in (301, 302, 303, 307, 308):
                return urljoin(url, answer.headers.get("Location", ""))
            if answer.status != 200:
                raise NotFetched(f"HTTP {answer.status}", answer.status in _MAY_PASS, _retry_after(answer))
            _check_tags(answer, settings)
            return _body(answer, settings.max_bytes)


def _target(parts: SplitResult) -> str:
    """Path and query, with what people leave unescaped (spaces, other scripts) escaped."""
    path = quote(parts.path or "/", safe=_SAFE)
    return f"{path}?{quote(parts.query, safe=_SAFE + '?')}" if parts.query else path


def _connect(host: str, port: int, allow_private: bool, deadline: float) -> socket.socket:
    """A connection to an address of the host that may be reached. Errors: NotFetched, OSError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise NotFetched(f"the host {host} is unknown ({error})", again=True) from None
    reachable = [entry for entry in found if allow_private or is_public(str(entry[4][0]))]
    if not reachable:
        raise NotFetched(f"the address of {host} is private (ingest.download.allow_private)")
    failure: OSError = TimeoutError()
    for family, kind, protocol, _, address in reachable:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(seconds_left(deadline))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure


def _body(answer: http.client.HTTPResponse, limit: int) -> bytes:
    blocks, size = [], 0
    while block := answer.read(_BLOCK_BYTES):
        size += len(block)
        if size > limit:
            raise NotFetched(f"more than {limit} bytes (ingest.download.max_bytes)")
        blocks.append(block)
    if answer.length:
        raise NotFetched("the connection broke off", again=True)
    return b"".join(blocks)


def _retry_after(answer: http.client.HTTPResponse) -> float:
    text = answer.headers.get("Retry-After", "")
    return min(float(text), LONGEST_WAIT_SECONDS) if re.fullmatch(r"\d{1,6}", text) else 0.0


def _check_tags(answer: http.client.HTTPResponse, settings: DownloadConfig) -> None:
    """Errors: NotFetched when the server asks robots such as this one to leave the image alone."""
    for value in answer.headers.get_all("X-Robots-Tag") or ():
        agent, colon, directives = value.rpartition(":")
        if colon and agent.strip().lower() != settings.user_agent.lower():
            continue
        said = {word.strip().lower() for word in directives.split(",")}
        if forbidden := sorted(said & set(settings.disallowed_tags)):
            raise NotFetched(f"X-Robots-Tag: {forbidden[0]}", code="opted_out")
