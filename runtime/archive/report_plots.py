"""The report's two plots as inline SVG: scores by decision, and scores over time. Colours are the page's own."""

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from html import escape

from wordsight.runtime.archive.report_bins import Histogram, Span
from wordsight.runtime.archive.report_found import DECISIONS, Found

STYLE = """
:root { --good: #2b6f8a; --unsure: #b98a1c; }
@media (prefers-color-scheme: dark) { :root { --good: #6fb3cf; --unsure: #e0b650; } }
.plot { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: 10px; margin: 12px 0; }
svg { width: 100%; height: auto; display: block; fill: none; stroke-width: 1.2; }
svg text { font-size: 12.5px; fill: var(--ink); stroke: none; } svg .axis { stroke: var(--soft); }
svg .mark { stroke: var(--ink); stroke-dasharray: 3 4; }
svg .plain, svg .good { stroke: var(--good); fill: var(--good); fill-opacity: .3; }
svg .unsure { stroke: var(--unsure); fill: var(--unsure); fill-opacity: .3; }
svg .defect, svg .drifting { stroke: var(--odd); fill: var(--odd); fill-opacity: .3; }
svg .plain.line, svg .drifting.line { stroke-width: 2.2; }
"""
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 1000, 300, 64, 16, 18, 46
_BARS = 80


def scores(found: Found, marks: Sequence[tuple[float, str]]) -> str:
    """How many pictures have which score, one outline a decision, on a logarithmic axis: what is odd is rare.

    Args:
        found: what the archive says; at least one finite score.
        marks: scores that are marked, and what each is.
    """
    whole = found.scores
    low, step, bars = _grid(whole)
    heights = {decision: one.scores.bars(low, step, bars) for decision, one in found.decided.items()}
    most = max(int(bar.max()) for bar in heights.values())
    top = max(10.0, 10 ** math.ceil(math.log10(most)))
    x = _scale(low, low + bars * step, _LEFT, _WIDTH - _RIGHT)
    floor = 0.5  # a single picture is to be seen

    def y(count: float) -> float:
        share = math.log(max(count, floor) / floor) / math.log(top / floor)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP)

    parts = [_frame("score"), _turned("pictures")]
    parts += [_text(x(tick), _HEIGHT - _BOTTOM + 16, f"{tick:g}", "middle") for tick in _ticks(low, low + bars * step)]
    parts += [_text(_LEFT - 6, y(10**n) + 4, _short(10**n), "end") for n in range(round(math.log10(top)) + 1)]
    for decision in (None, *DECISIONS):
        if decision not in heights:
            continue
        bars_of = [(x(low + n * step), x(low + (n + 1) * step), y(int(c)), c) for n, c in enumerate(heights[decision])]
        parts.append(f'<path class="{decision or "plain"}" d="{_skyline(bars_of, y(0))}"/>')
    for place, (score, what) in enumerate(marks):
        at = x(min(max(score, low), low + bars * step))
        side, gap = ("end", -5) if at > _WIDTH / 2 else ("start", 5)
        parts.append(f'<path class="mark" d="{_path([(at, _TOP), (at, _HEIGHT - _BOTTOM)])}"/>')
        parts.append(_text(at + gap, _TOP + 10 + 15 * place, what, side))
    return _svg(parts, "Histogram of the scores")


def over_time(spans: Sequence[Span]) -> str:
    """A box a span: the middle half of its scores, their median, and lines from the 5th to the 95th percentile."""
    low = min(span.quantile(0.05) for span in spans)
    high = max(span.quantile(0.95) for span in spans)
    pad = 0.05 * (high - low) or 0.05
    low, high = low - pad, high + pad
    y = _scale(low, high, _HEIGHT - _BOTTOM, _TOP)
    wide = (_WIDTH - _LEFT - _RIGHT) / len(spans)
    long = spans[-1].begin - spans[0].begin > len(spans) * 86_400
    named = _day if long else _hour
    parts = [_frame("begin of the span, UTC; each has nearly as many pictures"), _turned("score")]
    parts += [_text(_LEFT - 6, y(tick) + 4, f"{tick:g}", "end") for tick in _ticks(low, high)]
    for number, span in enumerate(spans):
        middle, half = _LEFT + (number + 0.5) * wide, min(30.0, 0.3 * wide)
        kind = "drifting" if span.drifting else "plain"
        lowest, lower, median, upper, highest = (y(span.quantile(share)) for share in (0.05, 0.25, 0.5, 0.75, 0.95))
        parts.append(f'<path class="{kind}" d="{_path([(middle, lowest), (middle, lower)])}"/>')
        parts.append(f'<path class="{kind}" d="{_path([(middle, upper), (middle, highest)])}"/>')
        parts.append(
            f'<rect class="{kind}" x="{middle - half:.1f}" y="{upper:.1f}" width="{2 * half:.1f}" '
            f'height="{max(1.0, lower - upper):.1f}"/>'
        )
        line = _path([(middle - half, median), (middle + half, median)])
        parts.append(f'<path class="{kind} line" d="{line}"/>')
        parts.append(_text(middle, _HEIGHT - _BOTTOM + 16, named(span.begin), "middle"))
    return _svg(parts, "Scores over time")


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d")


def _hour(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%m-%d %H:%M")


def _skyline(bars: Sequence[tuple[float, float, float, int]], ground: float) -> str:
    """The outline of bars (left, right, top, count): one closed path for each run of them that are not empty."""
    paths: list[list[tuple[float, float]]] = []
    before = 0
    for left, right, top, count in bars:
        if count:
            if not before:
                paths.append([(left, ground)])
            paths[-1] += [(left, top), (right, top)]
        elif before:
            paths[-1].append((left, ground))
        before = count
    if before:
        paths[-1].append((bars[-1][1], ground))
    return "".join(f"{_path(points)}Z" for points in paths)


def _grid(histogram: Histogram) -> tuple[float, float, int]:
    """Return where bars begin, how wide they are, and how many: multiples of a bin."""
    keys, width = histogram.keys, histogram.width
    per = max(1, math.ceil((int(keys[-1]) - int(keys[0]) + 1) / _BARS))
    first = int(keys[0])
    if 0 < first * width < 0.05 * (int(keys[-1]) + 1) * width:
        first = 0  # an axis that begins at 0.002 has no 0 to read from
        per = max(1, math.ceil((int(keys[-1]) + 1) / _BARS))
    return first * width, per * width, math.ceil((int(keys[-1]) + 1 - first) / per)


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (float(value) - low) / (high - low) * (end - start)


def _ticks(low: float, high: float) -> list[float]:
    """About six round numbers between low and high."""
    raw = (high - low) / 6
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) + 0.0 for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _short(number: int) -> str:
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number // size} {letter}"
    return str(number)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _frame(across: str) -> str:
    corners = [(_LEFT, _TOP), (_LEFT, _HEIGHT - _BOTTOM), (_WIDTH - _RIGHT, _HEIGHT - _BOTTOM)]
    return (
        f'<path class="axis" d="{_path([(float(x), float(y)) for x, y in corners])}"/>'
        + _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, across, "middle")
    )  # fmt: skip


def _turned(text: str) -> str:
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    return f'<text x="14" y="{middle:.1f}" text-anchor="middle" transform="rotate(-90 14 {middle:.1f})">{text}</text>'


def _svg(parts: Sequence[str], label: str) -> str:
    return (
        f'<div class="plot"><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
        + "".join(parts)
        + "</svg></div>"
    )
