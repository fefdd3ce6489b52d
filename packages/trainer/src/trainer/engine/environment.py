"""What a run ran on: versions and device, for environment.json."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

_LIBRARIES = ("numpy", "pillow", "pyarrow", "pydantic", "safetensors", "simplejpeg", "torch", "webdataset")


def environment(device: torch.device) -> dict[str, Any]:
    """Versions, processor and device as JSON-ready values; nothing that names a user or a place."""
    from trainer import __version__

    return {
        "winnow": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "machine": platform.machine(),
        "cpu_cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu",
        "libraries": {name: found for name in _LIBRARIES if (found := _version(name)) is not None},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
