"""Draws line plots as SVG text, so that a report is one self-contained file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 300
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 34, 46
COLOURS = ("#2563eb", "#d97706", "#059669", "#dc2626")
MOST_POINTS = 1_500
HEADROOM = 1.15
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    points: Sequence[Point]


def cdf(values: Sequence[float]) -> list[Point]:
    """Return the cumulative distribution as steps: (value, percent of values up to it)."""
    ordered = sorted(values)
    points: list[Point] = []
    for place, value in enumerate(ordered):
        points += [(value, 100 * place / len(ordered)), (value, 100 * (place + 1) / len(ordered))]
    return points


def ticks(low: float, high: float, wanted: int = 6) -> list[float]:
    """Return round numbers that cover the range."""
    span = high - low or 1.0
    step = 10.0 ** math.floor(math.log10(span / wanted))
    step = next(step * factor for factor in (1, 2, 5, 10) if span / (step * factor) <= wanted)
    first = math.floor(low / step)
    return [round(place * step, 10) for place in range(first, math.ceil(high / step) + 1)]


def plot(title: str, x_label: str, y_label: str, lines: Sequence[Line], marks: Sequence[tuple[float, str]] = ()) -> str:
    """Draw lines, and vertical marks with names. Without points it states that nothing was measured."""
    lines = [line for line in lines if line.points]
    if not lines:
        return f"<figure><figcaption>{escape(title)}</figcaption><p>not measured</p></figure>"
    xs = ticks(*_range([x for line in lines for x, _ in line.points]))
    # space above the line for the names of the marks
    ys = ticks(*_range([0.0, *(y * (HEADROOM if marks else 1.0) for line in lines for _, y in line.points)]))

    def place(x: float, y: float) -> str:
        across = LEFT + (x - xs[0]) / (xs[-1] - xs[0]) * (WIDTH - LEFT - RIGHT)
        down = HEIGHT - BOTTOM - (y - ys[0]) / (ys[-1] - ys[0]) * (HEIGHT - TOP - BOTTOM)
        return f"{across:.1f},{down:.1f}"

    out = [
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        f'<text x="{LEFT}" y="18" class="title">{escape(title)}</text>',
    ]
    for y in ys:
        (x1, y1), (x2, _) = place(xs[0], y).split(","), place(xs[-1], y).split(",")
        out.append(
            f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y1}" class="grid"/><text x="{LEFT - 6}" y="{y1}" '
            f'class="y">{y:g}</text>'
        )
    for x in xs:
        x1 = place(x, ys[0]).split(",")[0]
        out.append(f'<text x="{x1}" y="{HEIGHT - BOTTOM + 16}" class="x">{x:g}</text>')
    for row, (x, name) in enumerate(marks):
        if xs[0] <= x <= xs[-1]:
            x1 = place(x, ys[0]).split(",")[0]
            out.append(
                f'<line x1="{x1}" y1="{TOP}" x2="{x1}" y2="{HEIGHT - BOTTOM}" class="mark"/><text '
                f'x="{float(x1) + 3:.1f}" y="{TOP + 8 + 10 * (row % 3)}" class="small">{escape(name)}</text>'
            )
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(place(x, y) for x, y in thin(line.points))
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        out.append(
            f'<text x="{WIDTH - RIGHT - 4}" y="{HEIGHT - BOTTOM - 8 - 14 * number}" class="legend" '
            f'style="fill:{colour}">{escape(line.name)}</text>'
        )
    out.append(f'<text x="{(LEFT + WIDTH) // 2}" y="{HEIGHT - 8}" class="x">{escape(x_label)}</text>')
    out.append(
        f'<text x="14" y="{HEIGHT // 2}" class="label" transform="rotate(-90 14 '
        f'{HEIGHT // 2})">{escape(y_label)}</text></svg></figure>'
    )
    return "".join(out)


def thin(points: Sequence[Point]) -> Sequence[Point]:
    """Return at most MOST_POINTS points, including the last one."""
    step = -(-len(points) // MOST_POINTS)
    return points if step <= 1 else [*points[:-1:step], points[-1]]


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low, low + 1.0)
