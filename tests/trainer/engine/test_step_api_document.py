"""The example of docs/step-api.md runs as written."""

from __future__ import annotations

from pathlib import Path

import torch

DOCUMENT = Path(__file__).parents[3] / "docs" / "step-api.md"


def test_the_example_runs() -> None:
    torch.manual_seed(0)
    example = DOCUMENT.read_text().split("```python\n")[1].split("```")[0]
    names: dict[str, object] = {}
    exec(compile(example, str(DOCUMENT), "exec"), names)
    report = names["report"]
    assert not report.skipped  # type: ignore[attr-defined]
    assert sorted(report.terms) == ["dino_global", "dino_local", "ibot", "koleo"]  # type: ignore[attr-defined]


def test_the_example_from_a_configuration_runs() -> None:
    example = DOCUMENT.read_text().split("```python\n")[2].split("```")[0]
    names: dict[str, object] = {}
    exec(compile(example, str(DOCUMENT), "exec"), names)
    assert "dino_loss.center" in names["given"]  # type: ignore[operator]
