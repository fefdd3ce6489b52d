"""Rules of learning-rate scaling."""

from __future__ import annotations

import pytest

from contracts.errors import ConfigError
from trainer.optim.lr_scaling import scaled_lr


@pytest.mark.parametrize(
    ("rule", "images", "expected"),
    [("sqrt_wrt_1024", 2048, 0.004 * 2**0.5), ("linear_wrt_256", 512, 0.008), ("none", 7, 0.004)],
)
def test_rules(rule: str, images: int, expected: float) -> None:
    assert scaled_lr(0.004, images, rule) == pytest.approx(expected)


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'sqrt_wrt_1024'"):
        scaled_lr(1.0, 1, "sqrt_wrt_102")
