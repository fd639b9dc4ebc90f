"""Pieces of a page that is one file: the document, tables, pictures as data. Texts are escaped; nothing is fetched."""

import base64
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.opencv import load_cv2

THUMBNAIL = 240
"""Most pixels of the longer side of a picture in a page."""


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
