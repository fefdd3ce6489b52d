"""`curate plan`: what curating takes, for the pool of a workspace or one that does not exist yet."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from contracts.errors import UserError
from curation.catalog import unique_images
from curation.scaling.costs import Costs, measured_costs
from curation.scaling.project import PlannedPool, Projection, project
from curation.workspace import Workspace

DIMS = {"descriptor": 320, "phash": 64}


@dataclass(frozen=True)
class PlanAsked:
    """What the command was told; None: as in the workspace, else a usual web image. `cores` None: of this machine."""

    images: float | None = None
    image_bytes: float | None = None
    megapixels: float | None = None
    model: str = "descriptor"
    cores: int | None = None


def plan_pool(workspace: Workspace, asked: PlanAsked) -> Projection:
    """Errors: UserError for a model without measured costs, and without a number of images and a catalogue."""
    costs = measured_costs()
    _check(asked, costs)
    seen = _catalogued(workspace)
    images = asked.images if asked.images is not None else seen.get("images")
    if images is None or images < 1:
        raise UserError(
            f"{workspace.catalog} has no usable image to plan for: run `curate ingest`, or say how many there will be "
            "with `--images 1.2e9`"
        )
    told = {"image_bytes": asked.image_bytes, "megapixels": asked.megapixels}
    of_images = {
        **{name: seen[name] for name in told if name in seen},
        **{k: v for k, v in told.items() if v is not None},
    }
    pool = PlannedPool(images=round(images), model=asked.model, dim=DIMS[asked.model], **of_images)
    return project(pool, costs, asked.cores or os.cpu_count() or 1)


def _check(asked: PlanAsked, costs: Costs) -> None:
    if asked.model not in costs.embed or asked.model not in DIMS:
        known = ", ".join(sorted(costs.embed))
        raise UserError(f"the cost of the model {asked.model} was not measured: choose one of {known}")


def _catalogued(workspace: Workspace) -> dict[str, float]:
    """Number, mean bytes and mean megapixels of the images in the catalogue; empty without one."""
    images = unique_images(workspace.catalog, ("width_px", "height_px", "byte_count"))
    if images.num_rows == 0:
        return {}
    pixels = pc.multiply(images.column("width_px").cast("int64"), images.column("height_px").cast("int64"))
    return {
        "images": float(images.num_rows),
        "image_bytes": float(np.mean(images.column("byte_count").to_numpy())),
        "megapixels": float(np.mean(pixels.to_numpy())) / 1e6,
    }
