"""Which charts of a run are drawn, in sections: a table of what is looked for among its numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trainer.report.line_chart import Chart, Series, chart_svg
from trainer.report.read_run import RunStory


@dataclass(frozen=True)
class Wanted:
    """A chart of all numbers whose names `fits`; values are multiplied by `unit`."""

    title: str
    fits: Callable[[str], bool]
    note: str = ""
    levels: tuple[tuple[str, float], ...] = ()
    unit: float = 1.0
    points: bool = False
    log: bool = False


def _ends(*suffixes: str) -> Callable[[str], bool]:
    return lambda name: name.endswith(suffixes)


def _begins(prefix: str) -> Callable[[str], bool]:
    return lambda name: name.startswith(prefix)


SECTIONS: dict[str, tuple[Wanted, ...]] = {
    "What it has learned": (
        Wanted("k-NN accuracy, %", _ends("probe/knn_accuracy"), unit=100, points=True),
        Wanted("Linear probe accuracy, %", _ends("probe/linear_accuracy"), unit=100, points=True),
    ),
    "Losses": (
        Wanted(
            "Losses over ln K",
            _ends("_over_ln_k"),
            "1 is the value of guessing among K prototypes. The losses fall slowly by nature, since the targets move.",
            levels=(("guessing", 1.0),),
        ),
        Wanted("Terms, as back-propagated", _begins("terms/")),
        Wanted("Loss", lambda name: name == "loss"),
    ),
    "Health": (
        Wanted(
            "Feature rank (RankMe)",
            _ends("rank_me"),
            "Effective rank of a batch of class tokens: 1 means that they lie on a line (arXiv 2210.02885).",
        ),
        Wanted("Mean cosine of different images", _ends("feature_cosine"), "Near 1, all images look alike: collapse."),
        Wanted(
            "Entropy of the teacher's targets, over ln K",
            _ends("_target_entropy"),
            "1: they say nothing. 0: one prototype for each image, for certain.",
        ),
        Wanted("Share of prototypes in use", _ends("_prototype_usage"), "Of as many as the rows looked at could use."),
        Wanted("Student and teacher agree", _ends("agreement"), "Share of rows with the same favourite prototype."),
        Wanted(
            "Distance to the moving average",
            _ends("student_lead"),
            "Over the length of the weights. Near 0, nothing moves.",
            log=True,
        ),
        Wanted("Gradient norms before clipping", _begins("gradient_norm/"), log=True),
    ),
    "Schedules": (
        Wanted("Learning rate", _ends("knobs/lr", "knobs/last_layer_lr")),
        Wanted("Weight decay", _ends("knobs/weight_decay")),
        Wanted("Momentum of the average", _ends("knobs/teacher_momentum")),
        Wanted("Teacher temperature", _ends("knobs/teacher_temp")),
    ),
    "Machine": (
        Wanted("Images per second", lambda name: name == "images_per_second"),
        Wanted("Waiting for data, %", lambda name: name == "data_wait", unit=100),
        Wanted(
            "MFU, %", lambda name: name == "mfu", "Operations of the recipe over what the devices could do.", unit=100
        ),
        Wanted("Peak memory, GiB", lambda name: name == "memory_gib"),
        Wanted("Steps skipped, images unreadable", _begins("skipped_")),
    ),
}


def charts(story: RunStory) -> dict[str, list[str]]:
    """SVG charts by section; what a run has no numbers of is left out."""
    names = story.names("")
    found = {}
    for section, wanted in SECTIONS.items():
        drawn = [svg for one in wanted if (svg := chart_svg(_chart(one, story, names)))]
        if drawn:
            found[section] = drawn
    return found


def _chart(wanted: Wanted, story: RunStory, names: list[str]) -> Chart:
    lines = {label(name): scaled(story.series(name), wanted.unit) for name in names if wanted.fits(name)}
    lines = {name: series for name, series in lines.items() if _says_something(name, series)}
    if any(name.endswith("dino global over ln k") for name in lines):  # says the same, crop by crop
        lines = {name: series for name, series in lines.items() if not name.endswith("dino loss over ln k")}
    lines = {_without(name, SAID_BY_TITLE): series for name, series in lines.items()}
    return Chart(wanted.title, lines, dict(wanted.levels), wanted.note, wanted.points, wanted.log)


SAID_BY_TITLE = (" over ln k", " loss", " target entropy", " prototype usage")


def _without(name: str, endings: Sequence[str]) -> str:
    for ending in endings:
        name = name.removesuffix(ending)
    return name


def _says_something(name: str, series: Series) -> bool:
    """A count that stays 0 needs no line."""
    return bool(series) and (not name.startswith("skipped") or any(value for _, value in series))


def label(name: str) -> str:
    """A number's name for people: without its kind, with spaces."""
    for kind in ("terms/", "diagnostics/", "knobs/", "probe/", "gradient_norm/"):
        name = name.removeprefix(kind)
    return name.replace("_", " ").replace(":", " ").replace("/", " ")


def scaled(series: Series, unit: float) -> Series:
    """A series in another unit."""
    return [(step, value * unit) for step, value in series]


def summary(story: RunStory) -> Mapping[str, str]:
    """The few numbers that are wanted first, as text."""
    found: dict[str, str] = {"steps": f"{story.step:,} of {story.steps:,}" if not story.finished else f"{story.step:,}"}
    plan = story.plan
    if "images_per_step" in plan:
        found["images seen"] = f"{story.step * int(plan['images_per_step']):,}"
    for title, name in (("k-NN accuracy", "probe/knn_accuracy"), ("linear probe", "probe/linear_accuracy")):
        if series := story.series(name):
            found[title] = f"{100 * series[-1][1]:.1f} %"
            if len(series) > 1:
                found[title] += f" (was {100 * series[0][1]:.1f})"
    if speed := story.series("images_per_second"):
        values = sorted(value for _, value in speed)
        found["images per second"] = f"{values[len(values) // 2]:,.0f}"
    if rank := story.series("diagnostics/rank_me"):
        found["feature rank"] = f"{rank[-1][1]:.1f}"
    if story.finished:
        seconds = float(story.finished.get("seconds", 0))
        found["time"] = _time(seconds)
    return found


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
