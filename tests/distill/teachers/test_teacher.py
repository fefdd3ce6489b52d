"""Teachers open from a run, a folder, Hugging Face; the newest pretrained run is meant when none is named."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn.functional import interpolate

from contracts.errors import MissingInput
from distill.teachers.newest_run import newest_teacher
from distill.teachers.teacher import open_teacher, teacher_fingerprint
from trainer.data.batch import CropBatch
from trainer.export.model_folder import load_model

CPU = torch.device("cpu")


def test_tokens_are_constants_that_autograd_accepts(make_teacher: Callable[..., Path]) -> None:
    teacher = open_teacher(make_teacher(), CPU)
    said = teacher.tokens(torch.randn(2, 3, 16, 16))
    assert not said.cls.requires_grad
    weight = torch.ones(24, requires_grad=True)
    (said.cls * weight).sum().backward()
    assert weight.grad is not None
    assert not any(p.requires_grad for p in teacher.backbone.parameters())


def test_precision_changes_the_weights_and_not_the_meaning(make_teacher: Callable[..., Path]) -> None:
    folder, images = make_teacher(), torch.randn(2, 3, 16, 16)
    full = open_teacher(folder, CPU).tokens(images)
    teacher = open_teacher(folder, CPU, precision="bf16")
    half = teacher.tokens(images)
    assert next(teacher.backbone.parameters()).dtype == torch.bfloat16
    assert half.cls.dtype == torch.float32
    assert not torch.equal(half.cls, full.cls)
    assert torch.nn.functional.cosine_similarity(half.cls, full.cls).min() > 0.98


def test_a_grid_of_its_own_changes_what_it_sees_and_not_how_many_patches_it_tells(
    make_teacher: Callable[..., Path], make_batch: Callable[..., CropBatch]
) -> None:
    """Crops of 16 px, 4 x 4 patches for the student; the teacher sees 2 x 2 of them, each told four times over."""
    teacher, batch = open_teacher(make_teacher(), CPU), make_batch()
    same = teacher.look(batch, 4)
    teacher.grid = 4
    assert torch.equal(teacher.look(batch, 4).patches, same.patches)
    teacher.grid = 2
    small = interpolate(batch.global_crops, size=(8, 8), mode="bicubic", antialias=True)
    wanted, said = teacher.tokens(small), teacher.look(batch, 4)
    assert torch.equal(said.cls, wanted.cls)
    assert not torch.allclose(said.cls, same.cls, atol=1e-3)
    corners = said.patches[:, [0, 3, 12, 15]]
    assert said.patches.shape == same.patches.shape
    assert torch.allclose(corners, wanted.patches, atol=1e-6)


@pytest.mark.slow
def test_a_compiled_teacher_says_the_same(make_teacher: Callable[..., Path]) -> None:
    folder, images = make_teacher(), torch.randn(2, 3, 16, 16)
    plain, compiled = open_teacher(folder, CPU).tokens(images), open_teacher(folder, CPU, compiled=True).tokens(images)
    assert torch.allclose(plain.cls, compiled.cls, atol=1e-4)
    assert torch.allclose(plain.patches, compiled.patches, atol=1e-4)


def test_each_head_serves_its_tokens(make_teacher: Callable[..., Path]) -> None:
    teacher = open_teacher(make_teacher(), CPU)
    said = teacher.tokens(torch.randn(2, 3, 16, 16))
    assert teacher.dino_head is not None
    assert teacher.ibot_head is not None
    cls, patches = teacher.bottlenecks(said.cls, said.patches[:, 3])
    assert torch.allclose(cls, teacher.dino_head.bottleneck(said.cls))
    assert torch.allclose(patches, teacher.ibot_head.bottleneck(said.patches[:, 3]))


def test_a_shared_head_serves_both(make_teacher: Callable[..., Path]) -> None:
    teacher = open_teacher(make_teacher(heads="dino_head"), CPU)
    assert teacher.ibot_head is teacher.dino_head is not None
    assert open_teacher(make_teacher("bare", heads=""), CPU).dino_head is None


def test_a_hugging_face_folder_is_a_teacher(tmp_path: Path) -> None:
    import transformers

    config = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
    )
    model = transformers.AutoModel.from_config(config).eval()
    model.save_pretrained(tmp_path)
    images = torch.randn(2, 3, 28, 28)
    said = open_teacher(tmp_path, CPU).tokens(images)
    with torch.no_grad():
        wanted = model(images).last_hidden_state
    assert torch.allclose(said.cls, wanted[:, 0], atol=1e-5)
    assert torch.allclose(said.patches, wanted[:, 1:], atol=1e-5)


def test_fingerprint_follows_the_weights(make_teacher: Callable[..., Path]) -> None:
    first = teacher_fingerprint(load_model(make_teacher("a")))
    assert first == teacher_fingerprint(load_model(make_teacher("b")))
    assert first != teacher_fingerprint(load_model(make_teacher("c", heads="dino_head")))


def test_the_newest_pretrained_run_is_meant(make_teacher: Callable[..., Path], tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    with pytest.raises(MissingInput, match=r"trainer pretrain.*--teacher"):
        newest_teacher(runs)
    for age, (name, method) in enumerate([("distill-vits14", "distillation"), ("young", "dinov2"), ("old", "dinov2")]):
        folder = make_teacher(f"runs/{name}/export", method=method)
        os.utime(folder / "provenance.json", ns=(10**18 - age * 10**9, 10**18 - age * 10**9))
    (runs / "unfinished").mkdir()
    assert newest_teacher(runs) == runs / "young"
