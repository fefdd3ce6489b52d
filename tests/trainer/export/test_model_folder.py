"""A model folder opens as what was exported: weights, heads, description; and says what is wrong with a bad one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from contracts.errors import BrokenArtifact, MissingInput
from contracts.model_folder import HEADS_FILE, PREPROCESSOR_FILE, PROVENANCE_FILE
from contracts.publish import read_json
from trainer.export.model_folder import ModelDescription, export_model, load_model
from trainer.models.heads import HeadSettings, PrototypeHead
from trainer.models.vision_transformer import VisionTransformer, VitSettings

SMALL = {"embed_dim": 24, "depth": 2, "num_heads": 2, "patch_size": 4, "image_size": 12}
DESCRIPTION = ModelDescription(name="vitx4", method="dinov2", step=7, origin={"data": "somewhere"})


def modules(heads: tuple[HeadSettings, ...] = (), **fields: object) -> nn.ModuleDict:
    torch.manual_seed(0)
    backbone = VisionTransformer(VitSettings(**(SMALL | fields)))  # type: ignore[arg-type]
    for parameter in backbone.parameters():
        nn.init.normal_(parameter, std=0.2)
    found = nn.ModuleDict({"backbone": backbone.eval()})
    for name, settings in zip(("dino_head", "ibot_head"), heads, strict=False):
        found[name] = PrototypeHead(24, settings)
    return found


HEADS = (
    HeadSettings(prototypes=10, hidden_dim=12, bottleneck_dim=6, layers=3),
    HeadSettings(prototypes=8, hidden_dim=12, bottleneck_dim=5, layers=2, weight_norm=False, mlp_bias=False),
)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"registers": 2, "ffn": "swiglu", "resampling": "official_registers"},
        {"layer_scale": None},
        {"position": "rope", "embed_dim": 32},
        {"mlp_ratio": 2.5},
        {"in_channels": 5},
    ],
    ids=lambda fields: ",".join(fields) or "plain",
)
def test_loaded_model_gives_the_same_tokens_at_every_size(tmp_path: Path, fields: dict[str, object]) -> None:
    made = modules(**fields)
    channels = int(fields.get("in_channels", 3))  # type: ignore[call-overload]
    mean = (0.5,) * channels
    out = export_model(made, ModelDescription("v", "dinov2", mean=mean, std=mean), tmp_path / "m")
    loaded = load_model(out)
    for size in ((12, 12), (20, 8)):
        images = torch.randn(2, channels, *size)
        ours, theirs = made["backbone"](images), loaded.backbone(images)
        assert torch.allclose(ours.cls, theirs.cls, atol=1e-6)
        assert torch.allclose(ours.patches, theirs.patches, atol=1e-6)
    assert loaded.description.mean == mean
    assert not loaded.heads


def test_heads_and_description_come_back(tmp_path: Path) -> None:
    made = modules(HEADS)
    loaded = load_model(export_model(made, DESCRIPTION, tmp_path / "run" / "export").parent)
    tokens = torch.randn(5, 24)
    for name, settings in zip(("dino_head", "ibot_head"), HEADS, strict=True):
        head = loaded.heads[name]
        assert torch.allclose(head(tokens), made[name](tokens), atol=1e-6)
        assert head.settings.prototypes == settings.prototypes
        assert head.settings.weight_norm == settings.weight_norm
    assert loaded.description.step == 7
    assert loaded.description.origin == {"data": "somewhere"}
    assert loaded.image_px == 12


def test_exporting_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    first = export_model(modules(HEADS), DESCRIPTION, tmp_path / "a")
    second = export_model(modules(HEADS), DESCRIPTION, tmp_path / "b")
    export_model(modules(HEADS), DESCRIPTION, tmp_path / "b")
    names = sorted(file.name for file in first.iterdir())
    assert names == sorted(file.name for file in second.iterdir())
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)


def test_a_hugging_face_folder_opens_without_heads(tmp_path: Path) -> None:
    out = export_model(modules(HEADS), DESCRIPTION, tmp_path / "m")
    for name in (PROVENANCE_FILE, HEADS_FILE, PREPROCESSOR_FILE):
        (out / name).unlink()
    loaded = load_model(out)
    assert not loaded.heads
    assert loaded.backbone.settings.resampling == "huggingface"  # type: ignore[union-attr]
    assert load_model(out, resampling="official").backbone.settings.resampling == "official"  # type: ignore[union-attr]


def test_a_model_that_only_winnow_reads_says_so(tmp_path: Path) -> None:
    out = export_model(modules(position="rope", embed_dim=32), DESCRIPTION, tmp_path / "m")
    assert "rotary positions" in read_json(out / PROVENANCE_FILE)["only_for_winnow"]


def test_missing_models_are_told_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"there is no model .*name a run"):
        load_model(tmp_path / "none" / "at" / "all")
    (tmp_path / "config.yaml").write_text("{}")
    with pytest.raises(MissingInput, match="has no model yet"):
        load_model(tmp_path)
    file = tmp_path / "weights.pth"
    file.write_bytes(b"x")
    with pytest.raises(MissingInput, match="trainer import"):
        load_model(file)
    out = export_model(modules(), DESCRIPTION, tmp_path / "run" / "export" / "vits14")
    assert load_model(tmp_path / "run").folder == out
    shutil.copytree(out, out.with_name("vitb14"))
    with pytest.raises(MissingInput, match=r"several models: name one of .*vitb14, .*vits14"):
        load_model(tmp_path / "run")


def test_weights_that_do_not_fit_their_config_are_told(tmp_path: Path) -> None:
    out = export_model(modules(), DESCRIPTION, tmp_path / "m")
    other = export_model(modules(depth=3), DESCRIPTION, tmp_path / "n")
    (out / PROVENANCE_FILE).unlink()
    shutil.copy(other / "model.safetensors", out / "model.safetensors")
    with pytest.raises(BrokenArtifact, match=r"does not fit its config\.json"):
        load_model(out)


def test_a_model_in_the_hubs_cache_opens_by_its_id(tmp_path: Path) -> None:
    """The cache's own layout: models--owner--name/{refs/main, snapshots/<commit>/files}."""
    commit = "0" * 40
    home = tmp_path / "models--someone--small-vit"
    export_model(modules(HEADS), DESCRIPTION, home / "snapshots" / commit)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(commit)
    loaded = load_model("someone/small-vit", hub_cache=tmp_path)
    assert set(loaded.heads) == {"dino_head", "ibot_head"}
