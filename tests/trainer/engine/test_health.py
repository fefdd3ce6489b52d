"""Warnings come when something is wrong for a while, once, and name what to change."""

from __future__ import annotations

import pytest

from trainer.engine.health import HealthWatch

GOOD = {
    "rank_me": 30.0,
    "feature_cosine": 0.4,
    "student_lead": 1e-3,
    "dino_target_entropy": 0.5,
    "dino_loss_over_ln_k": 0.7,
}


def warnings_over(diagnostics: dict[str, float], steps: range) -> list[str]:
    """The first step is a good one."""
    watch = HealthWatch(total_steps=1000)
    assert watch.seen(1, GOOD) == []
    return [warning for step in steps for warning in watch.seen(step, diagnostics)]


def test_a_healthy_run_is_left_in_peace() -> None:
    assert warnings_over(GOOD, range(0, 1000, 10)) == []


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"feature_cosine": 0.9999}, "mean cosine of 0.9999.*lower optim.lr"),
        ({"student_lead": 1e-9}, "1.0e-09.*do not move: raise optim.lr"),
        ({"rank_me": 1.1}, "effective rank of 1.10.*lower optim.lr"),
        ({"dino_target_entropy": 0.999}, "nearly uniform.*schedules.teacher_temp"),
        ({"dino_target_entropy": 0.0}, "collapse.*raise schedules.teacher_temp"),
        ({"dino_loss_over_ln_k": 1.0}, "1.000 of ln K.*raise optim.lr"),
    ],
)
def test_a_lasting_symptom_is_told_once_with_advice(bad: dict[str, float], words: str) -> None:
    found = warnings_over(GOOD | bad, range(0, 1000, 10))
    assert len(found) == 1
    with pytest.raises(ValueError, match=words):
        raise ValueError(found[0])


def test_alike_since_the_first_step_is_no_collapse() -> None:
    """Not told by a resumed run either, whose first step lies before it; nor known of a phase that goes on."""
    bad, steps = GOOD | {"feature_cosine": 0.9999, "rank_me": 1.1}, range(1, 400, 10)
    fresh, later = HealthWatch(1000), HealthWatch(1000, goes_on=True)
    resumed, resumed_well = HealthWatch(1000), HealthWatch(1000)
    resumed.remember({"step": 1, "diagnostics/feature_cosine": 0.9999, "diagnostics/rank_me": None})
    resumed_well.remember({"step": 1, "diagnostics/feature_cosine": 0.5, "diagnostics/rank_me": 30.0})
    told = [[text for step in steps for text in watch.seen(step, bad)] for watch in (fresh, resumed)]
    assert all(len(found) == 2 and all("raise optim.lr" in text for text in found) for found in told), told
    told = [[text for step in steps for text in watch.seen(step, bad)] for watch in (later, resumed_well)]
    assert all(len(found) == 2 and all("lower optim.lr" in text for text in found) for found in told), told


def test_the_start_of_a_run_and_passing_moments_are_not_judged() -> None:
    bad = GOOD | {"rank_me": 1.0}
    assert warnings_over(bad, range(2, 100, 10)) == []
    watch = HealthWatch(total_steps=1000)
    turns = [watch.seen(500 + i, bad if i % 3 else GOOD) for i in range(30)]
    assert [warning for found in turns for warning in found] == []


def test_a_probe_that_does_not_rise_is_told_in_the_second_half() -> None:
    watch = HealthWatch(total_steps=1000)
    at = lambda step, value: watch.probed({"step": step, "probe/knn_accuracy": value})  # noqa: E731
    assert at(0, 0.30) == []
    assert at(200, 0.28) == []
    assert at(600, 0.31) == []
    assert len(at(800, 0.30)) == 1
    assert at(1000, 0.29) == []


def test_a_phase_that_goes_on_does_not_compare_with_its_own_beginning() -> None:
    fresh, later = HealthWatch(200), HealthWatch(200, goes_on=True)
    told = [watch.probed({"step": step, "probe/knn_accuracy": 0.5}) for watch in (fresh, later) for step in (0, 150)]
    assert [len(lines) for lines in told] == [0, 1, 0, 0]
