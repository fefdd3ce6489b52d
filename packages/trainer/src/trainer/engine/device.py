"""Which device and which precision a run takes."""

from __future__ import annotations

import torch

from contracts.errors import ConfigError


def choose_device(asked: str) -> torch.device:
    """The device that is asked for; auto takes a GPU when there is one.

    Errors: ConfigError when the name is unknown or the device is not there.
    """
    if asked == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(asked)
    except RuntimeError:
        raise ConfigError(f"{asked!r} is no device: take auto, cpu, cuda, cuda:N or mps") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"the device {asked} was asked for and PyTorch sees {torch.cuda.device_count()} CUDA devices: take auto"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("the device mps was asked for and PyTorch finds no Apple GPU: take auto")
    return device


def choose_precision(asked: str, device: torch.device) -> str:
    """fp32 or bf16; auto takes bf16 on CUDA devices that compute in it."""
    if asked != "auto":
        return asked
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def autocast_dtype(precision: str) -> torch.dtype | None:
    """What training_step takes: None for fp32."""
    return torch.bfloat16 if precision == "bf16" else None
