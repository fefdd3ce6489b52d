"""Write the page of a run: reads files only, so it works beside a run that goes on, on a machine without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from contracts.publish import publish_text
from trainer.report.page import run_page
from trainer.report.read_run import read_run

PAGE = "report.html"


def write_report(run: Path, out: Path | None = None) -> dict[str, Any]:
    """Publish the page of a run, RUN/report.html unless `out` names a file; returns what it holds.

    Errors: MissingInput where there is no run.
    """
    story = read_run(run)
    file = out or run / PAGE
    text = run_page(story)
    publish_text(file, text)
    return {
        "run": str(run),
        "report": str(file),
        "bytes": len(text.encode()),
        "finished": story.finished is not None,
        "step": story.step,
        "steps": story.steps,
        "warnings": [str(warning.get("warning")) for warning in story.warnings],
        "pictures": story.pictures.steps(),
    }
