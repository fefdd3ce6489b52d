"""Where and with which arithmetic a neural embedder runs; torch is imported here, when one is chosen."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from contracts.errors import UserError
from curation.embed.config import EmbedConfig


def load_torch() -> ModuleType:
    """Import torch. Errors: UserError that says what to install."""
    try:
        import torch
    except ImportError:
        raise UserError(
            "neural embedders need torch and it is not installed: install winnow-curation[models], "
            "or use the model `descriptor`"
        ) from None
    module: ModuleType = torch
    return module


def device_of(settings: EmbedConfig) -> str:
    """`auto` is a CUDA device when the worker sees one. Errors: UserError for a device that is not there."""
    torch = load_torch()
    if settings.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if settings.device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"embed.device is {settings.device!r} and no CUDA device is visible: use `auto` or `cpu`")
    if settings.device.split(":")[0] not in ("cpu", "cuda"):
        raise UserError(f"embed.device is {settings.device!r}: give auto, cpu, cuda or cuda:N")
    return settings.device


def dtype_of(settings: EmbedConfig) -> Any:
    """The torch dtype of the settings."""
    return getattr(load_torch(), settings.precision)


def use_threads(settings: EmbedConfig) -> None:
    """As many CPU threads as cores are reserved for the worker."""
    load_torch().set_num_threads(max(1, int(settings.cpus_per_worker)))
