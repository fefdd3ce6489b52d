"""The flow of counts as a picture: a stream from what was offered to what is kept, which loses an arm at every step.

Widths go with counts (Sankey). Drawn as SVG by hand, so that the page needs no script.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, STREAM, TOP, LABEL, ARM = 960.0, 150.0, 34.0, 96.0, 110.0
LEAST = 1.2
"""The thinnest arm, in pixels: what is lost is never invisible."""
KEPT_COLOURS = ("#2f6f9f", "#4f8fb8", "#7aaecb", "#9cc4d8", "#bcd8e5")


def flow_picture(flow: Sequence[tuple[str, int]], parts: Sequence[tuple[str, int]]) -> str:
    """An SVG. `flow`: (what, count) from offered to kept, as select.flow counts it; `parts`: of what is kept."""
    losses = [(name, count) for name, count in flow if name not in ("files offered", "distinct files", "kept")]
    losses = [(name.removeprefix("dropped: "), count) for name, count in losses if count]
    offered, kept = flow[0][1], dict(flow).get("kept", 0)
    if not offered:
        return ""
    step = (WIDTH - 2 * LABEL) / (len(losses) + 1)
    scale = STREAM / offered
    drawn, left, floor = [], offered, TOP + STREAM + ARM
    for place, (name, count) in enumerate(losses):
        x = LABEL + place * step
        drawn.append(_stream(x, step, left * scale))
        drawn.append(_arm(x + step, left * scale, max(LEAST, count * scale), floor))
        drawn.append(_text(x + step, floor + 14 + 28 * (place % 2), f"{name} {count:,}", "middle"))
        left -= count
    end = LABEL + len(losses) * step
    drawn.append(_stream(end, step, left * scale))
    drawn.append(_text(LABEL - 6, TOP + 14, "offered", "end") + _text(LABEL - 6, TOP + 30, f"{offered:,}", "end"))
    drawn.append(_parts(end + step, kept * scale, parts or [("kept", kept)]))
    size = f"0 0 {WIDTH + 130:.0f} {floor + 52:.0f}"
    return f"<svg class='flow' viewBox='{size}' role='img' aria-label='flow of images'>{''.join(drawn)}</svg>"


def _stream(x: float, width: float, height: float) -> str:
    return f"<rect class='stream' x='{x:.1f}' y='{TOP}' width='{width:.1f}' height='{max(LEAST, height):.1f}'/>"


def _arm(x: float, height: float, thickness: float, floor: float) -> str:
    """A band that leaves the lower edge of the stream and bends down."""
    low = TOP + height
    high, right, bend = low - thickness, x + thickness, x - 46
    path = (
        f"M{bend:.1f} {high:.1f} C{x:.1f} {high:.1f} {right:.1f} {high + 8:.1f} {right:.1f} {floor:.1f} "
        f"L{x:.1f} {floor:.1f} C{x:.1f} {low + 8:.1f} {x:.1f} {low:.1f} {bend:.1f} {low:.1f} Z"
    )
    return f"<path class='arm' d='{path}'/>"


def _parts(x: float, height: float, parts: Sequence[tuple[str, int]]) -> str:
    """What is kept, cut by where it comes from."""
    whole, y, drawn = sum(count for _, count in parts) or 1, TOP, []
    labelled = TOP - 8.0
    for place, (name, count) in enumerate(parts):
        share = max(LEAST, height * count / whole)
        colour = KEPT_COLOURS[place % len(KEPT_COLOURS)]
        drawn.append(f"<rect fill='{colour}' x='{x:.1f}' y='{y:.1f}' width='12' height='{share:.1f}'/>")
        labelled = max(labelled + 16, y + min(share, 26) / 2 + 4)
        drawn.append(_text(x + 18, labelled, f"{name} {count:,}", "start"))
        y += share
    return "".join(drawn)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}'>{escape(text)}</text>"
