"""The example of docs/distillation.md runs as written."""

from __future__ import annotations

from pathlib import Path

import torch

DOCUMENT = Path(__file__).parents[2] / "docs" / "distillation.md"


def test_the_example_of_one_step_runs() -> None:
    torch.manual_seed(0)
    example = DOCUMENT.read_text().split("```python\n")[1].split("```")[0]
    names: dict[str, object] = {}
    exec(compile(example, str(DOCUMENT), "exec"), names)
    report, gradients, result = names["report"], names["gradients"], names["result"]
    assert not report.skipped  # type: ignore[attr-defined]
    assert sorted(report.terms) == ["dino_global", "dino_local", "ibot", "koleo"]  # type: ignore[attr-defined]
    untouched = {name for name, gradient in gradients.items() if gradient is None}  # type: ignore[attr-defined]
    assert untouched == {"backbone.mask_token"}
    assert gradients.keys() == result.keys()  # type: ignore[attr-defined]
