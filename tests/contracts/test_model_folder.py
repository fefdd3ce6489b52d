"""The model folder: opens with and without heads, finds files that are missing, cut or changed."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import BrokenArtifact, MissingInput, NewerVersion
from contracts.model_folder import (
    BACKBONE_FILE,
    CONFIG_FILE,
    HEADS_FILE,
    PREPROCESSOR_FILE,
    PROVENANCE_FILE,
    is_model_folder,
    read_model_folder,
    safetensors_shapes,
    write_provenance,
)
from contracts.publish import publish_json, read_json


def write_tensors(file: Path, tensors: dict[str, np.ndarray]) -> None:
    header, data = {}, b""
    for name, value in tensors.items():
        raw = value.astype(np.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    publish_json(tmp_path / CONFIG_FILE, {"model_type": "dinov2", "hidden_size": 8})
    publish_json(tmp_path / PREPROCESSOR_FILE, {})
    write_tensors(tmp_path / BACKBONE_FILE, {"layernorm.weight": np.ones(8)})
    write_tensors(tmp_path / HEADS_FILE, {"dino_head.last_layer.weight_v": np.ones((4, 2))})
    write_provenance(tmp_path, config_sha256="0" * 64, fields={"run": "r"})
    return tmp_path


def test_round_trip_with_heads(folder: Path) -> None:
    model = read_model_folder(folder, check_sums=True)
    assert model.config["hidden_size"] == 8
    assert model.provenance["run"] == "r"
    assert model.heads_path.name == HEADS_FILE
    assert safetensors_shapes(model.backbone_path) == {"layernorm.weight": (8,)}
    assert safetensors_shapes(model.heads_path) == {"dino_head.last_layer.weight_v": (4, 2)}


def test_a_plain_hugging_face_folder_has_no_heads(folder: Path) -> None:
    for name in (PROVENANCE_FILE, HEADS_FILE, PREPROCESSOR_FILE):
        (folder / name).unlink()
    model = read_model_folder(folder)
    assert not model.has_heads
    assert is_model_folder(folder)
    with pytest.raises(MissingInput, match="without projection heads"):
        _ = model.heads_path


def test_missing_parts_are_named(folder: Path) -> None:
    with pytest.raises(MissingInput, match="no model folder"):
        read_model_folder(folder / "none")
    (folder / HEADS_FILE).unlink()
    with pytest.raises(BrokenArtifact, match=r"lacks heads\.safetensors"):
        read_model_folder(folder)
    (folder / BACKBONE_FILE).unlink()
    assert not is_model_folder(folder)
    with pytest.raises(MissingInput, match=r"model\.safetensors"):
        read_model_folder(folder)


@pytest.mark.parametrize("keep", [4, 20, -1])
def test_cut_weights_are_found_without_checksums(folder: Path, keep: int) -> None:
    file = folder / BACKBONE_FILE
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(BrokenArtifact, match=r"model\.safetensors"):
        read_model_folder(folder)


def test_changed_weights_are_found_by_checksum(folder: Path) -> None:
    file = folder / BACKBONE_FILE
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    read_model_folder(folder)
    with pytest.raises(BrokenArtifact, match="was changed"):
        read_model_folder(folder, check_sums=True)


def test_newer_and_nameless_models_are_refused(folder: Path) -> None:
    publish_json(folder / PROVENANCE_FILE, {**read_json(folder / PROVENANCE_FILE), "version": 7})
    with pytest.raises(NewerVersion):
        read_model_folder(folder)
    publish_json(folder / CONFIG_FILE, {})
    with pytest.raises(BrokenArtifact, match="model_type"):
        read_model_folder(folder)
