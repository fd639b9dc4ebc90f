"""Pieces of a self-contained page: style, pictures as data, tables. Every text is escaped; nothing is fetched."""

import base64
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

_THUMBNAIL = 240  # pixels, the longer side at most

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
.frame svg { position: absolute; inset: 0 0 3px 0; height: calc(100% - 3px); }
@media (max-width: 760px) { main { padding: 24px; margin: 0; } .pair { grid-template-columns: 1fr; }
  .frames { grid-template-columns: repeat(3, 1fr); } }
@media print { body { background: none; } main { margin: 0; padding: 0; border: 0; max-width: none; }
  h2 { break-after: avoid; } h3 { break-after: avoid; } svg { break-inside: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""


def page(title: str, body: Iterable[str]) -> str:
    """A whole HTML document that can load nothing from anywhere: its own policy forbids it."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body><main>\n"
        + "\n".join(body)
        + "\n</main></body></html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numeric: Iterable[int] = ()) -> str:
    """A table of texts; the columns named by `numeric` are set right."""
    right = set(numeric)

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f'<{tag} class="n">{escape(text)}</{tag}>' if i in right else f"<{tag}>{escape(text)}</{tag}>"
            for i, text in enumerate(row)
        )

    top = f"<thead><tr>{cells('th', head)}</tr></thead>" if head else ""
    return f"<table>{top}<tbody>" + "".join(f"<tr>{cells('td', row)}</tr>" for row in rows) + "</tbody></table>"


def numbers(items: Iterable[tuple[str, str]]) -> str:
    """Large numbers with a line under each."""
    inner = "".join(f"<div><b>{escape(value)}</b><span class=soft>{escape(text)}</span></div>" for value, text in items)
    return f'<div class="numbers">{inner}</div>'


def frame(
    picture: NDArray[np.uint8], mask: NDArray[np.bool_] | None, defective: bool, score: float, caption: str
) -> str:
    """A picture, uint8 (H, W, 3) BGR, shrunk and inline, with a thin box about the true defect where it is known."""
    box = _box(mask) if mask is not None and mask.any() else ""
    kind = "frame defect" if defective else "frame"
    return (
        f'<figure><div class="{kind}"><img alt="{escape(caption)}" src="{data_uri(picture)}">{box}</div>'
        f"<figcaption><b>{score:.3f}</b> {escape(caption)}</figcaption></figure>"
    )


def data_uri(picture: NDArray[np.uint8]) -> str:
    """uint8 (H, W, 3) BGR as a data URI: PNG where it is small, else a shrunken JPEG."""
    import cv2

    shrink = _THUMBNAIL / max(picture.shape[:2])
    if shrink < 1:
        size = (max(1, round(picture.shape[1] * shrink)), max(1, round(picture.shape[0] * shrink)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 88])
        mime = "image/jpeg"
    else:
        done, data = cv2.imencode(".png", picture)
        mime = "image/png"
    if not done:
        raise RuntimeError(f"OpenCV could not encode a picture of shape {picture.shape}")
    return f"data:{mime};base64,{base64.b64encode(data.tobytes()).decode('ascii')}"


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
