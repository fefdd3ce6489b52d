"""Who may ask: the right host name, the token where one is wanted, and no other web page.

| danger | what stops it |
|---|---|
| another machine | bound to the loopback address unless told otherwise; then every request needs the token |
| DNS rebinding: a page whose name was turned to this address | the Host header must be a name of this server |
| a page elsewhere that sends requests here | changes need the header `X-Winnow` and an Origin that is this server's |
| a page elsewhere that shows our pictures | Cross-Origin-Resource-Policy |
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE, CHANGE_HEADER, TOKEN_HEADER = "winnow_token", "x-winnow", "x-winnow-token"
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Access:
    """What the server was started with. `token` None: none is wanted (loopback alone)."""

    host: str
    token: str | None = None

    def knows(self, name: str) -> bool:
        """Whether a Host header names this server. An address cannot be rebound, a name of elsewhere can."""
        bare = _without_port(name)
        if bare in LOOPBACK_NAMES or bare == self.host.lower():
            return True
        if is_loopback(self.host):
            return False
        return bare == socket.gethostname().lower() or _is_address(bare)


def _without_port(name: str) -> str:
    name = name.strip().lower()
    if name.startswith("["):
        return name.partition("]")[0] + "]"
    return name.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


class Guard:
    """ASGI middleware that refuses what may not ask and adds HEADERS to every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._access.knows(host):
            return _refused(403, f"the name {host!r} is not one of this server's: open the address that was printed")
        if scope["method"] not in ("GET", "HEAD"):
            origin = headers.get("origin")
            if CHANGE_HEADER not in headers or (origin is not None and urlsplit(origin).netloc != host):
                return _refused(403, "changes are made from the explorer's own page only")
        return self._without_token(scope, headers)

    def _without_token(self, scope: Scope, headers: Headers) -> Response | None:
        """None when the token is right, or none is wanted."""
        wanted = self._access.token
        if wanted is None:
            return None
        if any(hmac.compare_digest(given.encode(), wanted.encode()) for given in _tokens(headers)):
            return None
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["path"] == "/" and hmac.compare_digest(asked.encode(), wanted.encode()):
            entry = RedirectResponse("/", status_code=303)
            entry.set_cookie(COOKIE, wanted, httponly=True, samesite="strict")
            return entry
        return _refused(401, "a token is wanted: open the address with ?token=... that `curate explore` printed")


def _tokens(headers: Headers) -> list[str]:
    given = [headers.get(TOKEN_HEADER, ""), headers.get("authorization", "").removeprefix("Bearer ")]
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        cookie = None
    return [token for token in (*given, cookie.value if cookie else "") if token]


def _refused(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status_code=status)
