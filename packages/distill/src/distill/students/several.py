"""Several students side by side: their modules in one flat dict, so that each part is a clip group of its own.

The parts of the first student have plain names ("backbone", "dino_head"), those of the others begin with their
architecture ("vitb14:backbone"): one student alone looks like any other method to the trainer's loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from torch import nn

from trainer.models.vision_transformer import VisionTransformer
from trainer.optim.param_groups import GroupSettings, Rates, parameter_groups


class Several:
    """Names of the students, and which entry of a flat ModuleDict is which student's."""

    def __init__(self, names: Sequence[str]) -> None:
        assert len(set(names)) == len(names), f"students {names} are not all different"
        self.names = tuple(names)

    def key(self, student: str, part: str) -> str:
        """The entry of a student's part."""
        return part if student == self.names[0] else f"{student}:{part}"

    def flat(self, modules: Mapping[str, Mapping[str, nn.Module]]) -> nn.ModuleDict:
        """One flat dict of every student's parts."""
        return nn.ModuleDict(
            {self.key(name, part): module for name in self.names for part, module in modules[name].items()}
        )

    def of(self, modules: nn.ModuleDict, student: str) -> nn.ModuleDict:
        """One student's parts under plain names; the modules are shared, not copied."""
        if student == self.names[0]:
            return nn.ModuleDict({key: module for key, module in modules.items() if ":" not in key})
        prefix = f"{student}:"
        parts = {key.removeprefix(prefix): module for key, module in modules.items() if key.startswith(prefix)}
        return nn.ModuleDict(parts)

    def backbone(self, modules: nn.ModuleDict, student: str) -> VisionTransformer:
        """A student's backbone."""
        return cast(VisionTransformer, modules[self.key(student, "backbone")])

    def parameter_groups(
        self, modules: nn.ModuleDict, layerwise_decay: float, patch_embed: float
    ) -> list[dict[str, Any]]:
        """AdamW groups of all students: each counts its own depth, equal rates share a group."""
        merged: dict[Rates, dict[str, Any]] = {}
        for name in self.names:
            settings = GroupSettings(self.backbone(modules, name).depth, layerwise_decay, patch_embed)
            for group in parameter_groups(self.of(modules, name), settings):
                rates = Rates(group["lr_multiplier"], group["wd_multiplier"], group["is_last_layer"])
                if rates in merged:
                    merged[rates]["params"] += group["params"]
                else:
                    merged[rates] = group
        return list(merged.values())

    def label(self, student: str, term: str) -> str:
        """Name of a loss term in the records: plain for a single student."""
        return term if len(self.names) == 1 else f"{student}/{term}"
