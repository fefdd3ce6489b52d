"""A web server on this machine that answers well, badly, slowly or only at the second attempt."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread


class ImageServer(ThreadingHTTPServer):
    """`files`: path -> bytes. `asked`: requests by path; `busiest`: most requests at once."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.failures_first: dict[str, int] = {}
        self.asked: Counter[str] = Counter()
        self.at_once = self.busiest = 0
        self.pause_seconds = 0.0
        self.lock = Lock()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class _Handler(BaseHTTPRequestHandler):
    server: ImageServer

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.asked[self.path] += 1
            self.server.at_once += 1
            self.server.busiest = max(self.server.busiest, self.server.at_once)
        time.sleep(self.server.pause_seconds)
        with self.server.lock:  # before the answer: whoever has it may ask for the next at once
            self.server.at_once -= 1
        self._answer(self.path)

    def _answer(self, path: str) -> None:
        if self.server.asked[path] <= self.server.failures_first.get(path, 0):
            self._send(503, b"", {"Retry-After": "0"})
        elif path.startswith("/moved/"):
            self._send(302, b"", {"Location": f"/{path.removeprefix('/moved/')}"})
        elif path == "/circle":
            self._send(302, b"", {"Location": "/circle"})
        elif path == "/local-file":
            self._send(302, b"", {"Location": "file:///etc/hostname"})
        elif path == "/drip":
            self.send_response(200)
            self.flush_headers()
            for _ in range(40):
                self.wfile.write(b"X-Slow: 1\r\n")
                self.wfile.flush()
                time.sleep(0.1)
        elif path == "/cut":
            self._send(200, b"half", {"Content-Length": "8"})
        elif path in self.server.files:
            tag = {"X-Robots-Tag": "otherbot: noindex, noai"} if path.startswith("/other-bot/") else {}
            tag = {"X-Robots-Tag": "noai"} if path.startswith("/no-ai/") else tag
            self._send(200, self.server.files[path], tag)
        else:
            self._send(404, b"", {})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def image_server() -> Iterator[ImageServer]:
    server = ImageServer()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
