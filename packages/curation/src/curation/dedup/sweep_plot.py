"""The sweep as a picture: kept images and the largest group over the threshold, as SVG text."""

from __future__ import annotations

from collections.abc import Sequence

from curation.dedup.sweep import SweepPoint, SweepReport

WIDTH_PX, HEIGHT_PX, MARGIN_PX = 640, 360, 56


def sweep_svg(report: SweepReport) -> str:
    """Two lines, each scaled to its own largest value, with their end values written out."""
    points = report.points
    kept = _line(points, [point.kept for point in points], "#1f6f8b", "kept", -6)
    largest = _line(points, [point.largest_group for point in points], "#c05746", "largest group", 16)
    ticks = "".join(
        f'<text x="{_x(points, point.threshold):.1f}" y="{HEIGHT_PX - MARGIN_PX + 18}" text-anchor="middle">'
        f"{point.threshold:g}</text>"
        for point in points[:: max(1, len(points) // 10)]
    )
    bottom, right = HEIGHT_PX - MARGIN_PX, WIDTH_PX - MARGIN_PX
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {HEIGHT_PX}" '
        'font-family="sans-serif" font-size="12">'
        f'<rect width="{WIDTH_PX}" height="{HEIGHT_PX}" fill="white"/>'
        f'<path d="M{MARGIN_PX} {MARGIN_PX}V{bottom}H{right}" fill="none" stroke="#888"/>'
        f'<text x="{WIDTH_PX / 2}" y="{HEIGHT_PX - 14}" text-anchor="middle">cosine above which two are copies</text>'
        f"{ticks}{kept}{largest}</svg>\n"
    )


def _x(points: Sequence[SweepPoint], threshold: float) -> float:
    low, high = points[0].threshold, points[-1].threshold
    return MARGIN_PX + (threshold - low) / max(high - low, 1e-9) * (WIDTH_PX - 2 * MARGIN_PX)


def _line(points: Sequence[SweepPoint], values: Sequence[int], colour: str, name: str, lift_px: int) -> str:
    """A line with its end values, which stand `lift_px` below it: two lines may lie on each other."""
    top = max(1, *values)
    places = [
        (_x(points, point.threshold), HEIGHT_PX - MARGIN_PX - value / top * (HEIGHT_PX - 2 * MARGIN_PX))
        for point, value in zip(points, values, strict=True)
    ]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    ends = "".join(
        f'<text x="{x:.1f}" y="{y + lift_px:.1f}" text-anchor="{anchor}" fill="{colour}">{name} {value:,}</text>'
        for (x, y), value, anchor in ((places[0], values[0], "start"), (places[-1], values[-1], "end"))
    )
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{ends}'
