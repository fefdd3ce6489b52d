"""A socket whose every read ends by one deadline, however slowly the other side drips."""

from __future__ import annotations

import io
import socket
import time
from typing import Any


def seconds_left(deadline: float) -> float:
    """Seconds until a time of the monotonic clock. Errors: TimeoutError when it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class TimedSocket:
    """The part of a socket that http.client uses."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock, self._deadline = sock, deadline

    def sendall(self, data: bytes) -> None:
        """Send everything."""
        self._sock.settimeout(seconds_left(self._deadline))
        self._sock.sendall(data)

    def makefile(self, *_mode: Any) -> io.BufferedReader:
        """The answer, as a file."""
        return io.BufferedReader(_TimedReads(self._sock, self._deadline))

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


class _TimedReads(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock, self._deadline = sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(seconds_left(self._deadline))
        return self._sock.recv_into(buffer)
