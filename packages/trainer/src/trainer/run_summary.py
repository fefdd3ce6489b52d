"""The report of a run as the few lines that are read when it ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def run_summary(report: Mapping[str, Any]) -> dict[str, Any]:
    """Names and values for a table, from the report of `trainer pretrain` or `distill run`."""
    found: dict[str, Any] = {"run": report["run"]}
    if "students" in report:
        sizes = report["students"]
        found["students"] = [f"{name}, {size['parameters'] / 1e6:.1f} M parameters" for name, size in sizes.items()]
        found["teacher"] = report["teacher"]
    elif "arch" in report:
        found["model"] = report["arch"]
    found["steps"] = f"{report['step']:,} of {report['steps']:,}"
    found["images"] = report["images"]
    found["seconds"] = report["seconds"]
    if report.get("loss") is not None:
        found["loss"] = float(report["loss"])
    for name, title in (("knn_accuracy", "k-NN accuracy"), ("linear_accuracy", "linear probe")):
        values = [(probe["step"], probe[name]) for probe in report["probes"] if name in probe]
        if values:
            found[title] = [f"{100 * value:.1f} % after step {step}" for step, value in (values[0], values[-1])]
    if report.get("skipped_steps"):
        found["skipped steps"] = report["skipped_steps"]
    found["export"] = f"{report['run']}/export"
    found["see"] = f"trainer report {report['run']}"
    return found
