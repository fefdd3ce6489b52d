"""Checkpoints of every known layout become the same model folder; strange files are told apart in one sentence."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from contracts.errors import BrokenArtifact, ConfigError, MissingInput, UserError
from trainer.export.import_model import import_model
from trainer.export.name_maps import HUGGING_FACE, HUGGING_FACE_5
from trainer.export.read_checkpoint import official_names, read_checkpoint
from trainer.export.timm_layout import to_timm
from trainer.models.heads import HeadSettings, PrototypeHead
from trainer.models.vision_transformer import VisionTransformer, VitSettings

State = dict[str, Tensor]
VARIANTS = [("mlp", 0), ("swiglu", 0), ("mlp", 2), ("swiglu", 2)]


def model(ffn: str = "mlp", registers: int = 0, image_size: int = 16) -> VisionTransformer:
    torch.manual_seed(0)
    resampling = "official_registers" if registers else "official"
    settings = VitSettings(128, 3, 2, 4, image_size, ffn=ffn, registers=registers, resampling=resampling)
    made = VisionTransformer(settings).eval()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.1)
    nn.init.zeros_(made.mask_token)
    return made


def chunked(state: State) -> State:
    """Blocks in chunks of two as FSDP training holds them: block 2 is the third entry of chunk 1."""
    return {
        (
            f"blocks.{int(name.split('.')[1]) // 2}.{name.removeprefix('blocks.')}"
            if name.startswith("blocks.")
            else name
        ): v
        for name, v in state.items()
    }


LAYOUTS: dict[str, Callable[[State], object]] = {
    "plain": dict,
    "chunked": chunked,
    "wrapped": lambda s: {"model": s, "iteration": 3},
    "training": lambda s: {"teacher": {f"module.backbone.{k}": v for k, v in s.items()}},
    "both sides": lambda s: {
        "model": {
            **{f"student.backbone.{k}": v + 1 for k, v in s.items()},
            **{f"teacher.backbone.{k}": v for k, v in s.items()},
            "dino_loss.center": torch.zeros(1, 4),
        }
    },
    "compiled": lambda s: {f"_orig_mod.{k}": v for k, v in s.items()},
    "hugging face": HUGGING_FACE.to_foreign,
    "hugging face task": lambda s: {
        **{f"dinov2.{k}": v for k, v in HUGGING_FACE.to_foreign(s).items()},
        "classifier.weight": torch.zeros(2, 2),
    },
    "transformers 5": HUGGING_FACE_5.to_foreign,
    "timm": lambda s: {**to_timm(s), "head.weight": torch.zeros(2, 2)},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("ffn", "registers"), VARIANTS)
def test_every_layout_gives_the_same_tokens(tmp_path: Path, layout: str, ffn: str, registers: int) -> None:
    made = model(ffn, registers)
    torch.save(LAYOUTS[layout](made.state_dict()), tmp_path / "file.pth")
    loaded = import_model(tmp_path / "file.pth", tmp_path / "out")
    for size in ((16, 16), (24, 8)):
        images = torch.randn(2, 3, *size)
        ours, theirs = made(images), loaded.backbone(images)
        assert torch.allclose(ours.cls, theirs.cls, atol=1e-5)
        assert torch.allclose(ours.patches, theirs.patches, atol=1e-5)
    assert loaded.description.method == "import"
    assert "layout" in loaded.description.origin


def test_heads_of_a_training_checkpoint_come_along(tmp_path: Path) -> None:
    made, head = model(), PrototypeHead(128, HeadSettings(prototypes=8, hidden_dim=12, bottleneck_dim=6))
    names = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    heads = {f"dino_head.{k}": v for k, v in head.state_dict().items()}
    renamed = {k.replace(old, new): v for k, v in heads.items() for old, new in names.items() if old in k}
    kept = {k: v for k, v in heads.items() if not any(old in k for old in names)}
    state = {f"backbone.{k}": v for k, v in made.state_dict().items()}
    torch.save({"teacher": {**state, **kept, **renamed}}, tmp_path / "teacher_checkpoint.pth")
    loaded = import_model(tmp_path / "teacher_checkpoint.pth", tmp_path / "out")
    tokens = torch.randn(3, 128)
    assert torch.allclose(loaded.heads["dino_head"](tokens), head(tokens), atol=1e-6)


def test_safetensors_and_folders_are_read_too(tmp_path: Path) -> None:
    made = model()
    save_file(made.state_dict(), tmp_path / "file.safetensors")
    first = import_model(tmp_path / "file.safetensors", tmp_path / "a")
    second = import_model(tmp_path / "a", tmp_path / "b")
    images = torch.randn(1, 3, 16, 16)
    assert torch.equal(first.backbone(images).cls, second.backbone(images).cls)


@pytest.mark.parametrize("registers", [0, 2])
def test_a_resized_position_table_gives_the_outputs_of_that_size(tmp_path: Path, registers: int) -> None:
    """Made for 40 px, imported for 24 px: the same tokens at 24 px as the original, which resamples as it runs."""
    made = model(registers=registers, image_size=40)
    torch.save(made.state_dict(), tmp_path / "file.pth")
    loaded = import_model(tmp_path / "file.pth", tmp_path / "out", image_px=24)
    assert loaded.image_px == 24
    images = torch.randn(2, 3, 24, 24)
    assert torch.allclose(loaded.backbone(images).patches, made(images).patches, atol=1e-5)


def test_the_number_of_heads_is_asked_for_only_where_it_cannot_be_told(tmp_path: Path) -> None:
    odd = VisionTransformer(VitSettings(24, 2, 3, 4, 16))
    torch.save(odd.state_dict(), tmp_path / "odd.pth")
    with pytest.raises(ConfigError, match="--num-heads"):
        import_model(tmp_path / "odd.pth", tmp_path / "out")
    loaded = import_model(tmp_path / "odd.pth", tmp_path / "out", num_heads=3)
    assert loaded.backbone.settings.num_heads == 3  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match="a model 24 wide has no 5 attention heads"):
        import_model(tmp_path / "odd.pth", tmp_path / "out", num_heads=5)


def test_block_numbers_of_chunks_are_global() -> None:
    names = official_names({"blocks.0.1.norm1.weight": torch.zeros(1), "blocks.3.11.norm1.weight": torch.ones(1)})
    assert set(names) == {"blocks.1.norm1.weight", "blocks.11.norm1.weight"}


class Payload:
    """What a hostile checkpoint would hold."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit(99)",))


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    torch.save({"model": Payload()}, tmp_path / "bad.pth")
    with pytest.raises(BrokenArtifact, match=r"cannot be read as a checkpoint \(it holds the object exec, which"):
        read_checkpoint(tmp_path / "bad.pth")
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(BrokenArtifact, match="cannot be read as a checkpoint"):
        read_checkpoint(tmp_path / "bad.pkl")


