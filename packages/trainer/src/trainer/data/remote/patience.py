"""Failures that may pass are met by waiting, others and those that stay end in one sentence with the address."""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable
from threading import Event
from typing import TypeVar
from urllib.error import HTTPError

from contracts.errors import MissingInput, UserError
from trainer.data.remote.settings import RemoteSettings

LONGEST_WAIT_SECONDS = 60.0
FAILURES = (OSError, http.client.HTTPException)
_MAY_PASS = {408, 425, 429}
_REFUSED = re.compile(r"ACCESS_DENIED|NO_SUCH_(BUCKET|KEY)|INVALID_ACCESS_KEY_ID|SIGNATURE_DOES_NOT_MATCH")
T = TypeVar("T")


class Unreachable(UserError):
    """A store or server that did not answer, for as long as the settings allow."""


class Stopped(Exception):
    """Work in the background was broken off, since nobody waits for it any more."""


class Patience:
    """Counts the failures in a row of reading one address. `stop`: set when nobody waits any more."""

    def __init__(self, address: str, settings: RemoteSettings, stop: Event | None = None) -> None:
        self._address, self._settings = address, settings
        self._stop = stop or Event()
        self._failures = 0

    def progress(self) -> None:
        """Something was read: the next failure is a first one. Errors: Stopped."""
        self._failures = 0
        if self._stop.is_set():
            raise Stopped

    def after(self, error: Exception) -> None:
        """Wait before the next attempt. Errors: MissingInput (refused, not there), Unreachable (too many failures),
        Stopped.
        """
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        if _is_final(error):
            raise MissingInput(f"{self._address} cannot be read ({detail}): check its name and credentials") from None
        self._failures += 1
        if self._failures >= self._settings.tries:
            raise Unreachable(
                f"{self._address} could not be read {self._failures} times in a row ({detail}): when its server "
                "answers again, run the same command with --resume"
            ) from None
        if self._stop.wait(min(LONGEST_WAIT_SECONDS, self._settings.wait_seconds * 2 ** (self._failures - 1))):
            raise Stopped


def patiently(address: str, settings: RemoteSettings, attempt: Callable[[], T], stop: Event | None = None) -> T:
    """What an attempt returns, once one succeeds. Errors: those of Patience."""
    patience = Patience(address, settings, stop)
    while True:
        try:
            return attempt()
        except FAILURES as error:
            patience.after(error)


def _is_final(error: Exception) -> bool:
    if isinstance(error, HTTPError):
        return error.code < 500 and error.code not in _MAY_PASS
    return isinstance(error, FileNotFoundError | PermissionError) or bool(_REFUSED.search(str(error)))
