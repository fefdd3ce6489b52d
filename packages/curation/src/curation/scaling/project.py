"""The cost of every step for a pool of a given size: bytes, operations, core seconds, memory, index.

Time goes with the number of images in every step but the join, whose operations are counted: training of the lists,
assignment of every vector, products inside the lists (index.lists, index.list_join). Dimensions: N images, L lists, D
width, V overlap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from curation.index.lists import TRAIN_ITERATIONS, TRAIN_ROWS_PER_LIST
from curation.index.plan import IndexPlan, plan_index
from curation.scaling.costs import Costs

ENTRY_BYTES = 8
KEY_BYTES = 28


@dataclass(frozen=True)
class PlannedPool:
    """A pool as far as costs go. Units: bytes and megapixels of a mean image. `pairs_per_image`: near pairs found."""

    images: int
    image_bytes: float = 60_000.0
    megapixels: float = 0.2
    model: str = "descriptor"
    dim: int = 320
    kept: float = 0.8
    pairs_per_image: float = 1.5


@dataclass(frozen=True)
class StepCost:
    """What a step takes in all. Units: core seconds, operations, bytes. `memory`: resident in the largest process."""

    step: str
    core_seconds: float
    flops: float
    bytes_read: float
    bytes_written: float
    memory: float

    def per_image(self, images: int) -> float:
        """Core seconds of an image."""
        return self.core_seconds / images


@dataclass(frozen=True)
class Projection:
    """All steps, the index that was chosen, and which step takes longest."""

    pool: PlannedPool
    index: IndexPlan
    steps: tuple[StepCost, ...]
    cores: int
    warnings: tuple[str, ...]

    @property
    def core_seconds(self) -> float:
        """Of all steps."""
        return sum(step.core_seconds for step in self.steps)

    @property
    def bottleneck(self) -> StepCost:
        """The step that takes longest."""
        return max(self.steps, key=lambda step: step.core_seconds)

    @property
    def memory(self) -> float:
        """Resident bytes of the largest process of any step."""
        return max(step.memory for step in self.steps)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "pool": asdict(self.pool),
            "index": self.index.describe(),
            "steps": [asdict(step) for step in self.steps],
            "core_seconds": self.core_seconds,
            "cores": self.cores,
            "hours": self.core_seconds / self.cores / 3600,
            "memory": self.memory,
            "bottleneck": self.bottleneck.step,
            "warnings": list(self.warnings),
        }


def join_flops(plan: IndexPlan) -> Mapping[str, float]:
    """Floating point operations of a self-join by what they are for; a product of two vectors is 2 D of them."""
    n, width = float(plan.rows), 2.0 * plan.dim
    if plan.kind == "exact":
        return {"products": n * n / 2 * width}
    lists = float(plan.lists)
    return {
        "training": TRAIN_ITERATIONS * min(n, TRAIN_ROWS_PER_LIST * lists) * lists * width,
        "assignment": n * lists * width,
        "products": (n * plan.overlap) ** 2 / (2 * lists) * width,
    }


def project(pool: PlannedPool, costs: Costs, cores: int) -> Projection:
    """Every step of `curate` from pool to dataset, without seed sets."""
    n, whole = pool.images, pool.images * pool.image_bytes
    plan = plan_index(n, pool.dim)
    vectors, work = n * pool.dim * 2.0, sum(join_flops(plan).values())
    edges = n * pool.pairs_per_image
    written = whole * pool.kept

    def image_step(name: str, seconds: float, read: float, out: float) -> StepCost:
        memory = costs.memory_base[name] + costs.memory[name] * n
        return StepCost(name, seconds * n, 0.0, read, out, memory)

    def each(cost: Any) -> float:
        return float(cost.of(pool.megapixels, pool.image_bytes))

    dedup_memory = costs.memory_base["dedup"] + costs.memory["dedup"] * n
    steps = (
        image_step("ingest", each(costs.ingest), whole, 0.0),
        StepCost("embed", each(costs.embed[pool.model]) * n, 0.0, whole, vectors + KEY_BYTES * n, dedup_memory),
        StepCost(
            "join",
            work / costs.join_flops,
            work,
            vectors * (1 + plan.overlap),
            ENTRY_BYTES * n * plan.overlap,
            dedup_memory,
        ),
        StepCost("components", edges * costs.components_per_edge, 0.0, 12.0 * edges, 0.0, dedup_memory),
        image_step("build", each(costs.build) * pool.kept, 2 * written, 2 * written),
        image_step("verify", each(costs.verify) * pool.kept, written, 0.0),
    )
    return Projection(pool, plan, steps, cores, _warnings(pool, max(step.memory for step in steps)))


def _warnings(pool: PlannedPool, memory: float) -> tuple[str, ...]:
    if memory < 256e9:
        return ()
    return (
        f"the tables of {pool.images:,} images take about {memory / 1e9:,.0f} GB in one process: split the pool, "
        "deduplicate the parts, then what they kept together",
    )
