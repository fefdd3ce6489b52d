"""`curate explore`: open a workspace, print where the page is, serve it until stopped."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contracts.errors import UserError
from curation.config import CurateConfig
from curation.workspace import Workspace


@dataclass(frozen=True)
class Listening:
    """Where the page is, with the token that others than this machine need, and over how many images."""

    address: str
    token: str | None
    images: int
    workspace: str

    def lines(self) -> list[str]:
        """What a person reads."""
        opened = f"{self.address}?token={self.token}" if self.token else self.address
        warning = (
            "other machines can reach this address: whoever has the token sees the pictures and may decide over them"
        )
        first = f"{self.images:,} images of {self.workspace}: open {opened}"
        return [first, *([warning] if self.token else []), "stop with Ctrl-C"]


def explore_workspace(
    workspace: Workspace, config: CurateConfig, host: str, port: int, tell: Callable[[Listening], None]
) -> None:
    """Serve the explorer; `tell` hears where once it listens. `port` 0: any free one.

    Errors: UserError (not installed, port taken), MissingInput.
    """
    uvicorn = _load_uvicorn()
    from curation.explore.access import Access, is_loopback
    from curation.explore.app import make_app
    from curation.explore.explorer import Explorer

    explorer = Explorer(workspace, config)
    token = None if is_loopback(host) else secrets.token_urlsafe(24)
    listening = _listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listening.getsockname()[1]}/"
    tell(Listening(address, token, len(explorer), str(workspace.root)))
    settings = uvicorn.Config(make_app(explorer, Access(host, token)), log_level="warning", server_header=False)
    uvicorn.Server(settings).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise UserError(f"cannot listen on {host} port {port} ({error.strerror}): choose another --port") from None
    return listening


def _load_uvicorn() -> Any:
    try:
        import fastapi  # noqa: F401
        import uvicorn
    except ImportError:
        raise UserError(
            "the explorer needs FastAPI and uvicorn and they are not installed: install winnow-curation[explore]"
        ) from None
    return uvicorn
