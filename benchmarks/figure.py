"""Line charts as one plain SVG file, readable on light and dark grounds; for the benchmarks only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

LIGHT = {"ground": "#ffffff", "ink": "#1f2328", "faint": "#59636e", "grid": "#d1d9e0"}
DARK = {"ground": "#0d1117", "ink": "#e6edf3", "faint": "#9198a1", "grid": "#3d444d"}
MOST_POINTS = 160
GAP_LEFT, GAP_RIGHT, GAP_TOP, GAP_BOTTOM = 52, 24, 52, 44
HEAD = 88


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """What the legend calls a line, its colour on each ground, its dashes and its width."""

    label: str
    light: str
    dark: str
    dash: str = ""
    width: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line with an optional band around it; all of the same length as ``x``."""

    name: str
    x: ArrayLike
    y: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One chart; ``marks`` are (x, text) of vertical lines."""

    title: str
    unit: str
    x_unit: str
    lines: Sequence[Line]
    y_range: tuple[float, float]
    marks: Sequence[tuple[float, str]] = ()


def drawing(
    title: str, subtitle: str, rows: Sequence[Sequence[Panel]], styles: dict[str, Style], *, width: int = 1200
) -> str:
    """Return an SVG document: a title, a legend, and the panels row by row."""
    columns = max(len(row) for row in rows)
    across, down = width / columns, 270.0
    height = HEAD + down * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:g}" width="{width}" '
        f'height="{height:g}" role="img" aria-label="{escape(title)}: {escape(subtitle)}">',
        _css(styles),
        f'<rect class="ground" width="{width}" height="{height:g}"/>',
        f'<text class="title" x="{GAP_LEFT}" y="30">{escape(title)}</text>',
        f'<text class="note" x="{GAP_LEFT}" y="51">{escape(subtitle)}</text>',
        *_legend(styles),
    ]
    for i, row in enumerate(rows):
        for j, panel in enumerate(row):
            parts += _panel(panel, styles, j * across, HEAD + i * down, across, down)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _css(styles: dict[str, Style]) -> str:
    def colours(ground: dict[str, str], of: dict[str, str]) -> str:
        lines = "".join(f".l{i}{{stroke:{c}}}.b{i}{{fill:{c}}}" for i, c in enumerate(of.values()))
        return (
            f".ground{{fill:{ground['ground']}}}text{{fill:{ground['ink']}}}.note{{fill:{ground['faint']}}}"
            f".grid{{stroke:{ground['grid']}}}.mark{{stroke:{ground['faint']}}}{lines}"
        )

    shapes = "".join(
        f".l{i}{{stroke-width:{s.width};stroke-dasharray:{s.dash or 'none'}}}"
        for i, s in enumerate(styles.values())
    )
    return (
        "<style>text{font:13px system-ui,sans-serif}.title{font-size:18px;font-weight:600}"
        ".head{font-weight:600}.tick,.note{font-size:12px}.line{fill:none;stroke-linejoin:round}"
        ".band{opacity:.16}.grid{stroke-width:1}.mark{stroke-dasharray:2 3}"
        + shapes
        + colours(LIGHT, {name: s.light for name, s in styles.items()})
        + "@media(prefers-color-scheme:dark){"
        + colours(DARK, {name: s.dark for name, s in styles.items()})
        + "}</style>"
    )


def _legend(styles: dict[str, Style]) -> list[str]:
    parts, x = [], float(GAP_LEFT)
    for i, style in enumerate(styles.values()):
        parts.append(f'<path class="line l{i}" d="M{x:g} 72h34"/>')
        parts.append(f'<text x="{x + 42:g}" y="76">{escape(style.label)}</text>')
        x += 72 + 7.2 * len(style.label)
    return parts


def _panel(
    panel: Panel, styles: dict[str, Style], x0: float, y0: float, across: float, down: float
) -> list[str]:
    left, right = x0 + GAP_LEFT, x0 + across - GAP_RIGHT
    top, bottom = y0 + GAP_TOP, y0 + down - GAP_BOTTOM
    x_range = (0.0, max(float(np.max(line.x)) for line in panel.lines))

    def at(x: ArrayLike, y: ArrayLike) -> str:
        px = left + (np.asarray(x) - x_range[0]) / (x_range[1] - x_range[0]) * (right - left)
        within = np.clip(np.asarray(y), *panel.y_range)
        py = bottom - (within - panel.y_range[0]) / (panel.y_range[1] - panel.y_range[0]) * (bottom - top)
        return "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(np.ravel(px), np.ravel(py), strict=True))

    parts = [
        f'<text class="head" x="{left:g}" y="{y0 + 22:g}">{escape(panel.title)}</text>',
        f'<text class="note" x="{left:g}" y="{y0 + 40:g}">{escape(panel.unit)}</text>',
        f'<text class="note" x="{right:g}" y="{bottom + 34:g}" text-anchor="end">'
        f"{escape(panel.x_unit)}</text>",
    ]
    for value in _ticks(*panel.y_range, 5):
        y = float(at(0.0, value).split()[1])
        parts.append(f'<path class="grid" d="M{left:g} {y:g}H{right:g}"/>')
        parts.append(f'<text class="tick" x="{left - 7:g}" y="{y + 4:g}" text-anchor="end">{value:g}</text>')
    for value in _ticks(*x_range, 6):
        x = float(at(value, panel.y_range[0]).split()[0])
        parts.append(
            f'<text class="tick" x="{x:g}" y="{bottom + 17:g}" text-anchor="middle">{value:g}</text>'
        )
    for value, told in panel.marks:
        x = float(at(value, panel.y_range[0]).split()[0])
        parts.append(f'<path class="mark" d="M{x:g} {top:g}V{bottom:g}"/>')
        parts.append(
            f'<text class="note" x="{x - 5:g}" y="{top + 12:g}" text-anchor="end">{escape(told)}</text>'
        )
    places = {name: i for i, name in enumerate(styles)}
    for line in panel.lines:
        if line.low is not None and line.high is not None:
            some = _thinned(len(np.asarray(line.x)))
            x, low, high = (np.asarray(v)[some] for v in (line.x, line.low, line.high))
            ring = f"M{at(x, high)}L{at(x[::-1], low[::-1])}Z"
            parts.append(f'<path class="band b{places[line.name]}" d="{ring}"/>')
    for line in panel.lines:
        some = _thinned(len(np.asarray(line.x)))
        path = at(np.asarray(line.x)[some], np.asarray(line.y)[some])
        parts.append(f'<path class="line l{places[line.name]}" d="M{path}"/>')
    return parts


def _thinned(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(int))


def _ticks(low: float, high: float, about: int) -> Iterable[float]:
    """Return round values inside a range, about as many as asked for."""
    steps = [m * 10.0**e for e in range(-6, 7) for m in (1.0, 2.0, 2.5, 5.0)]
    step = next(b for a, b in pairwise(steps) if (high - low) / b <= about)
    # Adding 0 turns a minus zero into a zero.
    return (
        round(float(v), 10) + 0.0 for v in np.arange(np.ceil(low / step - 1e-9), high / step + 1e-9) * step
    )
