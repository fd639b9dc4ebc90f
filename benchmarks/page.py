"""The reports' pages: their style, and frames with what is known of them. Every text is escaped; nothing is fetched."""

from collections.abc import Iterable
from html import escape

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime import html
from wordsight.runtime.heat import Heat
from wordsight.runtime.html import data_uri, numbers, table, thumbnail
from wordsight.runtime.overlay import overlay

__all__ = ["STYLE", "data_uri", "frame", "numbers", "page", "table"]

STYLE = """
:root { --ink: #1d1d1f; --soft: #6e6e73; --line: #dcdce0; --paper: #fff; --good: #2b6f8a; --defect: #d0562f; }
* { box-sizing: border-box; }
body { margin: 0; background: #f5f5f3; color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1040px; margin: 32px auto; padding: 40px 48px; background: var(--paper);
  border: 1px solid var(--line); }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -.01em; }
h2 { font-size: 18px; margin: 40px 0 8px; padding-top: 14px; border-top: 1px solid var(--line); }
h3 { font-size: 15px; margin: 22px 0 6px; }
p { max-width: 46em; margin: 6px 0; }
.soft, figcaption, th { color: var(--soft); }
.note { border-left: 3px solid var(--defect); padding: 8px 14px; background: #fbf3ef; margin: 16px 0; }
.numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px 24px;
  margin: 22px 0 18px; }
.numbers span { display: block; font-size: 13.5px; line-height: 1.35; }
.numbers b { display: block; font-size: 30px; font-weight: 600; line-height: 1.15; font-variant-numeric: tabular-nums; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 28px; }
svg { width: 100%; height: auto; display: block; }
svg text { font-size: 12.5px; fill: var(--ink); stroke: none; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; font-size: 13px; }
th, td { padding: 4px 14px 4px 0; border-bottom: 1px solid #eeeef0; vertical-align: top; }
td.n, th.n { text-align: right; white-space: nowrap; }
code { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.frames { display: grid; grid-template-columns: repeat(6, 1fr); gap: 14px; }
figure { margin: 0; break-inside: avoid; }
figcaption { font-size: 12.5px; line-height: 1.35; margin-top: 4px; overflow-wrap: anywhere; }
figcaption b { color: var(--ink); font-variant-numeric: tabular-nums; }
.frame { position: relative; line-height: 0; background: #ececee; }
.frame img { width: 100%; height: auto; border-bottom: 3px solid var(--good); }
.frame.defect img { border-color: var(--defect); }
.heat { line-height: 0; margin-top: 4px; } .heat img { width: 100%; height: auto; }
.frame svg { position: absolute; inset: 0 0 3px 0; height: calc(100% - 3px); }
@media (max-width: 760px) { main { padding: 24px; margin: 0; } .pair { grid-template-columns: 1fr; }
  .frames { grid-template-columns: repeat(3, 1fr); } }
@media print { body { background: none; } main { margin: 0; padding: 0; border: 0; max-width: none; }
  h2 { break-after: avoid; } h3 { break-after: avoid; } svg { break-inside: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""


def page(title: str, body: Iterable[str]) -> str:
    """A whole HTML document in the style of the reports; see `wordsight.runtime.html.page`."""
    return html.page(title, body, STYLE)


def frame(
    picture: NDArray[np.uint8],
    mask: NDArray[np.bool_] | None,
    defective: bool,
    score: float,
    caption: str,
    heat: Heat | None = None,
) -> str:
    """A picture, uint8 (H, W, 3) BGR, shrunk and inline, with a thin box about the true defect where it is known.

    Its heat map is drawn over a second copy below it.
    """
    box = _box(mask) if mask is not None and mask.any() else ""
    kind = "frame defect" if defective else "frame"
    below = ""
    if heat is not None:
        drawn = overlay(thumbnail(picture), heat)
        below = f'<div class="heat"><img alt="heat map of {escape(caption)}" src="{data_uri(drawn)}"></div>'
    return (
        f'<figure><div class="{kind}"><img alt="{escape(caption)}" src="{data_uri(picture)}">{box}</div>{below}'
        f"<figcaption><b>{score:.3f}</b> {escape(caption)}</figcaption></figure>"
    )


def _box(mask: NDArray[np.bool_]) -> str:
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    pad = 0.03  # of the picture: a box on the defect's rim would hide it
    left, top = columns[0] / width - pad, rows[0] / height - pad
    right, bottom = (columns[-1] + 1) / width + pad, (rows[-1] + 1) / height + pad
    x, y = 100 * max(left, 0.005), 100 * max(top, 0.005)
    place = (
        f'x="{x:.1f}" y="{y:.1f}" width="{100 * min(right, 0.995) - x:.1f}" height="{100 * min(bottom, 0.995) - y:.1f}"'
    )
    return (
        '<svg viewBox="0 0 100 100" preserveAspectRatio="none" fill="none" aria-hidden="true">'
        + "".join(
            f'<rect {place} stroke="{colour}" stroke-width="{wide}" vector-effect="non-scaling-stroke"/>'
            for colour, wide in (("#fff", 3), ("#d0562f", 1.2))
        )
        + "</svg>"
    )
