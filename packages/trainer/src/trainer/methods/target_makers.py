"""Ways to turn the teacher's bottleneck features into targets: one class and one table line each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn

from contracts.errors import ConfigError, nearest_name
from trainer.losses.sinkhorn_knopp import sinkhorn_targets
from trainer.losses.softmax_centering import SoftmaxCentering
from trainer.losses.teacher_targets import TargetRows


class TargetMaker(nn.Module, ABC):
    """Makes the targets of one optimiser step; what it remembers between steps is in its state dict."""

    @abstractmethod
    def targets(self, features: Tensor, prototypes: Tensor, temp: float) -> TargetRows:
        """Targets of all rows of the step. Shapes: features [M, H], prototypes [K, H]."""

    @abstractmethod
    def commit(self) -> None:
        """The optimiser step was taken: remember what it taught."""


class SinkhornKnopp(TargetMaker):
    """Balanced assignment; remembers nothing."""

    def targets(self, features: Tensor, prototypes: Tensor, temp: float) -> TargetRows:
        """Three Sinkhorn-Knopp iterations over the rows of all ranks."""
        return sinkhorn_targets(features, prototypes, temp)

    def commit(self) -> None:
        """Nothing to remember."""


class Centering(TargetMaker):
    """Softmax around a moving center."""

    def __init__(self, prototypes: int) -> None:
        super().__init__()
        self.state = SoftmaxCentering(prototypes)

    def targets(self, features: Tensor, prototypes: Tensor, temp: float) -> TargetRows:
        """Softmax targets around the center of earlier steps."""
        return self.state.targets(features, prototypes, temp)

    def commit(self) -> None:
        """Keep this step's mean for the next step's center."""
        self.state.commit()


TARGET_MAKERS: dict[str, Callable[[int], TargetMaker]] = {
    "sinkhorn_knopp": lambda _: SinkhornKnopp(),
    "centering": Centering,
}


def build_target_maker(name: str, prototypes: int) -> TargetMaker:
    """Look a target maker up by name and build it for K prototypes.

    Errors: ConfigError with the nearest known name.
    """
    if name not in TARGET_MAKERS:
        raise ConfigError(f"Unknown centering {name!r}; {nearest_name(name, TARGET_MAKERS)}")
    return TARGET_MAKERS[name](prototypes)
