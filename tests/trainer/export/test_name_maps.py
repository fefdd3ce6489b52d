"""Every layout renames every tensor, and renaming back gives the same tensors."""

from __future__ import annotations

import pytest
import torch

from contracts.errors import BrokenArtifact
from trainer.export.name_maps import HUGGING_FACE, HUGGING_FACE_5, NameMap
from trainer.export.timm_layout import from_timm, to_timm
from trainer.models.vision_transformer import VisionTransformer, VitSettings


def state(ffn: str = "mlp", registers: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    model = VisionTransformer(
        VitSettings(embed_dim=24, depth=2, num_heads=2, patch_size=4, image_size=12, ffn=ffn, registers=registers)
    )
    return {name: torch.randn_like(value) for name, value in model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("names", [HUGGING_FACE, HUGGING_FACE_5], ids=["v4", "v5"])
@pytest.mark.parametrize(("ffn", "registers"), [("mlp", 0), ("mlp", 3), ("swiglu", 0), ("swiglu", 3)])
def test_hugging_face_names_go_and_come_back(names: NameMap, ffn: str, registers: int) -> None:
    official = state(ffn, registers)
    foreign = names.to_foreign(official)
    assert not {name for name in foreign if name in official}
    assert same(names.to_official(foreign), official)


def test_qkv_rows_become_query_key_value() -> None:
    official = state()
    foreign = HUGGING_FACE.to_foreign(official)
    rows = official["blocks.1.attn.qkv.weight"]
    for part, name in enumerate(("query", "key", "value")):
        wanted = rows[24 * part : 24 * (part + 1)]
        assert torch.equal(foreign[f"encoder.layer.1.attention.attention.{name}.weight"], wanted)


@pytest.mark.parametrize(("ffn", "registers"), [("mlp", 0), ("swiglu", 2), ("mlp", 2)])
def test_timm_keeps_the_function_but_not_the_mask_token(ffn: str, registers: int) -> None:
    official = state(ffn, registers)
    foreign = to_timm(official)
    assert "mask_token" not in foreign
    assert foreign["pos_embed"].shape[1] == (9 if registers else 10)
    back = from_timm(foreign)
    assert back.keys() == official.keys()
    assert not back["mask_token"].any()
    class_position = official["cls_token"] + official["pos_embed"][:, :1]
    assert torch.allclose(back["cls_token"] + back["pos_embed"][:, :1], class_position)
    for name in official.keys() - {"mask_token", "cls_token", "pos_embed"}:
        assert torch.equal(back[name], official[name]), name


def test_unknown_and_lost_names_are_told() -> None:
    foreign = HUGGING_FACE.to_foreign(state())
    with pytest.raises(BrokenArtifact, match="pooler"):
        HUGGING_FACE.to_official({**foreign, "pooler.dense.weight": torch.zeros(1)})
    del foreign["encoder.layer.0.attention.attention.key.bias"]
    with pytest.raises(BrokenArtifact, match=r"2 of the 3 parts of blocks\.0\.attn\.qkv\.bias"):
        HUGGING_FACE.to_official(foreign)
    with pytest.raises(KeyError, match=r"rope_embed\.periods"):
        HUGGING_FACE.to_foreign({"rope_embed.periods": torch.zeros(4)})
