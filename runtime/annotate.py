"""Draws a result under its picture: a bar for the score, the numbers, and the decision's colour."""

from typing import Any

import numpy as np

from wordsight.runtime.overlay import overlay
from wordsight.runtime.sinks.result import Result
from wordsight.runtime.sources.frame import Image

# BGR
GOOD, DEFECT, UNSURE, PLAIN = (80, 175, 76), (54, 67, 244), (0, 165, 255), (200, 140, 60)
_PAPER, _TRACK, _INK = (32, 32, 32), (72, 72, 72), (240, 240, 240)
_COLOURS = {"good": GOOD, "defect": DEFECT, "unsure": UNSURE, None: PLAIN}

STRIP = 44  # pixels below the picture
LONGEST, SHORTEST = 1920, 320  # of the picture as it is drawn


def annotate(
    result: Result, top: float, threshold: float | None = None, heat: bool = False, unsure: float | None = None
) -> Image:
    """Return the picture with its result drawn below it; the picture itself is not drawn over, but for a heat map.

    Larger pictures are shrunk to 1920 pixels on their longer side; ones too small for a caption are enlarged without
    smoothing, or set on a dark ground where they are thin.

    Args:
        result: the scored frame.
        top: highest score there can be, the sum of the weights: the full bar.
        threshold: marked on the bar where it is given.
        heat: draw the result's heat map over the picture.
        unsure: marked, too, where it is given: the grey zone lies between the two marks.

    Returns:
        uint8 BGR (H', W', 3); sides are even, as video encoders want them.
    """
    import cv2

    picture = _resized(result.frame.image, cv2)
    if heat and result.heat is not None:
        picture = overlay(picture, result.heat)
    height, width = picture.shape[:2]
    canvas_width = max(SHORTEST, width + width % 2)
    canvas = np.full((height + height % 2 + STRIP, canvas_width, 3), _PAPER, np.uint8)
    left = (canvas_width - width) // 2
    canvas[:height, left : left + width] = picture
    colour = _COLOURS[result.decision]
    marks = [mark / top for mark in (unsure, threshold) if mark is not None]
    _bar(canvas, canvas.shape[0] - STRIP, result.score / top, marks, colour)
    words = f"{result.score:.3f}" + (f" {result.decision}" if result.decision else "")
    words += f": {result.reason}" if result.reason else ""
    baseline = canvas.shape[0] - 12
    cv2.putText(canvas, words, (8, baseline), cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, 2, cv2.LINE_AA)
    parts = f"s_pr {result.s_pr:.2f}  s_fnn {result.s_fnn:.2f}"
    parts += "" if result.s_img is None else f"  s_img {result.s_img:.2f}"
    (words_width, _), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, 0.6, 2)
    (parts_width, _), _ = cv2.getTextSize(parts, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)
    shrink = min(1.0, (canvas_width - words_width - 24) / parts_width)  # OpenCV 4 draws wider letters than 5
    place = (canvas_width - round(shrink * parts_width) - 8, baseline)
    cv2.putText(canvas, parts, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42 * shrink, _INK, 1, cv2.LINE_AA)
    return canvas


def _resized(image: Image, cv2: Any) -> Image:
    height, width = image.shape[:2]
    scale = LONGEST / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    # Whole steps keep the pixels of a tiny picture square and sharp.
    step = max(1, min(SHORTEST // max(height, width), LONGEST // max(height, width)))
    return np.asarray(image.repeat(step, axis=0).repeat(step, axis=1), np.uint8)


def _bar(canvas: Image, y: int, share: float, marks: list[float], colour: tuple[int, int, int]) -> None:
    width = canvas.shape[1]
    canvas[y + 4 : y + 12] = _TRACK
    canvas[y + 4 : y + 12, : round(width * min(max(share, 0.0), 1.0))] = colour
    for mark in marks:
        x = min(round(width * mark), width - 2)
        canvas[y + 1 : y + 15, x : x + 2] = _INK
