"""What is shown when a run ends."""

from __future__ import annotations

from trainer.run_summary import run_summary

REPORT = {
    "run": "runs/a",
    "step": 4,
    "steps": 4,
    "seconds": 2.5,
    "skipped_steps": 1,
    "loss": 3.25,
    "images": 24,
    "probes": [{"step": 0, "knn_accuracy": 0.25}, {"step": 4, "knn_accuracy": 0.5}],
}


def test_a_pretraining_run() -> None:
    found = run_summary(REPORT | {"arch": "vitn4"})
    assert found["model"] == "vitn4"
    assert found["k-NN accuracy"] == ["25.0 % after step 0", "50.0 % after step 4"]
    assert found["skipped steps"] == 1
    assert found["export"] == "runs/a/export"
    assert "linear probe" not in found


def test_a_distillation() -> None:
    students = {"vitn8": {"parameters": 800_000, "global_px": 32}}
    found = run_summary(REPORT | {"students": students, "teacher": "runs/b", "probes": [], "skipped_steps": 0})
    assert found["students"] == ["vitn8, 0.8 M parameters"]
    assert found["teacher"] == "runs/b"
    assert not {"k-NN accuracy", "skipped steps", "model"} & found.keys()
