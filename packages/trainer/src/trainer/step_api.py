"""One training step from a configuration and given weights: what is needed to hold it against other code.

docs/step-api.md shows the whole way. Names of weights are those of the official training code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from contracts.errors import BrokenArtifact
from trainer.config.presets import load_pretrain_config
from trainer.config.pretrain import PretrainConfig
from trainer.losses.softmax_centering import SoftmaxCentering
from trainer.methods.dinov2 import DinoV2
from trainer.methods.target_makers import Centering, TargetMaker
from trainer.optim.adamw import build_adamw
from trainer.optim.schedules import Schedules, build_schedules
from trainer.recipe import method_settings, schedule_settings

_WRAPPERS = re.compile(r"(module\.|_orig_mod\.|_fsdp_wrapped_module\.)")
_CHUNK = re.compile(r"^backbone\.blocks\.\d+\.(\d+\.)")
_PARAMETRIZED = {
    "last_layer.parametrizations.weight.original0": "last_layer.weight_g",
    "last_layer.parametrizations.weight.original1": "last_layer.weight_v",
}
_CENTERS = {"dino_loss.center": "dino_targets", "ibot_patch_loss.center": "ibot_targets"}


@dataclass(frozen=True)
class StepParts:
    """What a step is made of: `schedules.at(step)` gives its knobs, `clip_norm` goes to finish_step."""

    config: PretrainConfig
    method: DinoV2
    optimizer: torch.optim.Optimizer
    schedules: Schedules
    clip_norm: float


def build_step(config: str | Path | PretrainConfig, overrides: Sequence[str] = ()) -> StepParts:
    """The method in training mode, its optimiser and its schedules, as `trainer pretrain` builds them.

    config: name of a preset, YAML file, or settings; weights are drawn from run.seed.
    Errors: ConfigError, MissingInput.
    """
    asked = config if isinstance(config, PretrainConfig) else load_pretrain_config(str(config), overrides)
    torch.manual_seed(asked.run.seed)
    method = DinoV2(method_settings(asked)).train()
    optimizer = build_adamw(method.parameter_groups(), betas=(asked.optim.beta1, asked.optim.beta2))
    schedules = build_schedules(schedule_settings(asked).settings)
    return StepParts(asked, method, optimizer, schedules, asked.optim.clip_norm)


def load_official(method: DinoV2, state: Mapping[str, Tensor]) -> None:
    """Put official weights into student and teacher, and centers where the method has them.

    Names: student.* and teacher.* over backbone.*, dino_head.* and ibot_head.*, in block chunks or not;
    dino_loss.center and ibot_patch_loss.center. Without teacher.* the teacher begins as the student, as at the start of
    a run; a head that the official code lists twice because it is shared is taken once.
    Errors: BrokenArtifact naming weights that are missing, of another shape, or that the method has no place for;
    nothing is loaded then.
    """
    named = {_official(name): value for name, value in state.items()}
    student = _part(named, "student")
    teacher = _part(named, "teacher") or student
    fitting = [
        (method.student, _fitting(method.student, student, "student")),
        (method.teacher, _fitting(method.teacher, teacher, "teacher")),
    ]
    centers = {name: target for name, target in _centers(method).items() if name in named}
    for name, target in centers.items():
        if named[name].numel() != target.center.numel():
            raise BrokenArtifact(
                f"{name} has {named[name].numel()} values where the method has {target.center.numel()} prototypes: set "
                "heads.*.prototypes to what the weights were made with"
            )
    for modules, values in fitting:
        modules.load_state_dict(values)
    for name, target in centers.items():
        target.center.copy_(named[name].reshape(target.center.shape))
        target.has_pending.fill_(False)


def official_state(method: DinoV2) -> dict[str, Tensor]:
    """Weights and centers under official names, as `load_official` reads them; the tensors are the method's own."""
    found = {
        f"{role}.{name}": value
        for role, modules in (("student", method.student), ("teacher", method.teacher))
        for name, value in modules.state_dict().items()
    }
    return found | {name: target.center for name, target in _centers(method).items()}


def _official(name: str) -> str:
    """Without wrappers and block chunks, with the older names of a weight-normed layer."""
    name = _WRAPPERS.sub("", name)
    for long, short in _PARAMETRIZED.items():
        name = name.replace(long, short)
    role, _, rest = name.partition(".")
    if role not in ("student", "teacher"):
        return name
    return f"{role}." + _CHUNK.sub(r"backbone.blocks.\1", rest)


def _part(named: Mapping[str, Tensor], role: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{role}."): value for name, value in named.items() if name.startswith(f"{role}.")}


def _fitting(modules: nn.ModuleDict, values: Mapping[str, Tensor], role: str) -> dict[str, Tensor]:
    """The values that the modules take, each in its place. Errors: BrokenArtifact."""
    own = modules.state_dict()
    if "ibot_head" not in modules:
        values = {name: value for name, value in values.items() if not _repeats_shared_head(name, values)}
    wrong = [f"{name} is missing" for name in own if name not in values]
    wrong += [f"{name} has no place" for name in values if name not in own]
    wrong += [
        f"{name} is {list(value.shape)} where {list(own[name].shape)} is wanted"
        for name, value in values.items()
        if name in own and value.shape != own[name].shape
    ]
    if wrong:
        raise BrokenArtifact(
            f"the {role}'s weights do not fit the method ({len(wrong)} of them: {'; '.join(wrong[:3])}): "
            "set model.*, crops.global_px and heads.* to what the weights were made with"
        )
    return dict(values)


def _repeats_shared_head(name: str, values: Mapping[str, Tensor]) -> bool:
    """True for an ibot_head entry that equals the dino_head's."""
    other = values.get(name.replace("ibot_head.", "dino_head.", 1))
    return name.startswith("ibot_head.") and other is not None and torch.equal(values[name], other)


def _centers(method: DinoV2) -> dict[str, SoftmaxCentering]:
    """The running centers by their official names; none with Sinkhorn-Knopp."""
    makers: dict[str, TargetMaker] = {name: getattr(method, attribute) for name, attribute in _CENTERS.items()}
    return {name: maker.state for name, maker in makers.items() if isinstance(maker, Centering)}
