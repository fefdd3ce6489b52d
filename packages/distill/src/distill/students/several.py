"""Several students side by side: their modules in one flat dict, so that each part is a clip group of its own.

The parts of the first student have plain names ("backbone", "dino_head"), those of the others begin with their
architecture ("vitb14:backbone"): one student alone looks like any other method to the trainer's loop. A rank that
trains some of the students holds those only, under the same names: its part of a checkpoint fits any other rank.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from torch import nn

from trainer.models.vision_transformer import VisionTransformer
from trainer.optim.param_groups import GroupSettings, Rates, parameter_groups


class Several:
    """Names of the students, which of them are held here, and which entry of a flat ModuleDict is which student's."""

    def __init__(self, names: Sequence[str], held: Sequence[str] | None = None) -> None:
        assert len(set(names)) == len(names), f"students {names} are not all different"
        self.names = tuple(names)
        self.held = self.names if held is None else tuple(held)

    def key(self, student: str, part: str) -> str:
        """The entry of a student's part."""
        return part if student == self.names[0] else f"{student}:{part}"

    def built(self, build: Callable[[str], Mapping[str, nn.Module]]) -> nn.ModuleDict:
        """One flat dict of the parts of every student that is held.

        All are built, in order, and the others dropped at once: the weights that are drawn do not depend on who holds
        what.
        """
        found = nn.ModuleDict()
        for name in self.names:
            parts = build(name)
            if name in self.held:
                found.update({self.key(name, part): module for part, module in parts.items()})
        return found

    def of(self, modules: nn.ModuleDict, student: str) -> nn.ModuleDict:
        """One student's parts under plain names; the modules are shared, not copied."""
        if student == self.names[0]:
            return nn.ModuleDict({key: module for key, module in modules.items() if ":" not in key})
        prefix = f"{student}:"
        parts = {key.removeprefix(prefix): module for key, module in modules.items() if key.startswith(prefix)}
        return nn.ModuleDict(parts)

    def found_in(self, modules: nn.ModuleDict) -> list[str]:
        """The students whose parts a flat dict holds."""
        return [name for name in self.names if self.key(name, "backbone") in modules]

    def backbone(self, modules: nn.ModuleDict, student: str) -> VisionTransformer:
        """A student's backbone."""
        return cast(VisionTransformer, modules[self.key(student, "backbone")])

    def parameter_groups(
        self, modules: nn.ModuleDict, layerwise_decay: float, patch_embed: float
    ) -> list[dict[str, Any]]:
        """AdamW groups of the students held here: each counts its own depth, equal rates share a group."""
        merged: dict[Rates, dict[str, Any]] = {}
        for name in self.held:
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
