"""Groups of ranks, one per student: the teacher runs once per image over all ranks, each student on its own ranks.

Every rank shows the teacher its own images. Crops and what the teacher made of them then go to all ranks, and the ranks
of a group share out the whole batch for their student, which no other rank holds. Losses are scaled so that a mean over
all ranks, in which the others count as zero, is the mean over a student's own ranks.
Dimensions: W ranks, B images of a rank, b images of a rank after the exchange, N patches, H width of the features.
Source: the multi-student distillation of DINOv3 (arXiv 2508.10104), section 5.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

import torch
import torch.distributed as dist
from torch import Tensor, nn

from contracts.errors import ConfigError
from distill.students.several import Several
from trainer.data.batch import CropBatch
from trainer.engine.ranks import rank
from trainer.losses.across_ranks import world_size
from trainer.methods.method import LossTerms, scaled
from trainer.optim.average_gradients import average_gradients


@dataclass(frozen=True)
class RankGroups:
    """Number of ranks of each student; ranks are numbered through in the order of the students."""

    sizes: tuple[int, ...]

    def place(self, number: int) -> tuple[int, int]:
        """Which student a rank trains, and which part of the batch it takes."""
        for student, size in enumerate(self.sizes):
            if number < size:
                return student, number
            number -= size
        raise IndexError(f"there are {sum(self.sizes)} ranks")

    @property
    def student(self) -> int:
        """Number of this rank's student."""
        return self.place(rank())[0]

    @property
    def leads(self) -> bool:
        """True on the first rank of each group: it publishes the student."""
        return self.place(rank())[1] == 0

    @cached_property
    def _own_ranks(self) -> dist.ProcessGroup:
        """The process group of this rank. All ranks must come here together."""
        ends = list(accumulate(self.sizes))
        made: list[dist.ProcessGroup] = [
            dist.new_group(list(range(end - size, end))) for size, end in zip(self.sizes, ends, strict=True)
        ]
        return made[self.student]

    def average_gradients(self, student: nn.Module) -> None:
        """Make the gradients of the ranks of this group their mean, of losses that `shared_out` scaled."""
        average_gradients(student.parameters(), self._own_ranks)

    def shared_norms(self, norms: Mapping[str, Tensor], several: Several) -> dict[str, Tensor]:
        """Gradient norms of all students' parts: this rank's so that its group adds up to them, zeros for the rest."""
        own = {part: value * world_size() / self.sizes[self.student] for part, value in norms.items()}
        parts = [key.removeprefix(f"{several.names[self.student]}:") for key in own]
        zero = torch.zeros_like(next(iter(own.values())))
        return {key: own.get(key, zero) for name in several.names for key in (several.key(name, p) for p in parts)}

    def exchanged(self, batch: CropBatch, cls: Tensor, patches: Tensor) -> tuple[CropBatch, Tensor, Tensor]:
        """This rank's part of the batch of all ranks, with the teacher's features of it.

        Shapes: cls [2 B, H], patches [2 B, N, H] -> [2 b, H], [2 b, N, H], where b = W B / size of the group.
        """
        student, part = self.place(rank())
        images, size = len(batch.keys), self.sizes[student]

        def own(x: Tensor) -> Tensor:
            return _part_of_all(x, images, part, size) if len(x) else x

        shared = replace(
            batch,
            global_crops=own(batch.global_crops),
            local_crops=own(batch.local_crops),
            masks=own(batch.masks),
            keys=("",) * (images * world_size() // size),
            crop_numbers=(),
        )
        return shared, own(cls), own(patches)

    def shared_out(self, losses: LossTerms, several: Several) -> LossTerms:
        """Losses of this rank's student as its share of the mean over all ranks, with zeros for the other students.

        Every rank names the same terms in the same order, as the agreement of ranks on a step asks for.
        """
        mine, own = several.names[self.student], scaled(losses, world_size() / self.sizes[self.student])
        prefix = f"{mine}/"
        terms = {
            f"{name}/{term.removeprefix(prefix)}": value if name == mine else torch.zeros_like(value)
            for name in several.names
            for term, value in own.terms.items()
        }
        return LossTerms(own.total, terms, dict(terms), losses.diagnostics)


def check_groups(sizes: Sequence[int], students: Sequence[str], ranks: int, images_per_rank: int) -> None:
    """Errors: ConfigError when the groups do not fit the students, the ranks or the images of one forward pass."""
    if not sizes:
        return
    if len(sizes) != len(students) or len(students) < 2:
        raise ConfigError(
            f"students.ranks names {len(sizes)} groups for {len(students)} students: wanted one number for each of two "
            "or more students"
        )
    if sum(sizes) != ranks:
        raise ConfigError(
            f"students.ranks {list(sizes)} asks for {sum(sizes)} ranks and {ranks} train: start as many with --devices "
            "or torchrun"
        )
    for name, size in zip(students, sizes, strict=True):
        if ranks * images_per_rank % size:
            raise ConfigError(
                f"{ranks * images_per_rank} images at once cannot be shared out among the {size} ranks of {name}: take "
                "another run.batch_size or students.ranks"
            )


def _part_of_all(x: Tensor, images: int, part: int, parts: int) -> Tensor:
    """One part of the crop-major rows of all ranks. Shapes: [V B, ...] -> [V W B / parts, ...] for V views."""
    everyone = [torch.empty_like(x) for _ in range(world_size())]
    dist.all_gather(everyone, x.contiguous())
    views = torch.cat([rows.view(-1, images, *x.shape[1:]) for rows in everyone], dim=1)
    return views.chunk(parts, dim=1)[part].flatten(0, 1)
