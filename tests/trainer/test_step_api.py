"""A step from a configuration and given weights: official names in, the same names out, wrong ones told."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from contracts.errors import BrokenArtifact
from trainer.step_api import StepParts, build_step, load_official, official_state

TINY = (
    "model.arch=vitp4",
    "crops.global_px=16",
    "crops.local_px=8",
    "heads.dino={prototypes: 12, hidden_dim: 16, bottleneck_dim: 8}",
    "heads.ibot={prototypes: 10, hidden_dim: 16, bottleneck_dim: 8}",
    "run.device=cpu",
)


def parts(*more: str) -> StepParts:
    return build_step("cpu", [*TINY, *more])


def numbered(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Other values for every weight, so that what is loaded can be told from what was there."""
    return {name: torch.full_like(value, 0.01 * (1 + place)) for place, (name, value) in enumerate(state.items())}


@pytest.mark.parametrize("more", [(), ("heads.shared=true", "losses.centering=centering")])
def test_official_weights_go_in_and_come_out(more: tuple[str, ...]) -> None:
    method = parts(*more).method
    given = numbered(official_state(method))
    assert not torch.equal(given["student.backbone.norm.bias"], given["teacher.backbone.norm.bias"])
    assert ("dino_loss.center" in given) == bool(more)
    load_official(method, given)
    found = official_state(method)
    assert given.keys() == found.keys()
    assert all(torch.equal(found[name], value) for name, value in given.items())


def test_chunks_wrappers_a_head_listed_twice_and_a_missing_teacher() -> None:
    method = parts("heads.shared=true").method
    given = {n: v for n, v in numbered(official_state(method)).items() if n.startswith("student.")}
    foreign = {f"module.{n.replace('.blocks.', '.blocks.0.')}": v for n, v in given.items()}
    foreign |= {n.replace("dino_head", "ibot_head"): v for n, v in foreign.items() if "dino_head" in n}
    load_official(method, {n.replace("weight_g", "parametrizations.weight.original0"): v for n, v in foreign.items()})
    for role in ("student", "teacher"):
        for name, value in getattr(method, role).state_dict().items():
            assert torch.equal(value, given[f"student.{name}"]), name


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_weights_that_do_not_fit_are_named_and_nothing_is_loaded(role: str) -> None:
    method = parts().method
    given = official_state(method)
    before = {name: value.clone() for name, value in given.items()}
    wrong = numbered(given)
    wrong[f"{role}.backbone.extra"] = wrong.pop(f"{role}.backbone.norm.bias")
    with pytest.raises(BrokenArtifact, match=r"norm\.bias is missing; backbone\.extra has no place"):
        load_official(method, wrong)
    assert all(torch.equal(value, before[name]) for name, value in official_state(method).items())


def test_a_center_of_another_size_is_named_and_nothing_is_loaded() -> None:
    method = parts("losses.centering=centering").method
    before = {name: value.clone() for name, value in official_state(method).items()}
    wrong = numbered(official_state(method)) | {"dino_loss.center": torch.zeros(1, 3)}
    with pytest.raises(BrokenArtifact, match=r"dino_loss\.center has 3 values"):
        load_official(method, wrong)
    assert all(torch.equal(value, before[name]) for name, value in official_state(method).items())


def test_the_parts_follow_the_settings() -> None:
    asked = ("optim.clip_norm=2.0", "optim.beta2=0.95", "losses.koleo_min_distance=0", "model.rope.jitter=1.2")
    made = parts(*asked, "losses.koleo_distributed=true", "heads.dino.mlp_bias=false")
    assert made.clip_norm == 2.0
    assert made.optimizer.param_groups[0]["betas"] == (0.9, 0.95)
    settings = made.method.settings
    assert (settings.koleo_min_distance, settings.koleo_distributed) == (0.0, True)
    assert settings.backbone.rope.jitter == 1.2
    assert "dino_head.mlp.0.bias" not in made.method.student.state_dict()
    assert made.schedules.steps == made.config.run.steps
