"""The example of docs/step-api.md runs as written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from trainer.data.batch import CropBatch

DOCUMENT = Path(__file__).parents[3] / "docs" / "step-api.md"


def test_the_example_runs() -> None:
    torch.manual_seed(0)
    example = DOCUMENT.read_text().split("```python\n")[1].split("```")[0]
    names: dict[str, object] = {}
    exec(compile(example, str(DOCUMENT), "exec"), names)
    report = names["report"]
    assert not report.skipped  # type: ignore[attr-defined]
    assert sorted(report.terms) == ["dino_global", "dino_local", "ibot", "koleo"]  # type: ignore[attr-defined]


def test_the_parts_on_their_own_are_those_of_the_step() -> None:
    torch.manual_seed(0)
    first, parts = (DOCUMENT.read_text().split("```python\n")[place].split("```")[0] for place in (1, 3))
    names: dict[str, Any] = {}
    exec(compile(first, str(DOCUMENT), "exec"), names)
    exec(compile(parts, str(DOCUMENT), "exec"), names)
    assert names["logits"].dtype == names["spread"].dtype == torch.float64
    torch.testing.assert_close(names["packed"][0].patches, names["seen"].patches)
    torch.testing.assert_close(names["features"] @ names["prototypes"].T, names["logits"])
    torch.testing.assert_close(names["targets"].sum(1), torch.ones(8, dtype=torch.float64))
    koleo = names["exact"].losses(replace_crops(names), names["knobs"]).terms["koleo"]
    other = names["koleo_loss"](names["seen"].cls.chunk(2)[1])
    torch.testing.assert_close(koleo, 0.1 * (names["spread"] + other))
    assert all("exp_avg" in state for state in names["moments"].values())


def replace_crops(names: dict[str, Any]) -> CropBatch:
    """The example's batch in float64."""
    return replace(names["batch"], global_crops=names["crops"], local_crops=names["small"])


def test_the_example_from_a_configuration_runs() -> None:
    example = DOCUMENT.read_text().split("```python\n")[2].split("```")[0]
    names: dict[str, object] = {}
    exec(compile(example, str(DOCUMENT), "exec"), names)
    assert "dino_loss.center" in names["given"]  # type: ignore[operator]
