"""Pieces of a page that is one file: the document, tables, pictures as data. Texts are escaped; nothing is fetched."""

import base64
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.opencv import load_cv2

THUMBNAIL = 240
"""Most pixels of the longer side of a picture in a page."""
STYLE = """
:root { color-scheme: light dark; --ink: #1d1d1f; --soft: #6e6e73; --line: #dcdce0; --ground: #f5f5f3; --card: #fff;
  --odd: #d0562f; --note: #fbf3ef; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececee; --soft: #9c9ca3; --line: #38383c; --ground: #161618;
  --card: #202023; --odd: #f0825c; --note: #2c221e; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 28px 24px 60px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 36px 0 10px; padding-top: 14px; border-top: 1px solid var(--line); }
p { max-width: 46em; margin: 6px 0; }
.soft, th { color: var(--soft); }
.note { border-left: 3px solid var(--odd); padding: 8px 14px; background: var(--note); margin: 14px 0; }
code { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 12px 24px; margin: 20px 0; }
.numbers span { display: block; font-size: 13.5px; line-height: 1.35; }
.numbers b { display: block; font-size: 28px; font-weight: 600; line-height: 1.15; font-variant-numeric: tabular-nums; }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 14px; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 6px; overflow: hidden;
  break-inside: avoid; }
.look { display: block; position: relative; aspect-ratio: 1; background: #000; }
.look img { width: 100%; height: 100%; object-fit: contain; display: block; }
.look + .look { margin-top: 1px; }
figcaption { padding: 6px 9px 8px; font-size: 12.5px; line-height: 1.4; overflow-wrap: anywhere;
  font-variant-numeric: tabular-nums; }
figcaption b { font-size: 15px; } figcaption i { font-style: normal; color: var(--soft); float: right; }
.bar { height: 4px; background: var(--line); margin: 4px 0 5px; } .bar span { display: block; height: 4px;
  background: var(--odd); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 14px; }
th { text-align: left; font-weight: 500; font-size: 13px; }
th, td { padding: 4px 14px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
td.n, th.n { text-align: right; white-space: nowrap; }
@media (max-width: 520px) { main { padding: 18px 12px 40px; } .sheet { grid-template-columns: 1fr 1fr; gap: 10px; } }
@media print { * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
"""Of a page that is a contact sheet with numbers and tables; dark and light."""


def page(title: str, body: Iterable[str], style: str) -> str:
    """A whole HTML document that can load nothing from anywhere: its own policy forbids it."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{style}</style></head>\n<body><main>\n"
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


def data_uri(picture: NDArray[np.uint8], quality: int = 88) -> str:
    """uint8 (H, W, 3) BGR as a data URI: PNG where it is small, else a JPEG, shrunk to `THUMBNAIL` pixels."""
    cv2 = load_cv2()
    longest = max(picture.shape[:2])
    if longest >= THUMBNAIL:
        shrink = THUMBNAIL / longest
        size = (max(1, round(picture.shape[1] * shrink)), max(1, round(picture.shape[0] * shrink)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        mime = "image/jpeg"
    else:
        done, data = cv2.imencode(".png", picture)
        mime = "image/png"
    if not done:
        raise RuntimeError(f"OpenCV could not encode a picture of shape {picture.shape}")
    return f"data:{mime};base64,{base64.b64encode(data.tobytes()).decode('ascii')}"


def thumbnail(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture at the size of a thumbnail, shrunk or enlarged: what a heat map is drawn over."""
    cv2 = load_cv2()
    scale = THUMBNAIL / max(picture.shape[:2])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)
