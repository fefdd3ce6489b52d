"""A run as one HTML page: no scripts, no files beside it, nothing fetched. Its text is run.html.jinja."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from contracts.config import dump_yaml
from trainer.report.picture_tables import picture_sections
from trainer.report.read_run import RunStory
from trainer.report.run_charts import charts, summary

if TYPE_CHECKING:
    from markupsafe import Markup

FIRST = ("What it has learned", "Losses")
"""Sections of charts that come before the pictures."""
MOST_WARNINGS = 20


def run_page(story: RunStory) -> str:
    """The page of a run, as far as it has come."""
    found = {title: drawings(drawn) for title, drawn in charts(story).items()}
    return render(
        "run.html.jinja",
        title=story.root.name,
        story=story,
        what_it_is=what_it_is(story),
        summary=summary(story),
        warnings=_warnings(story),
        first_charts=[(title, drawn) for title, drawn in found.items() if title in FIRST],
        other_charts=[(title, drawn) for title, drawn in found.items() if title not in FIRST],
        pictures=picture_sections(story.pictures),
        phases=[_phase(title, phase) for title, phase in story.phases],
        config=yaml_text(story.config),
        plan=yaml_text(story.plan),
        environment=_environment(story),
    )


def render(template: str, package: str = "trainer.report", **values: Any) -> str:
    """The page of a package's template, which may extend those of this one. What is no Markup is escaped."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    places = ChoiceLoader([PackageLoader(name, ".") for name in dict.fromkeys((package, "trainer.report"))])
    templates = Environment(loader=places, autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    return templates.get_template(template).render(**values)


def drawings(drawn: Sequence[str]) -> list[Markup]:
    """Charts of line_chart, whose texts are escaped already, as what need not be escaped again."""
    from markupsafe import Markup

    return [Markup(svg) for svg in drawn]  # noqa: S704


def yaml_text(values: Mapping[str, Any]) -> str:
    """Nested values as YAML, "" where there are none."""
    return dump_yaml(values) if values else ""


def what_it_is(story: RunStory) -> str:
    """One line: architecture or students and teacher, and the images."""
    config, plan = story.config, story.plan
    students = (config.get("students") or {}).get("archs")
    if students:
        said = f"{', '.join(students)} from {(config.get('teacher') or {}).get('model')}, {plan.get('objective', '')}"
    else:
        said = f"{(config.get('model') or {}).get('arch', 'a model')}, DINOv2"
    source = (plan.get("data") or {}).get("source")
    return said if source is None else f"{said}; {source}"


def _phase(title: str, story: RunStory) -> dict[str, Any]:
    """A stage before the run, or its last phase: warnings and all charts in a row."""
    drawn = [svg for charts_of in charts(story).values() for svg in charts_of]
    return {"title": title, "warnings": _warnings(story), "charts": drawings(drawn)}


def _warnings(story: RunStory) -> list[str]:
    """Each text once."""
    return list(dict.fromkeys(str(warning.get("warning")) for warning in story.warnings))[:MOST_WARNINGS]


def _environment(story: RunStory) -> list[tuple[str, str]]:
    """Device and versions, a row each."""
    plain = {name: value for name, value in story.environment.items() if not isinstance(value, Mapping)}
    libraries = story.environment.get("libraries") or {}
    return [(str(name).replace("_", " "), str(value)) for name, value in {**plain, **libraries}.items()]
