"""Runs side by side as one HTML page: accuracies, likeness to the teacher, sizes, curves, what differs between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from trainer.engine.run_folder import flat
from trainer.pictures.folder import COMPONENTS, IMAGES, jpeg, png
from trainer.report.line_chart import Chart, Series, chart_svg
from trainer.report.page import cards, chart_row, document, section, table, what_it_is, yaml_details
from trainer.report.picture_tables import MOST_IMAGES, picture
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
    body = [
        "<h1>Students side by side</h1>",
        f"<p class='under'>{escape('; '.join(f'{name}: {what_it_is(story)}' for name, story in stories.items()))}</p>",
        cards({name: f"{story.step:,} of {story.steps:,} steps" for name, story in stories.items()}),
        section("Accuracy, likeness to the teacher, size", _accuracies(evaluation)),
        "".join(f"<p class='note'>{escape(note)}</p>" for note in notes),
        section("Sizes", "" if evaluation else _sizes(stories)),
        section("Over the steps", chart_row(_curves(stories))),
        section("Patches, as colours, at the end", _patches(stories)),
        section("What differs", _differences(stories)),
        section("Settings", "".join(yaml_details(name, story.config) for name, story in stories.items())),
    ]
    return document("Students side by side", "".join(body))


def _accuracies(evaluation: Mapping[str, Any] | None) -> str:
    """The table of `distill evaluate`, with bars for the numbers that are compared first."""
    if evaluation is None:
        return (
            "<p class='note'>No labelled images were named: <code>--data</code> and <code>--test</code> add accuracies "
            "and likeness to the teacher.</p>"
        )
    header, rows = evaluation["table"]["header"], evaluation["table"]["rows"]
    images = evaluation["images"]
    said = f"{images['train']:,} training and {images['test']:,} test images."
    drawn = [_bars(title, rows, column) for column, title in enumerate(header) if title.startswith(BARS)]
    return f"<p class='note'>{escape(said)}</p><div class='charts'>{''.join(drawn)}</div><p></p>{table(header, rows)}"


def _bars(title: str, rows: Sequence[Sequence[str]], column: int) -> str:
    """One bar for each contestant, as long as its number is large."""
    values = [(row[0], _number(row[column])) for row in rows]
    most = max((value for _, value in values), default=0.0) or 1.0
    lines = [
        f"<tr><td>{escape(name)}</td><td class='bar'><div style='width:{100 * value / most:.1f}%'></div></td>"
        f"<td>{value:g}</td></tr>"
        for name, value in values
        if value > 0
    ]
    return f"<figure class='chart'><figcaption>{escape(title)}</figcaption><table>{''.join(lines)}</table></figure>"


def _number(text: str) -> float:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return 0.0


def _sizes(stories: Stories) -> str:
    rows = [
        (run, student, f"{size['parameters'] / 1e6:.2f}", str(size["global_px"]))
        for run, story in stories.items()
        for student, size in (story.plan.get("students") or {}).items()
    ]
    return table(("run", "student", "parameters (M)", "image side (px)"), rows) if rows else ""


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


def _patches(stories: Stories) -> str:
    """What the runs that look at the same images made of them last."""
    painted = {name: story for name, story in stories.items() if story.pictures.steps()}
    if not painted:
        return ""
    first = next(iter(painted.values())).pictures
    wanted = (first.root / IMAGES).read_bytes()
    same = {name: story for name, story in painted.items() if (story.pictures.root / IMAGES).read_bytes() == wanted}
    columns = [story.pictures.tiles(story.pictures.steps()[-1], COMPONENTS) for story in same.values()]
    head = "<th></th>" + "".join(f"<th>{escape(name)}</th>" for name in same)
    rows = []
    for number, image in enumerate(first.images()[:MOST_IMAGES]):
        cells = [picture(jpeg(image), "jpeg"), *(picture(png(tiles[number]), "png") for tiles in columns)]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f"<div class='wide'><table class='pictures'><tr>{head}</tr>{''.join(rows)}</table></div>"


def _differences(stories: Stories) -> str:
    """Settings that are not the same in all runs."""
    if len(stories) < 2:
        return ""
    settings = [flat(dict(story.config)) for story in stories.values()]
    names = list(dict.fromkeys(name for found in settings for name in found))
    rows = [
        (name, *(str(found.get(name, "-")) for found in settings))
        for name in names
        if len({str(found.get(name)) for found in settings}) > 1
    ]
    return table(("setting", *stories), rows) if rows else "<p class='note'>Nothing: the settings are the same.</p>"
