"""Write the page of one or several runs, with accuracies where labelled images are at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from contracts.publish import publish_text
from distill.report.students_page import students_page
from distill.side_by_side import ComparisonRequest, compare
from trainer.engine.run_folder import RunFolder
from trainer.report.read_run import RunStory, read_run

PAGE = "students.html"


@dataclass(frozen=True)
class ReportRequest:
    """Runs, the page to write (None: students.html in the first run), and how their models are compared.

    An empty `comparison.evaluation.data` takes the labelled images that the first run was probed on, if any.
    """

    runs: Sequence[Path]
    out: Path | None
    comparison: ComparisonRequest


def write_report(request: ReportRequest) -> dict[str, Any]:
    """Publish the page; returns what it holds. Errors: MissingInput where there is no run; those of `compare`."""
    stories = {name: read_run(run) for name, run in _named(request.runs).items()}
    with_model = {name: story for name, story in stories.items() if RunFolder(story.root).export.is_dir()}
    evaluation = _evaluated(request.comparison, list(with_model.values()))
    left_out = [name for name in stories if name not in with_model]
    file = request.out or request.runs[0] / PAGE
    text = students_page(stories, evaluation, left_out)
    publish_text(file, text)
    return {
        "report": str(file),
        "bytes": len(text.encode()),
        "runs": {name: str(story.root) for name, story in stories.items()},
        "without_model": left_out,
        "evaluation": evaluation,
    }


def _evaluated(comparison: ComparisonRequest, stories: Sequence[RunStory]) -> dict[str, Any] | None:
    """Accuracies of all runs that have a model, None without labelled images."""
    if not stories:
        return None
    asked = comparison.evaluation
    if not asked.data:
        probe: Mapping[str, Any] = stories[0].config.get("probe") or {}
        if not probe.get("data"):
            return None
        most = asked.max_images or probe.get("max_images")
        asked = replace(asked, data=probe["data"], test=probe.get("test"), max_images=most)
    return compare(replace(comparison, students=[str(story.root) for story in stories], evaluation=asked))


def _named(runs: Sequence[Path]) -> dict[str, Path]:
    """Runs by the names of their folders, by their paths where two folders have one name."""
    names = [run.name for run in runs]
    return {run.name if names.count(run.name) == 1 else str(run): run for run in runs}
