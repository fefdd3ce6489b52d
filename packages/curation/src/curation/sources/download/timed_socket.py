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
    """The part of a socket that http.client uses.

    http.client closes the socket before the answer is read when the server will close it as well: the socket below
    lives on until the answer's file is closed too, as a plain socket does.
    """

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock, self._deadline = sock, deadline
        self._files = 0
        self._closed = False

    def sendall(self, data: bytes) -> None:
        """Send everything."""
        self._sock.settimeout(seconds_left(self._deadline))
        self._sock.sendall(data)

    def receive_into(self, buffer: Any) -> int:
        """Read what has come, and wait for it until the deadline. Errors: TimeoutError, OSError."""
        self._sock.settimeout(seconds_left(self._deadline))
        return self._sock.recv_into(buffer)

    def makefile(self, *_mode: Any) -> io.BufferedReader:
        """The answer, as a file."""
        self._files += 1
        return io.BufferedReader(_TimedReads(self))

    def release(self) -> None:
        """A file of this socket was closed."""
        self._files -= 1
        self._close_when_unused()

    def close(self) -> None:
        """Close the socket, once its files are closed."""
        self._closed = True
        self._close_when_unused()

    def _close_when_unused(self) -> None:
        if self._closed and self._files <= 0:
            self._sock.close()


class _TimedReads(io.RawIOBase):
    def __init__(self, sock: TimedSocket) -> None:
        self._timed = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._timed.receive_into(buffer)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._timed.release()
