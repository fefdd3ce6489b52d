from __future__ import annotations

import pytest

from contracts.config import validate_config
from contracts.errors import ConfigError
from trainer.data.augment.settings import AugmentationSettings


def test_defaults_are_the_published_recipe() -> None:
    settings = AugmentationSettings()
    assert (settings.global_px, settings.local_crops, settings.blur) == (224, 8, "released")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"local_area_fraction": [0.5, 0.2]}, "smaller first"),
        ({"global_area_fraction": [0.5, 1.2]}, "exceed 1"),
        ({"blur_kernel_px": 8}, "odd"),
        ({"channels": 5}, "mean has 3 and std 3 values where channels is 5: .*one per channel"),
        ({"blur": "none"}, "blur"),
        ({"flip": 1}, "flip_probability"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        validate_config(AugmentationSettings, values, where="test")
