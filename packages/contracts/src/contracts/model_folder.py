"""The model folder: what `trainer` and `distill` export, in the layout that the ecosystem reads.

    config.json                 Hugging Face configuration (dinov2 | dinov2_with_registers)
    model.safetensors           backbone weights under Hugging Face (v4) names
    preprocessor_config.json    Hugging Face image processor
    heads.safetensors           projection heads (dino_head.*, ibot_head.*), absent for a model without heads
    provenance.json             header, published last: where the model comes from, sha256 of its files

A folder without provenance.json that has config.json and model.safetensors is a plain Hugging Face model: it is read
too, and has no heads.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.errors import BrokenArtifact, MissingInput
from contracts.header import read_header, write_header
from contracts.publish import read_json, sha256_file

FORMAT, VERSION = "winnow.model", 1
CONFIG_FILE, BACKBONE_FILE, PREPROCESSOR_FILE, HEADS_FILE, PROVENANCE_FILE = (
    "config.json",
    "model.safetensors",
    "preprocessor_config.json",
    "heads.safetensors",
    "provenance.json",
)
_REQUIRED = (CONFIG_FILE, BACKBONE_FILE, PREPROCESSOR_FILE)


@dataclass(frozen=True)
class ModelFolder:
    """A model folder, opened. `config` is config.json; `provenance` is empty for a plain Hugging Face folder."""

    path: Path
    config: Mapping[str, Any]
    provenance: Mapping[str, Any]
    has_heads: bool

    @property
    def backbone_path(self) -> Path:
        """Path of the backbone's weights."""
        return self.path / BACKBONE_FILE

    @property
    def heads_path(self) -> Path:
        """Path of the heads' weights. Errors: MissingInput when the model comes without heads."""
        if not self.has_heads:
            raise MissingInput(f"{self.path} has no {HEADS_FILE}: this model comes without projection heads")
        return self.path / HEADS_FILE


def write_provenance(folder: Path | str, *, config_sha256: str, fields: Mapping[str, Any]) -> None:
    """Publish provenance.json over the files of a model folder: from now on it is complete."""
    root = Path(folder)
    files = [*_REQUIRED, *([HEADS_FILE] if (root / HEADS_FILE).is_file() else [])]
    sums = {name: sha256_file(root / name) for name in files}
    write_header(
        root / PROVENANCE_FILE,
        format_name=FORMAT,
        version=VERSION,
        config_sha256=config_sha256,
        fields={"files": sums, **fields},
    )


def is_model_folder(path: Path | str) -> bool:
    """True if a folder has a model's configuration and weights (ours or plain Hugging Face)."""
    root = Path(path)
    return (root / CONFIG_FILE).is_file() and (root / BACKBONE_FILE).is_file()


def read_model_folder(path: Path | str, *, check_sums: bool = False) -> ModelFolder:
    """Open a model folder. Errors: MissingInput, BrokenArtifact (cut short or changed), NewerVersion."""
    root = Path(path)
    if not root.is_dir():
        raise MissingInput(f"there is no model folder {root}: name a run, a model folder or a hub id")
    for name in (CONFIG_FILE, BACKBONE_FILE):
        if not (root / name).is_file():
            raise MissingInput(f"{root} has no {name}, so it is not a model folder: make one with `trainer export`")
    config = read_json(root / CONFIG_FILE)
    if isinstance(config, dict) and "architecture" in config and "model_type" not in config:
        raise MissingInput(f"{root} is a timm model: make a model folder of it with `trainer import {root} --out ...`")
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise BrokenArtifact(f"{root / CONFIG_FILE} names no model_type, so it is not a model's configuration")
    provenance: Mapping[str, Any] = {}
    if (root / PROVENANCE_FILE).is_file():
        provenance = read_header(
            root / PROVENANCE_FILE, format_name=FORMAT, version=VERSION, made_with="trainer export"
        )
        _check_files(root, provenance, check_sums)
    safetensors_shapes(root / BACKBONE_FILE)
    has_heads = (root / HEADS_FILE).is_file()
    if has_heads:
        safetensors_shapes(root / HEADS_FILE)
    return ModelFolder(root, config, provenance, has_heads)


def _check_files(root: Path, provenance: Mapping[str, Any], check_sums: bool) -> None:
    files = provenance.get("files")
    if not isinstance(files, dict):
        raise BrokenArtifact(f"{root / PROVENANCE_FILE} lists no files: export the model again")
    for name, wanted in files.items():
        file = root / Path(str(name)).name
        if not file.is_file():
            raise BrokenArtifact(f"{root} lacks {name}, which {PROVENANCE_FILE} lists: export the model again")
        if check_sums and sha256_file(file) != wanted:
            raise BrokenArtifact(f"{file} was changed since it was exported: its sha256 is not the recorded one")


def safetensors_shapes(file: Path | str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors in a safetensors file, from its header alone.

    Errors: BrokenArtifact when the header is not readable or the file is shorter than the header says.
    """
    path = Path(file)
    size = path.stat().st_size
    try:
        with path.open("rb") as handle:
            (length,) = struct.unpack("<Q", handle.read(8))
            if length > size - 8:
                raise ValueError("the header is longer than the file")
            header = json.loads(handle.read(length))
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        end = max((int(entry["data_offsets"][1]) for entry in tensors.values()), default=0)
        shapes = {name: tuple(int(n) for n in entry["shape"]) for name, entry in tensors.items()}
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise BrokenArtifact(f"{path} is not a readable safetensors file ({error})") from None
    if 8 + length + end != size:
        raise BrokenArtifact(f"{path} has {size} bytes where its header wants {8 + length + end}: it was cut short")
    return shapes
