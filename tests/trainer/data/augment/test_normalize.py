from __future__ import annotations

import torch

from trainer.data.augment.normalize import normalize


def test_values_are_scaled_shifted_and_divided_per_channel() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).repeat(2, 3, 1, 1)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    wanted = (pixels.double() / 255 - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
    found = normalize(pixels, mean, std)
    assert found.dtype == torch.float32
    assert found.is_contiguous()
    torch.testing.assert_close(found.double(), wanted, atol=1e-5, rtol=0)


def test_no_crops_stay_no_crops() -> None:
    assert normalize(torch.zeros(0, 3, 8, 8, dtype=torch.uint8), (0.5,) * 3, (0.2,) * 3).shape == (0, 3, 8, 8)
