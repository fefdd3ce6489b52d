"""The short high-resolution phase at the end of pretraining: the same method on a finer patch grid.

Its schedules are those of the whole run, compressed (optim/schedules.py, `compressed`), with a fresh optimiser.
Source: DINOv2 (arXiv 2304.07193), section 5 and appendix B.2.
"""

from __future__ import annotations

from dataclasses import replace

from trainer.methods.dinov2 import DinoV2
from trainer.models.resize_positions import resized_positions


def at_resolution(method: DinoV2, image_size: int) -> DinoV2:
    """A copy of the method for global crops of another size: student, teacher, heads and centers are carried over.

    Units: `image_size` is the side of a global crop in px, a multiple of the patch size.
    """
    backbone = replace(method.settings.backbone, image_size=image_size)
    finer = DinoV2(replace(method.settings, backbone=backbone))
    finer.load_state_dict(resized_positions(method.state_dict(), image_size, backbone.patch_size))
    return finer.train(method.training)