def test_what_is_wrong_with_a_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="no checkpoint file"):
        read_checkpoint(tmp_path / "none.pth")
    torch.save({"layer1.0.conv1.weight": torch.zeros(1)}, tmp_path / "resnet.pth")
    with pytest.raises(BrokenArtifact, match=r"no known layout \(layer1"):
        read_checkpoint(tmp_path / "resnet.pth")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(BrokenArtifact, match="no named tensors"):
        read_checkpoint(tmp_path / "empty.pth")
    state = model().state_dict()
    del state["blocks.1.norm2.bias"]
    torch.save(state, tmp_path / "holed.pth")
    with pytest.raises(BrokenArtifact, match="is not a whole backbone"):
        import_model(tmp_path / "holed.pth", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    cut = tmp_path / "cut.pth"
    torch.save(model().state_dict(), cut)
    cut.write_bytes(cut.read_bytes()[:1000])
    with pytest.raises(BrokenArtifact, match=r"cannot be read as a checkpoint \(it was cut short\)"):
        read_checkpoint(cut)
    cut.write_bytes(b"no checkpoint at all")
    with pytest.raises(BrokenArtifact, match=r"\(it is no file of torch.save\)"):
        read_checkpoint(cut)
    cut.write_bytes(b"")
    with pytest.raises(BrokenArtifact, match=r"\(it is empty\)"):
        read_checkpoint(cut)
    with pytest.raises(MissingInput, match=r"there is no file .*models/none\.pth"):
        import_model("models/none.pth", tmp_path / "out")


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    """Models are published as whole folders: what lay there before would be gone."""
    torch.save(model().state_dict(), tmp_path / "file.pth")
    thesis = tmp_path / "out" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("years of work")
    with pytest.raises(UserError, match=r"out holds thesis\.txt, which would be lost"):
        import_model(tmp_path / "file.pth", thesis.parent)
    assert thesis.read_text() == "years of work"
    with pytest.raises(UserError, match="is a file where a folder was wanted"):
        import_model(tmp_path / "file.pth", thesis)
    thesis.unlink()
    for _ in range(2):  # an empty folder, and a model that was written before
        assert import_model(tmp_path / "file.pth", thesis.parent).image_px == 16
