"""Parameter names of the ecosystem's checkpoints against the official DINOv2 names, as data, in both directions.

A row maps one official tensor to one or several foreign ones; several are equal chunks of its rows. `{i}` is a block
index; a trailing `.weight` or `.bias` is carried over.
Source: the released DINOv2 code; transformers' Dinov2 (file names of version 4, in-memory names of version 5); timm.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from contracts.errors import BrokenArtifact

Row = tuple[str, tuple[str, ...]]

_SUFFIX = r"(\.weight|\.bias)?"


@dataclass(frozen=True)
class NameMap:
    """One foreign layout."""

    layout: str
    rows: tuple[Row, ...]

    @cached_property
    def _by_official(self) -> list[tuple[re.Pattern[str], tuple[str, ...]]]:
        return [(_pattern(official), foreign) for official, foreign in self.rows]

    @cached_property
    def _by_foreign(self) -> list[tuple[re.Pattern[str], str, int, int]]:
        return [
            (_pattern(name), official, part, len(foreign))
            for official, foreign in self.rows
            for part, name in enumerate(foreign)
        ]

    def to_foreign(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rename official tensors. Errors: KeyError for a name that the layout cannot express."""
        renamed: dict[str, Tensor] = {}
        for name, tensor in state.items():
            templates, match = _first_match(self._by_official, name)
            if match is None or templates is None:
                raise KeyError(f"the {self.layout} layout has no name for {name}")
            for template, chunk in zip(templates, tensor.chunk(len(templates)), strict=True):
                renamed[_fill(template, match)] = chunk.contiguous()
        return renamed

    def to_official(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rename foreign tensors. Errors: BrokenArtifact for a name that the layout does not know or a lost chunk."""
        parts: dict[str, dict[int, Tensor]] = {}
        wanted: dict[str, int] = {}
        for name, tensor in state.items():
            for pattern, official, part, count in self._by_foreign:
                if match := pattern.fullmatch(name):
                    key = _fill(official, match)
                    parts.setdefault(key, {})[part] = tensor
                    wanted[key] = count
                    break
            else:
                raise BrokenArtifact(f"the checkpoint holds {name!r}, which is no name of the {self.layout} layout")
        for key, found in parts.items():
            if len(found) != wanted[key]:
                raise BrokenArtifact(f"the checkpoint holds only {len(found)} of the {wanted[key]} parts of {key}")
        return {
            key: found[0] if len(found) == 1 else torch.cat([found[part] for part in sorted(found)])
            for key, found in parts.items()
        }


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.escape(template).replace(r"\{i\}", r"(?P<i>\d+)") + _SUFFIX)


def _first_match(
    table: list[tuple[re.Pattern[str], tuple[str, ...]]], name: str
) -> tuple[tuple[str, ...] | None, re.Match[str] | None]:
    for pattern, templates in table:
        if match := pattern.fullmatch(name):
            return templates, match
    return None, None


def _fill(template: str, match: re.Match[str]) -> str:
    block = match.groupdict().get("i")
    suffix = match.group(match.re.groups) or ""
    return (template if block is None else template.replace("{i}", block)) + suffix


_HF_EMBEDDINGS: tuple[Row, ...] = (
    ("cls_token", ("embeddings.cls_token",)),
    ("mask_token", ("embeddings.mask_token",)),
    ("register_tokens", ("embeddings.register_tokens",)),
    ("pos_embed", ("embeddings.position_embeddings",)),
    ("patch_embed.proj", ("embeddings.patch_embeddings.projection",)),
    ("norm", ("layernorm",)),
)
_HF_BLOCK: tuple[Row, ...] = (
    ("blocks.{i}.norm1", ("encoder.layer.{i}.norm1",)),
    ("blocks.{i}.norm2", ("encoder.layer.{i}.norm2",)),
    ("blocks.{i}.ls1.gamma", ("encoder.layer.{i}.layer_scale1.lambda1",)),
    ("blocks.{i}.ls2.gamma", ("encoder.layer.{i}.layer_scale2.lambda1",)),
    ("blocks.{i}.mlp.fc1", ("encoder.layer.{i}.mlp.fc1",)),
    ("blocks.{i}.mlp.fc2", ("encoder.layer.{i}.mlp.fc2",)),
)
_V4, _V5 = "encoder.layer.{i}.attention.attention.", "encoder.layer.{i}.attention."

HUGGING_FACE = NameMap(
    "Hugging Face",
    (
        *_HF_EMBEDDINGS,
        *_HF_BLOCK,
        ("blocks.{i}.attn.qkv", (f"{_V4}query", f"{_V4}key", f"{_V4}value")),
        ("blocks.{i}.attn.proj", ("encoder.layer.{i}.attention.output.dense",)),
        ("blocks.{i}.mlp.w12", ("encoder.layer.{i}.mlp.weights_in",)),
        ("blocks.{i}.mlp.w3", ("encoder.layer.{i}.mlp.weights_out",)),
    ),
)
"""What every version of transformers reads and writes on disk."""

HUGGING_FACE_5 = NameMap(
    "transformers 5 in-memory",
    (
        *_HF_EMBEDDINGS,
        *_HF_BLOCK,
        ("blocks.{i}.attn.qkv", (f"{_V5}q_proj", f"{_V5}k_proj", f"{_V5}v_proj")),
        ("blocks.{i}.attn.proj", (f"{_V5}o_proj",)),
        ("blocks.{i}.mlp.w12", ("encoder.layer.{i}.mlp.gate_proj", "encoder.layer.{i}.mlp.up_proj")),
        ("blocks.{i}.mlp.w3", ("encoder.layer.{i}.mlp.down_proj",)),
    ),
)
"""state_dict() of a model in transformers >= 5: what a file holds that was saved with torch.save."""

TIMM = NameMap(
    "timm",
    (
        ("cls_token", ("cls_token",)),
        ("register_tokens", ("reg_token",)),
        ("pos_embed", ("pos_embed",)),
        ("patch_embed.proj", ("patch_embed.proj",)),
        ("norm", ("norm",)),
        *((f"blocks.{{i}}.{part}", (f"blocks.{{i}}.{part}",)) for part in ("norm1", "norm2", "attn.qkv", "attn.proj")),
        *((f"blocks.{{i}}.{part}", (f"blocks.{{i}}.{part}",)) for part in ("ls1.gamma", "ls2.gamma")),
        ("blocks.{i}.mlp.fc1", ("blocks.{i}.mlp.fc1",)),
        ("blocks.{i}.mlp.fc2", ("blocks.{i}.mlp.fc2",)),
    ),
)
"""A plain MLP; the position of the class token with registers is folded apart (timm_layout.py)."""

TIMM_SWIGLU = NameMap(
    "timm",
    (
        *(row for row in TIMM.rows if ".mlp." not in row[0]),
        ("blocks.{i}.mlp.w12", ("blocks.{i}.mlp.fc1",)),
        ("blocks.{i}.mlp.w3", ("blocks.{i}.mlp.fc2",)),
    ),
)
