"""When the anchor is taken, and what it compares."""

from __future__ import annotations

import torch

from trainer.methods.dinov2 import DinoV2
from trainer.methods.dinov2_settings import DinoV2Settings
from trainer.methods.gram_anchor import GramAnchor, GramSettings
from trainer.models.heads import HeadSettings
from trainer.models.sizes import build_vit, vit_settings
from trainer.models.vision_transformer import VisionTransformer


def teacher(seed: int) -> VisionTransformer:
    torch.manual_seed(seed)
    return build_vit("vitn8", image_size=32, embed_dim=32, depth=1, layer_scale=1.0)


def test_the_anchor_is_taken_at_its_steps_and_no_oftener() -> None:
    anchor = GramAnchor(teacher(0), GramSettings(start_step=2, refresh_every=3, max_refreshes=1))
    taken = []
    for step in range(12):
        before = int(anchor.taken)
        anchor.before_step(teacher(step), step)
        if int(anchor.taken) > before:
            taken.append(step)
    assert taken == [2, 5]


def test_an_equal_student_has_no_loss() -> None:
    model, crops = teacher(0), torch.randn(4, 3, 32, 32)
    anchor = GramAnchor(model, GramSettings(start_step=0))
    with torch.no_grad():
        patches = model.eval()(crops).patches
    assert anchor.loss(patches, crops, step=0).item() < 1e-10
    assert anchor.loss(torch.randn_like(patches), crops, step=0).item() > 1e-3


def test_enlarged_crops_come_back_to_the_students_grid() -> None:
    anchor = GramAnchor(teacher(0), GramSettings(start_step=0, enlarge=2.0))
    patches = torch.randn(2, 16, 32, requires_grad=True)
    loss = anchor.loss(patches, torch.randn(2, 3, 32, 32), step=0)
    loss.backward()
    assert patches.grad is not None
    assert patches.grad.abs().sum() > 0


def test_the_anchor_of_a_method_in_training_drops_no_sample() -> None:
    backbone = vit_settings("vitp8", image_size=32, drop_path_rate=0.9, layer_scale=1.0)
    head = HeadSettings(prototypes=8, hidden_dim=8, bottleneck_dim=8)
    method = DinoV2(DinoV2Settings(backbone, head, gram=GramSettings())).train()
    assert method.gram is not None
    crops = torch.randn(4, 3, 32, 32)
    assert method.student["backbone"].training
    assert torch.equal(method.gram._patches(crops), method.gram._patches(crops))
