"""A run as one HTML page: no scripts, no files beside it, nothing fetched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from contracts.config import dump_yaml
from trainer.report.picture_tables import picture_sections
from trainer.report.read_run import RunStory
from trainer.report.run_charts import charts, summary

PICTURE_NOTES = {
    "Patches, as colours": "The first three principal components of all patches are red, green and blue: like patches "
    "have like colours, in one image and across them.",
    "Where the class token looks": "Attention of the class token to the patches in the last block, mean of the heads; "
    "each picture goes from its least (black) to its most (yellow).",
    "Nearest neighbours, early and late": "By the cosine of class tokens, among the images of the gallery.",
}
STYLE = """
:root{--ink:#1d2330;--soft:#667085;--line:#e3e6ec;--paper:#fff;--card:#f6f7f9;--warn:#fff4e0;--warn-ink:#8a4b00;
--c0:#2166c4;--c1:#d9541e;--c2:#1b8a5a;--c3:#8e44ad;--c4:#b8860b;--c5:#c2185b;--c6:#00838f;--c7:#6d6d6d}
@media(prefers-color-scheme:dark){:root{--ink:#e4e7ee;--soft:#98a1b3;--line:#333946;--paper:#14161b;--card:#1d2027;
--warn:#3a2a10;--warn-ink:#ffca80;--c0:#6ea8ff;--c1:#ff9466;--c2:#5fd3a0;--c3:#cf9bea;--c4:#e6c15a;--c5:#ff7fae;
--c6:#5fd0da;--c7:#aaa}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:76rem;padding:1.5rem;color:var(--ink);
background:var(--paper)}
h1{font-size:1.5rem;margin:0}h2{font-size:1.15rem;margin:2.2rem 0 .7rem;padding-bottom:.25rem;
border-bottom:1px solid var(--line)}
.under{color:var(--soft);margin:.1rem 0 1.2rem}
.badge{font-size:.8rem;font-weight:600;padding:.15rem .6rem;border-radius:1rem;background:var(--c2);color:var(--paper);
vertical-align:middle;margin-left:.6rem}.badge.open{background:var(--c4)}
.cards{display:flex;flex-wrap:wrap;gap:.7rem}
.card{background:var(--card);border-radius:8px;padding:.55rem .9rem;min-width:8.5rem}
.card b{display:block;font-size:1.1rem;font-variant-numeric:tabular-nums}.card span{color:var(--soft);font-size:.85rem}
.warning{background:var(--warn);color:var(--warn-ink);border-radius:8px;padding:.5rem .9rem;margin:.4rem 0}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(21rem,1fr));gap:1.1rem}
.chart{margin:0;border:1px solid var(--line);border-radius:8px;padding:.7rem .8rem .3rem}
.chart figcaption{font-weight:600}.chart .note{font-size:.82rem;margin:.1rem 0 .4rem}
.legend{font-size:.82rem;color:var(--soft);min-height:1.3rem}.legend span{margin-right:.9rem;white-space:nowrap}
.legend span:before{content:'';display:inline-block;width:.8rem;height:.2rem;margin-right:.3rem;vertical-align:middle;
background:currentColor}.legend b{color:var(--ink)}
svg{width:100%;height:auto;display:block;overflow:visible}svg text{font-size:11px;fill:var(--soft)}
.grid{stroke:var(--line)}line.level{stroke:var(--soft);stroke-dasharray:5 4}
polyline{fill:none;stroke-width:1.8;stroke-linejoin:round}circle.hidden{opacity:0}
.note{color:var(--soft);max-width:52rem}
table{border-collapse:collapse}td,th{padding:.15rem 1rem .15rem 0;text-align:left;vertical-align:top}
.pictures td,.pictures th{padding:.15rem .35rem .15rem 0;vertical-align:middle;font-weight:400;font-size:.82rem;
color:var(--soft)}
.pictures img{width:104px;height:104px;border-radius:4px;display:block}
.pictures td:first-child{padding-right:1rem}.near span{display:inline-block;margin-right:.3rem;text-align:center}
.near span img{width:72px;height:72px}.near td{padding-right:1.6rem}
table.numbers td,table.numbers th{font-variant-numeric:tabular-nums;border-bottom:1px solid var(--line);
padding:.3rem 1.2rem .3rem 0}table.numbers td+td,table.numbers th+th{text-align:right}
td.bar{width:11rem;vertical-align:middle}td.bar div{background:var(--c0);height:.7rem;border-radius:3px}
.chart td{font-size:.85rem;padding:.1rem .6rem .1rem 0;white-space:nowrap}
details{margin:.4rem 0}summary{cursor:pointer}pre{font-size:12px;overflow:auto;background:var(--card);padding:.8rem;
border-radius:8px}.wide{overflow-x:auto}
""" + "".join(
    f".c{n} {{color:var(--c{n})}} polyline.c{n}{{stroke:var(--c{n})}} circle.c{n}{{fill:var(--c{n})}}\n"
    for n in range(8)
)


def run_page(story: RunStory) -> str:
    """The page of a run, as far as it has come."""
    body = [_head(story), cards(summary(story)), _warnings(story.warnings)]
    found = charts(story)
    body += [section(title, chart_row(drawn)) for title, drawn in found.items() if title in FIRST]
    body += [section(title, _with_note(title, table)) for title, table in picture_sections(story.pictures).items()]
    if not story.pictures.steps():
        body.append(
            section("Pictures", "<p class='note'>This run kept none: see <code>pictures.every_steps</code>.</p>")
        )
    body += [section(title, chart_row(drawn)) for title, drawn in found.items() if title not in FIRST]
    for title, phase in story.phases:
        drawn = [svg for charts_of in charts(phase).values() for svg in charts_of]
        body.append(section(title, _warnings(phase.warnings) + chart_row(drawn)))
    body.append(section("Settings and versions", _made_by(story)))
    return document(story.root.name, "".join(body))


FIRST = ("What it has learned", "Losses")
"""Sections of charts that come before the pictures."""


def document(title: str, body: str) -> str:
    """A whole page with its style."""
    head = "<meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
    head += f"<title>{escape(title)}</title><style>{STYLE}</style>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{body}</body></html>\n"


def section(title: str, content: str) -> str:
    """A part of the page, or nothing where it has no content."""
    return f"<section><h2>{escape(title)}</h2>{content}</section>" if content else ""


def chart_row(drawn: Sequence[str]) -> str:
    """Charts side by side, as many as fit."""
    return f"<div class='charts'>{''.join(drawn)}</div>" if drawn else ""


def cards(values: Mapping[str, str]) -> str:
    """Numbers with their names."""
    inside = [
        f"<div class='card'><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in values.items()
    ]
    return f"<div class='cards'>{''.join(inside)}</div>"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Names in the first column, numbers in the others."""

    def line(tag: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    inside = line("th", header) + "".join(line("td", row) for row in rows)
    return f"<div class='wide'><table class='numbers'>{inside}</table></div>"


def yaml_details(title: str, values: Mapping[str, Any]) -> str:
    """Nested values behind a line that opens them."""
    text = dump_yaml(values)
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>" if values else ""


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


def _head(story: RunStory) -> str:
    state = "finished" if story.finished else "not finished"
    badge = f"<span class='badge{'' if story.finished else ' open'}'>{state}</span>"
    return f"<h1>{escape(story.root.name)}{badge}</h1><p class='under'>{escape(what_it_is(story))}</p>"


def _warnings(warnings: Sequence[Mapping[str, Any]]) -> str:
    texts = list(dict.fromkeys(str(warning.get("warning")) for warning in warnings))
    return "".join(f"<div class='warning'>⚠ {escape(text)}</div>" for text in texts[:MOST_WARNINGS])


MOST_WARNINGS = 20


def _with_note(title: str, content: str) -> str:
    return f"<p class='note'>{escape(PICTURE_NOTES[title])}</p><div class='wide'>{content}</div>"


def _made_by(story: RunStory) -> str:
    plain = {name: value for name, value in story.environment.items() if not isinstance(value, Mapping)}
    libraries = story.environment.get("libraries") or {}
    rows = [(str(name).replace("_", " "), str(value)) for name, value in {**plain, **libraries}.items()]
    environment = f"<details><summary>environment</summary>{table(('', ''), rows)}</details>" if rows else ""
    return (
        yaml_details("settings (config.yaml)", story.config)
        + yaml_details("plan (plan.yaml)", story.plan)
        + environment
    )
