"""Runs side by side as one HTML page: accuracies, likeness to the teacher, sizes, curves, what differs between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trainer.engine.run_folder import flat
from trainer.pictures.folder import COMPONENTS, IMAGES, jpeg, png
from trainer.report.line_chart import Chart, Series, chart_svg
from trainer.report.page import drawings, render, what_it_is, yaml_text
from trainer.report.picture_tables import MOST_IMAGES, PictureRow, PictureTable, address
from trainer.report.read_run import RunStory
from trainer.report.run_charts import scaled

Stories = Mapping[str, RunStory]
"""Runs by the names that tell them apart."""
CURVES: tuple[tuple[str, Callable[[str], bool], float, bool], ...] = (
    ("k-NN accuracy, %", lambda name: name == "probe/knn_accuracy", 100.0, True),
    ("Linear probe accuracy, %", lambda name: name == "probe/linear_accuracy", 100.0, True),
    ("Loss", lambda name: name == "loss", 1.0, False),
    ("Agreement with the teacher", lambda name: name.endswith("agreement"), 1.0, False),
    ("Feature rank (RankMe)", lambda name: name.endswith("rank_me"), 1.0, False),
    ("Images per second", lambda name: name == "images_per_second", 1.0, False),
)
"""Title, numbers that are drawn, unit, whether every value gets a mark."""
BARS = ("k-NN", "linear", "CKA")
"""Columns of the table of accuracies that are drawn as bars, by how they begin."""


def students_page(stories: Stories, evaluation: Mapping[str, Any] | None, left_out: Sequence[str] = ()) -> str:
    """The page. `evaluation` is the report of `distill evaluate`; `left_out` names runs that have no model yet."""
    teachers = list(dict.fromkeys(str((story.config.get("teacher") or {}).get("model")) for story in stories.values()))
    notes = [f"{name} has no model yet: it is compared by its curves alone." for name in left_out]
    if evaluation and len(teachers) > 1:
        notes.append(f"The runs have {len(teachers)} teachers: likeness is to {evaluation['models']['teacher']} alone.")
    return render(
        "students.html.jinja",
        "distill.report",
        title="Students side by side",
        what_they_are="; ".join(f"{name}: {what_it_is(story)}" for name, story in stories.items()),
        steps={name: f"{story.step:,} of {story.steps:,} steps" for name, story in stories.items()},
        evaluation=evaluation,
        bars=_bars(evaluation["table"]) if evaluation else [],
        notes=notes,
        sizes=[] if evaluation else _sizes(stories),
        curves=drawings(_curves(stories)),
        patches=_patches(stories),
        differences=_differences(stories),
        settings={name: yaml_text(story.config) for name, story in stories.items()},
    )


def _bars(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Bars for the numbers that are compared first, one for each contestant, as long as its number is large."""
    drawn = []
    for column, title in enumerate(table["header"]):
        if title.startswith(BARS):
            values = [(row[0], _number(row[column])) for row in table["rows"]]
            shown = [(name, value) for name, value in values if value > 0]
            drawn.append({"title": title, "lines": shown, "most": max((value for _, value in shown), default=1.0)})
    return drawn


def _number(text: str) -> float:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return 0.0


def _sizes(stories: Stories) -> list[tuple[str, ...]]:
    return [
        (run, student, f"{size['parameters'] / 1e6:.2f}", str(size["global_px"]))
        for run, story in stories.items()
        for student, size in (story.plan.get("students") or {}).items()
    ]


def _curves(stories: Stories) -> list[str]:
    drawn = []
    for title, fits, unit, points in CURVES:
        lines: dict[str, Series] = {}
        for run, story in stories.items():
            names = [name for name in story.names("") if fits(name)]
            lines |= {_line(run, name, names): scaled(story.series(name), unit) for name in names}
        drawn.append(chart_svg(Chart(title, lines, points=points)))
    return [svg for svg in drawn if svg]


def _line(run: str, name: str, names: Sequence[str]) -> str:
    """A run's name, with the student's where the run has several."""
    return run if len(names) == 1 else f"{run} {name.split('/')[1]}"


def _patches(stories: Stories) -> PictureTable | None:
    """What the runs that look at the same images made of them last."""
    painted = {name: story for name, story in stories.items() if story.pictures.steps()}
    if not painted:
        return None
    first = next(iter(painted.values())).pictures
    wanted = (first.root / IMAGES).read_bytes()
    same = {name: story for name, story in painted.items() if (story.pictures.root / IMAGES).read_bytes() == wanted}
    columns = [story.pictures.tiles(story.pictures.steps()[-1], COMPONENTS) for story in same.values()]
    rows = [
        PictureRow(address(jpeg(image), "jpeg"), [[(address(png(tiles[number]), "png"), "")] for tiles in columns])
        for number, image in enumerate(first.images()[:MOST_IMAGES])
    ]
    return PictureTable("Patches, as colours, at the end", "", list(same), rows)


def _differences(stories: Stories) -> list[tuple[str, ...]]:
    """Settings that are not the same in all runs: the name, and the value of each."""
    settings = [flat(dict(story.config)) for story in stories.values()]
    names = list(dict.fromkeys(name for found in settings for name in found))
    return [
        (name, *(str(found.get(name, "-")) for found in settings))
        for name in names
        if len({str(found.get(name)) for found in settings}) > 1
    ]
