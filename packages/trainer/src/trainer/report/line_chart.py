"""A line chart as inline SVG: no script, colours from the page's style, values as tooltips of its points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

Series = Sequence[tuple[float, float]]
WIDTH, HEIGHT = 460, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 30
MOST_POINTS, MOST_MARKS = 240, 40
COLOURS = 8
"""Classes c0 to c7 of the page's style."""


@dataclass(frozen=True)
class Chart:
    """One picture: lines by name, dashed levels by name, and how to write a value.

    `points` draws a mark at every value, for series of few; `log` takes a logarithmic axis where all values are
    above 0.
    """

    title: str
    lines: Mapping[str, Series]
    levels: Mapping[str, float] | None = None
    note: str = ""
    points: bool = False
    log: bool = False


def chart_svg(chart: Chart) -> str:
    """The chart with its title and legend; "" where there is nothing to draw."""
    lines = {name: thinned(series) for name, series in chart.lines.items() if series}
    if not lines:
        return ""
    values = [value for series in lines.values() for _, value in series] + [*(chart.levels or {}).values()]
    use_log = chart.log and min(values) > 0
    scale = _Scale.of(lines, values, use_log)
    body = [_grid(scale, use_log)]
    for name, level in (chart.levels or {}).items():
        y = scale.y(level)
        body.append(f"<line class='level' x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{y:.1f}' y2='{y:.1f}'/>")
        body.append(f"<text class='level' x='{WIDTH - RIGHT}' y='{y - 4:.1f}' text-anchor='end'>{escape(name)}</text>")
    for number, (name, series) in enumerate(lines.items()):
        body.append(_line(name, series, scale, f"c{number % COLOURS}", chart.points))
    legend = _legend(lines) if len(lines) > 1 else f"<div class='legend'>last {short(_last(lines))}</div>"
    note = f"<p class='note'>{escape(chart.note)}</p>" if chart.note else ""
    return (
        f"<figure class='chart'><figcaption>{escape(chart.title)}</figcaption>{legend}"
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{escape(chart.title)}'>{''.join(body)}</svg>"
        f"{note}</figure>"
    )


def thinned(series: Series, most: int = MOST_POINTS) -> Series:
    """At most about so many values: of each stretch the smallest and the largest, so that no peak is lost."""
    if len(series) <= most:
        return series
    size = math.ceil(len(series) / (most // 2))
    kept = []
    for start in range(0, len(series), size):
        stretch = series[start : start + size]
        low, high = (choose(stretch, key=lambda pair: pair[1]) for choose in (min, max))
        kept += sorted({low, high})
    return [*kept, series[-1]] if kept[-1] != series[-1] else kept


def short(value: float) -> str:
    """A number in few characters."""
    if value == 0:
        return "0"
    if abs(value) >= 10_000:
        return f"{value:,.0f}" if abs(value) < 1e6 else f"{value:.3g}"
    return f"{value:.4g}" if abs(value) >= 1e-3 else f"{value:.1e}"


@dataclass(frozen=True)
class _Scale:
    x_low: float
    x_high: float
    y_low: float
    y_high: float
    log: bool

    @classmethod
    def of(cls, lines: Mapping[str, Series], values: Sequence[float], log: bool) -> _Scale:
        steps = [step for series in lines.values() for step, _ in series]
        seen = [math.log10(value) for value in values] if log else list(values)
        low, high = min(seen), max(seen)
        margin = (high - low) * 0.06 or abs(high) * 0.05 or 0.5
        floor = 0.0 if not log and 0 <= low < 0.35 * high else low - margin
        return cls(min(steps), max(max(steps), min(steps) + 1), floor, high + margin, log)

    def x(self, step: float) -> float:
        return LEFT + (step - self.x_low) / (self.x_high - self.x_low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        at = math.log10(value) if self.log else value
        return HEIGHT - BOTTOM - (at - self.y_low) / (self.y_high - self.y_low) * (HEIGHT - TOP - BOTTOM)


def _grid(scale: _Scale, log: bool) -> str:
    parts = []
    for tick in _log_ticks(scale) if log else _ticks(scale.y_low, scale.y_high):
        y = scale.y(tick)
        parts.append(f"<line class='grid' x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{y:.1f}' y2='{y:.1f}'/>")
        parts.append(f"<text x='{LEFT - 6}' y='{y + 4:.1f}' text-anchor='end'>{short(tick)}</text>")
    parts += [
        f"<text x='{scale.x(tick):.1f}' y='{HEIGHT - 10}' text-anchor='middle'>{_step(tick)}</text>"
        for tick in _ticks(scale.x_low, scale.x_high, 5)
    ]
    return "".join(parts)


def _step(step: float) -> str:
    return f"{step / 1000:g}k" if step >= 10_000 else f"{step:g}"


def _line(name: str, series: Series, scale: _Scale, colour: str, points: bool) -> str:
    places = [(scale.x(step), scale.y(value)) for step, value in series]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    marked = list(zip(places, series, strict=True))[:: math.ceil(len(series) / MOST_MARKS)]
    marks = [
        f"<circle class='{colour}{'' if points else ' hidden'}' cx='{x:.1f}' cy='{y:.1f}' r='{3 if points else 5}'>"
        f"<title>{escape(name)}: {short(value)} at step {step:g}</title></circle>"
        for (x, y), (step, value) in marked
    ]
    return f"<polyline class='{colour}' points='{path}'/>{''.join(marks)}"


def _legend(lines: Mapping[str, Series]) -> str:
    items = [
        f"<span class='c{number % COLOURS}'>{escape(name)} <b>{short(series[-1][1])}</b></span>"
        for number, (name, series) in enumerate(lines.items())
    ]
    return f"<div class='legend'>{''.join(items)}</div>"


def _last(lines: Mapping[str, Series]) -> float:
    [series] = lines.values()
    return series[-1][1]


def _ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers between two others."""
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(scale: _Scale) -> list[float]:
    powers = range(math.ceil(scale.y_low), math.floor(scale.y_high) + 1)
    ticks = [10.0**power for power in powers]
    return ticks if len(ticks) > 1 else [10**tick for tick in _ticks(scale.y_low, scale.y_high, 3)]
