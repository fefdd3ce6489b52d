"""A web server on this machine that hands out files, whole or in parts, and fails as told."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class ShardServer(ThreadingHTTPServer):
    """`files`: path -> bytes. `unavailable`, `cut`: path -> answers still to come that are 503 or break off half way.
    `ranges`: whether parts are given. `moved`: path -> address. `asked`: requests by path.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.unavailable: Counter[str] = Counter()
        self.cut: Counter[str] = Counter()
        self.moved: dict[str, str] = {}
        self.ranges = True
        self.asked: Counter[str] = Counter()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


class _Handler(BaseHTTPRequestHandler):
    server: ShardServer

    def do_GET(self) -> None:
        here, path = self.server, self.path.removeprefix("/")
        here.asked[path] += 1
        if path in here.moved:
            return self._send(302, b"", {"Location": here.moved[path]})
        if here.unavailable[path]:
            here.unavailable[path] -= 1
            return self._send(503, b"")
        if path not in here.files:
            return self._send(404, b"")
        content, status, headers = here.files[path], 200, {}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and here.ranges:
            first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            content, status = content[first : last + 1], 206
        half = len(content) // 2 if here.cut[path] and len(content) > 1 else len(content)
        here.cut[path] -= half < len(content)
        return self._send(status, content[:half], {**headers, "Content-Length": str(len(content))})

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def shard_server() -> Iterator[ShardServer]:
    server = ShardServer()
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
