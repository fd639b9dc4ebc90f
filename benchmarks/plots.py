"""Plots as inline SVG text: they need no library, no font and no network, and print sharply."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import ArrayLike

from wordsight.benchmarks.metrics import auroc, roc_curve

GOOD, DEFECT = "#2b6f8a", "#d0562f"
LINES = ("#1d1d1f", "#d0562f", "#2b6f8a", "#8a6d2b")
_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 460, 320, 46, 14, 14, 44


def histogram(labels: ArrayLike, scores: ArrayLike, name: str, bins: int = 40) -> str:
    """How the scores of good and of defective pictures lie; each kind's bars sum to 100%."""
    truth, score = np.asarray(labels), np.asarray(scores, np.float64)
    low, high = float(score.min()), float(score.max())
    low = 0.0 if 0 < low < 0.05 * high else low  # an axis that begins at 0.002 has no 0 to read from
    edges = np.linspace(low, max(high, low + 1e-9), bins + 1)
    shares = [100 * np.histogram(score[truth == kind], edges)[0] / max(1, (truth == kind).sum()) for kind in (0, 1)]
    top = max(float(share.max()) for share in shares) * 1.08
    x, y = _scale(edges[0], edges[-1], _LEFT, _WIDTH - _RIGHT), _scale(0, top, _HEIGHT - _BOTTOM, _TOP)
    parts = [_axes(edges[0], edges[-1], 0, top, name, "share of the pictures, %")]
    for share, colour in zip(shares, (GOOD, DEFECT), strict=True):
        outline = [(x(edges[0]), y(0))]
        for left, right, value in zip(edges[:-1], edges[1:], share, strict=True):
            outline += [(x(left), y(value)), (x(right), y(value))]
        outline.append((x(edges[-1]), y(0)))
        parts.append(f'<path d="{_path(outline)}Z" fill="{colour}" fill-opacity=".38" stroke="{colour}"/>')
    counts = [int((truth == kind).sum()) for kind in (0, 1)]
    parts.append(_legend([(GOOD, f"good ({counts[0]})"), (DEFECT, f"defective ({counts[1]})")], _WIDTH - 150, 24))
    return _svg(parts, f"Histogram of {name} by label")


def roc(labels: ArrayLike, scores: Mapping[str, ArrayLike]) -> str:
    """One curve a score, with its area in the legend."""
    x, y = _scale(0, 1, _LEFT, _WIDTH - _RIGHT), _scale(0, 1, _HEIGHT - _BOTTOM, _TOP)
    parts = [_axes(0, 1, 0, 1, "good parts called defective", "defects found")]
    parts.append(f'<path d="{_path([(x(0), y(0)), (x(1), y(1))])}" stroke="#aaa" stroke-dasharray="3 4"/>')
    legend = []
    for (name, score), colour in zip(scores.items(), LINES, strict=False):
        curve = zip(*roc_curve(labels, score), strict=True)
        line = _path([(x(a), y(b)) for a, b in curve])
        parts.append(f'<path d="{line}" stroke="{colour}" stroke-width="1.8" stroke-linejoin="round"/>')
        legend.append((colour, f"{name}  {auroc(labels, score):.3f}"))
    parts.append(_legend(legend, _WIDTH - 190, _HEIGHT - _BOTTOM - 18 * len(legend) - 4))
    return _svg(parts, "ROC curves")


def strips(rows: Mapping[str, Sequence[float]]) -> str:
    """One row of dots a name, each dot an AUROC, the mean as a bar; the line at 0.5 is chance."""
    low = min(0.3, *(min(values) for values in rows.values())) - 0.02
    height = 44 + 34 * len(rows)
    x = _scale(low, 1.0, 190, 940)
    parts = []
    for tick in np.arange(np.ceil(low * 10) / 10, 1.01, 0.1):
        dash = "" if abs(tick - 0.5) < 1e-6 else ' stroke-dasharray="2 5"'
        line = f'<path d="{_path([(x(tick), 8), (x(tick), height - 30)])}" stroke="#bbb"{dash}/>'
        parts.append(line + _text(x(tick), height - 12, f"{tick:.1f}", "middle"))
    for i, (name, values) in enumerate(rows.items()):
        middle = 26 + 34 * i
        parts.append(_text(178, middle + 4, name, "end"))
        parts += [
            f'<circle cx="{x(v):.1f}" cy="{middle}" r="4" fill="{LINES[0]}" fill-opacity=".3" stroke="none"/>'
            for v in values
        ]
        mean = x(float(np.mean(values)))
        parts.append(f'<path d="{_path([(mean, middle - 11), (mean, middle + 11)])}" stroke="{DEFECT}" '
                     'stroke-width="2.5"/>')  # fmt: skip
    return _svg(parts, "AUROC of every seed and of every head of the control", 960, height)


def _scale(low: float, high: float, start: float, end: float):  # type: ignore[no-untyped-def]
    return lambda value: start + (float(value) - low) / (high - low) * (end - start)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _text(x: float, y: float, text: str, anchor: str = "start", turn: int = 0) -> str:
    turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turned}>{escape(text)}</text>'


def _axes(left: float, right: float, bottom: float, top: float, across: str, up: str) -> str:
    x, y = _scale(left, right, _LEFT, _WIDTH - _RIGHT), _scale(bottom, top, _HEIGHT - _BOTTOM, _TOP)
    frame = [(_LEFT, _TOP), (_LEFT, _HEIGHT - _BOTTOM), (_WIDTH - _RIGHT, _HEIGHT - _BOTTOM)]
    parts = [f'<path d="{_path(frame)}" stroke="#888"/>']
    for tick in _ticks(left, right):
        parts.append(_text(x(tick), _HEIGHT - _BOTTOM + 16, f"{tick:g}", "middle"))
    for tick in _ticks(bottom, top):
        parts.append(_text(_LEFT - 6, y(tick) + 4, f"{tick:g}", "end"))
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, across, "middle"))
    parts.append(_text(12, (_TOP + _HEIGHT - _BOTTOM) / 2, up, "middle", -90))
    return "".join(parts)


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers between low and high."""
    raw = (high - low) / 5
    magnitude = 10.0 ** np.floor(np.log10(raw))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw * 0.999)
    first = np.ceil(low / step - 1e-9) * step
    return [round(float(t), 12) + 0.0 for t in np.arange(first, high + step * 1e-6, step)]  # + 0.0: no "-0"


def _legend(rows: Sequence[tuple[str, str]], x: float, y: float) -> str:
    return "".join(
        f'<rect x="{x}" y="{y + 18 * i - 9}" width="12" height="10" fill="{colour}" stroke="none"/>'
        + _text(x + 18, y + 18 * i, text)
        for i, (colour, text) in enumerate(rows)
    )


def _svg(parts: Sequence[str], label: str, width: int = _WIDTH, height: int = _HEIGHT) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}" fill="none" stroke-width="1.2">'
        + "".join(parts)
        + "</svg>"
    )
