"""What the training loop trains: the contract between a method (DINOv2, a distillation) and the loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from trainer.optim.average_gradients import average_gradients
from trainer.optim.knobs import StepKnobs

if TYPE_CHECKING:
    from trainer.data.batch import CropBatch

__all__ = ["LossTerms", "Method", "StepKnobs", "scaled"]


@dataclass
class LossTerms:
    """The losses of one (micro-)batch.

    `total` is what is back-propagated; `terms` are its summands (they add up to it); `logged` are the same quantities
    in the logging convention of the official code; `diagnostics` say whether training moves (empty unless asked for).
    Shapes: every tensor is a scalar; `terms`, `logged` and `diagnostics` carry no gradient.
    """

    total: Tensor
    terms: dict[str, Tensor]
    logged: dict[str, Tensor]
    diagnostics: dict[str, Tensor] = field(default_factory=dict)


class Method(nn.Module, ABC):
    """A trainable recipe: modules, losses, parameter groups and what happens after an optimiser step.

    `student` holds what is trained; its entries ("backbone", "dino_head", "ibot_head", ...) are the clip groups.
    The state dict holds everything a resumed run needs, moving averages and centers included.
    """

    student: nn.ModuleDict

    @abstractmethod
    def losses(self, batch: CropBatch, knobs: StepKnobs) -> LossTerms:
        """Losses of one batch that is a whole optimiser step."""

    def micro_losses(self, batches: Sequence[CropBatch], knobs: StepKnobs) -> Iterator[LossTerms]:
        """Losses of the micro-batches of one optimiser step, scaled so that their sum is the loss of the whole step.

        Each must be back-propagated before the next is asked for, so that one graph lives at a time. The default
        weighs every micro-batch equally; a method whose targets depend on the whole batch overrides this.
        """
        share = 1.0 / len(batches)
        for batch in batches:
            yield scaled(self.losses(batch, knobs), share)

    @abstractmethod
    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups for AdamW: params, lr_multiplier, wd_multiplier, is_last_layer."""

    @abstractmethod
    def after_step(self, knobs: StepKnobs) -> None:
        """What follows an optimiser step (moving averages, centers): called once per step, never for a skipped one."""

    @abstractmethod
    def result(self) -> nn.ModuleDict:
        """What is exported: "backbone" and, where the method has them, "dino_head" and "ibot_head"."""

    def average_gradients(self) -> None:
        """Make the gradients of several ranks their mean. A method whose ranks hold different parts overrides this."""
        average_gradients(self.student.parameters())

    def shared_norms(self, norms: dict[str, Tensor]) -> dict[str, Tensor]:
        """Gradient norms under the same names on every rank, such that their means over ranks are the norms."""
        return norms

    def publishes_beside_first(self) -> bool:
        """True on a rank that exports, as the first rank does, since it holds a part of result() that no other has."""
        return False


def scaled(losses: LossTerms, share: float) -> LossTerms:
    """The same losses times `share`; diagnostics are shared out likewise, so that sums over micro-batches are means."""
    if share == 1.0:
        return losses
    return LossTerms(
        total=losses.total * share,
        terms={name: value * share for name, value in losses.terms.items()},
        logged={name: value * share for name, value in losses.logged.items()},
        diagnostics={name: value * share for name, value in losses.diagnostics.items()},
    )
