"""Foreign checkpoint files as official tensors: unwrapped, freed of prefixes, renamed.

Known layouts: official DINOv2 (plain or in block chunks, backbone alone or with heads), Hugging Face (the names of
version 4 on disk and of version 5 in memory), timm.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from contracts.errors import BrokenArtifact, MissingInput
from trainer.export.heads_file import HEAD_NAMES
from trainer.export.model_folder import official_from_hugging_face
from trainer.export.name_maps import HUGGING_FACE_5
from trainer.export.timm_layout import from_timm

_WRAPPERS = ("model", "teacher", "student", "state_dict", "model_ema")
"""Entries under which training codes keep the weights that one wants, best first."""
_PREFIXES = ("module.", "_orig_mod.", "teacher.", "model_ema.", "student.")
_CHUNKED = re.compile(r"blocks\.\d+\.(\d+)\.(.+)")
_PARAMETRIZED = {
    "last_layer.parametrizations.weight.original0": "last_layer.weight_g",
    "last_layer.parametrizations.weight.original1": "last_layer.weight_v",
}


@dataclass(frozen=True)
class OfficialTensors:
    """Backbone under official names, heads as dino_head.* and ibot_head.*, and the layout they were found in."""

    backbone: dict[str, Tensor]
    heads: dict[str, Tensor]
    layout: str


def read_checkpoint(file: Path | str) -> OfficialTensors:
    """Read a .pth, .pt, .bin or .safetensors file; nothing in it is executed.

    Errors: MissingInput (no such file), BrokenArtifact (not a checkpoint, or of a layout that is not known).
    """
    path = Path(file)
    if not path.is_file():
        raise MissingInput(f"there is no checkpoint file {path}")
    tensors = _unprefixed(_unwrapped(_read(path), path))
    heads = {name: value for name, value in tensors.items() if name.startswith(tuple(f"{h}." for h in HEAD_NAMES))}
    body = {name.removeprefix("backbone."): value for name, value in tensors.items() if name not in heads}
    body = {name: value for name, value in body.items() if not name.startswith(("dino_loss", "ibot_patch_loss"))}
    for layout, fits, convert in LAYOUTS:
        if fits(body):
            return OfficialTensors(convert(body), {_head_name(name): value for name, value in heads.items()}, layout)
    known = ", ".join(layout for layout, _, _ in LAYOUTS)
    first = ", ".join(sorted(body)[:3])
    raise BrokenArtifact(f"{path} holds tensors of no known layout ({first}, ...): known are {known}")


def _read(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except (SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError, KeyError) as error:
        raise BrokenArtifact(
            f"{path} cannot be read as a checkpoint ({_reason(path, error)}): wanted a whole .safetensors file, or one "
            "that torch.save wrote and that holds nothing but tensors"
        ) from None


def _reason(path: Path, error: Exception) -> str:
    """What is wrong with a file; torch's own words on a pickle advise to run it."""
    if not path.stat().st_size:
        return "it is empty"
    if isinstance(error, pickle.UnpicklingError):
        refused = re.search(r"GLOBAL (\S+) was not an allowed", str(error))
        return f"it holds the object {refused[1]}, which is not loaded" if refused else "it is no file of torch.save"
    if "central directory" in str(error):
        return "it was cut short"
    return " ".join(str(error).split())[:160].rstrip(" .")


def _is_zip(path: Path) -> bool:
    """torch's format since 1.6; only that one can be memory-mapped."""
    with path.open("rb") as handle:
        return handle.read(2) == b"PK"


def _unwrapped(value: Any, path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, from below the entries that training codes wrap them in."""
    while isinstance(value, Mapping) and not any(isinstance(entry, Tensor) for entry in value.values()):
        inner = next((value[key] for key in _WRAPPERS if isinstance(value.get(key), Mapping)), None)
        if inner is None:
            break
        value = inner
    tensors = {str(k): v for k, v in value.items() if isinstance(v, Tensor)} if isinstance(value, Mapping) else {}
    if not tensors:
        raise BrokenArtifact(f"{path} holds no named tensors: wanted a checkpoint of a Vision Transformer")
    return tensors


def _unprefixed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drop prefixes of wrappers; where teacher and student lie side by side, the teacher is taken."""
    if any(name.startswith("teacher.") for name in tensors):
        tensors = {name: value for name, value in tensors.items() if name.startswith("teacher.")}
    renamed = {}
    for name, value in tensors.items():
        short = name
        while prefix := next((p for p in _PREFIXES if short.startswith(p)), None):
            short = short.removeprefix(prefix)
        renamed[short.replace("._orig_mod", "").replace("_fsdp_wrapped_module.", "")] = value
    return renamed


def _head_name(name: str) -> str:
    for long, short in _PARAMETRIZED.items():
        name = name.replace(long, short)
    return name


def official_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official tensors without the chunk index of FSDP training: blocks.<chunk>.<block>.x -> blocks.<block>.x."""
    renamed = {}
    for name, value in state.items():
        match = _CHUNKED.fullmatch(name)
        renamed[f"blocks.{match[1]}.{match[2]}" if match else name] = value
    return renamed


def _from_hugging_face_5(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return HUGGING_FACE_5.to_official(state)


Layout = tuple[str, Callable[[Mapping[str, Tensor]], bool], Callable[[Mapping[str, Tensor]], dict[str, Tensor]]]
LAYOUTS: tuple[Layout, ...] = (
    ("Hugging Face 5 in-memory", lambda s: any(".attention.q_proj." in name for name in s), _from_hugging_face_5),
    (
        "Hugging Face",
        lambda s: any(".attention.attention.query." in name for name in s),
        official_from_hugging_face,
    ),
    ("official DINOv2", lambda s: "mask_token" in s and "cls_token" in s, official_names),
    ("timm", lambda s: "cls_token" in s and any(name.startswith("blocks.0.") for name in s), from_timm),
)
"""Tried in this order: a layout's name, its mark, and the way to official names."""
