"""The table at the end of a recipe: what curation found, what the models reach, how long it took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from pipelines.steps import STEPS

K = "20"
Report = Mapping[str, Any]


def print_summary(report: Report) -> None:
    """Print the report of a recipe on stdout."""
    console = Console()
    for title, rows in (
        ("curation", curation_rows(report)),
        ("k-NN accuracy on the probe set", accuracy_rows(report)),
        ("seconds", seconds_rows(report)),
    ):
        if rows:
            table = Table(title=title, title_justify="left", show_header=False)
            for name, value in rows:
                table.add_row(name, value)
            console.print(table)


def curation_rows(report: Report) -> list[tuple[str, str]]:
    """Found against planted for the built-in images; the selection's counts for others."""
    found = report.get("planted")
    if not found:
        return []
    share = found["on_topic_kept"] / max(found["kept"], 1)
    return [
        ("images in", f"{found['files']:,}"),
        ("broken files quarantined", f"{found['broken_quarantined']} of {found['broken_planted']} planted"),
        ("good files quarantined", str(found["good_quarantined"])),
        ("exact duplicates found", f"{found['exact_found']} of {found['exact_planted']} planted"),
        ("edited duplicates found", f"{found['edited_found']} of {found['edited_planted']} planted"),
        ("distinct pictures merged", str(found["distinct_merged"])),
        ("kept after retrieval", f"{found['kept']:,}"),
        ("of them on topic", f"{100 * share:.1f} %"),
    ]


def accuracy_rows(report: Report) -> list[tuple[str, str]]:
    """Raw pixels, random weights, pretrained, distilled."""
    evaluation = report["steps"].get("evaluate", {}).get("report", {})
    rows = []
    for model, told in (("pretrained", "pretrained"), ("distilled", "distilled")):
        results = evaluation.get(model, {}).get("results", {})
        if model == "pretrained" and results:
            rows.append(("raw pixels", _accuracy(results["raw pixels"])))
        if results:
            rows.append((f"random weights ({told} size)", _accuracy(results["random weights"])))
            rows.append((told, _accuracy(results["model"])))
    return rows


def _accuracy(result: Report) -> str:
    return f"{100 * result['knn'][K]['top1']:.1f} %"


def seconds_rows(report: Report) -> list[tuple[str, str]]:
    """Seconds of every step and of all."""
    done = report["steps"]
    seconds = {name: done[name]["seconds"] for name in STEPS if name in done}
    return [*((name, f"{value:.0f}") for name, value in seconds.items()), ("all", f"{sum(seconds.values()):.0f}")]
