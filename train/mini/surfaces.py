"""Outlines and textures: scalar fields over the picture, each a few lines of numpy.

S is the side of the picture in pixels. Every field is float32 (S, S); coordinates (u, v) are those of the part, which
is turned and scaled in the picture, with the part reaching to about 1.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from wordsight.train.mini import IMAGE_SIZE

SIZE = IMAGE_SIZE
Field = NDArray[np.float32]

_Y, _X = (axis.astype(np.float32) for axis in np.mgrid[0:SIZE, 0:SIZE])


def pixels() -> tuple[Field, Field]:
    """The x and the y of every pixel."""
    return _X, _Y


def noise(rng: np.random.Generator, cells: int) -> Field:
    """Smooth noise with about `cells` bumps a side, standard deviation near 1."""
    coarse = rng.standard_normal((cells + 1, cells + 1), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC), np.float32) * 1.3


def _box(u: Field, v: Field, width: float, height: float, radius: float) -> Field:
    """Signed distance to a rounded box, negative inside."""
    du, dv = np.abs(u) - (width - radius), np.abs(v) - (height - radius)
    outside = np.hypot(np.maximum(du, 0), np.maximum(dv, 0))
    return np.asarray(outside + np.minimum(np.maximum(du, dv), 0) - radius, np.float32)


def outline(family: str, k: tuple[float, ...], u: Field, v: Field) -> Field:
    """How far outside the part each pixel lies, in units of the part; negative inside. `k`: eight numbers."""
    if family == "surface":  # fills the picture
        return np.full_like(u, -1.0)
    if family == "bar":
        return _box(u, v, 1.15, 0.28 + 0.5 * k[0], 0.25 * k[1])
    if family == "cross":
        arm, stem = 0.2 + 0.25 * k[0], 0.2 + 0.25 * k[1]
        return np.minimum(_box(u, v, 1.1, arm, 0.1 * k[2]), _box(u + 0.5 * (k[3] - 0.5), v, stem, 1.0, 0.1 * k[2]))
    if family == "bracket":
        leg = 0.3 + 0.3 * k[0]
        upright = _box(u + 0.95 - leg, v, leg, 1.0, 0.12 * k[1])
        foot = _box(u, v - 1.0 + leg * 0.8, 0.95, leg * 0.8, 0.12 * k[1])
        third = _box(u - 0.95 + leg * 0.7, v - 0.3, leg * 0.6, 0.65, 0.12 * k[1])
        return np.minimum(np.minimum(upright, foot), third) if k[2] > 0.5 else np.minimum(upright, foot)
    if family == "vessel":
        width = 0.45 + 0.15 * k[0] + 0.2 * k[1] * np.tanh((v + 0.8 * k[2] - 0.2) * (3 + 9 * k[3]))
        width = width + 0.08 * k[4] * np.sin(v * (4 + 8 * k[5]))
        return np.asarray(np.maximum(np.abs(u) - width, np.abs(v) - 1.05), np.float32)
    rho, theta = np.hypot(u, v), np.arctan2(v, u)
    if family == "disc":
        return np.asarray(np.hypot(u, v * (1 + 0.6 * k[0] * (k[1] > 0.5))) - 1, np.float32)
    if family == "ring":
        return np.asarray(np.maximum(rho - 1, 0.3 + 0.4 * k[0] - rho), np.float32)
    if family == "gear":
        teeth = 6 + int(k[0] * 16)
        edge = 0.9 + (0.05 + 0.1 * k[1]) * np.tanh(np.sin(teeth * theta) * (1 + 5 * k[2]))
        return np.asarray(np.maximum(rho - edge, 0.45 * k[3] - rho), np.float32)
    if family == "polygon":
        sector = 2 * np.pi / (3 + int(k[0] * 6))
        return np.asarray(rho * np.cos(np.mod(theta, sector) - sector / 2) - 0.8, np.float32)
    if family == "blob":
        waves = sum((0.22 / n) * (k[n] - 0.4) * np.cos(n * theta + 6.3 * k[n - 1]) * 2 for n in (1, 2, 3, 4, 5))
        return np.asarray(rho - 0.85 - waves, np.float32)
    raise ValueError(f"expected one of the outlines of nouns.OUTLINES, got {family!r}")


def texture(family: str, k: tuple[float, ...], u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Brightness of the material about 0, of the order of 1. `k`: four numbers (scale, detail, angle, depth)."""
    turn = np.pi * k[2]
    p, q = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
    pitch = 6 + 26 * k[0]
    if family == "plain":
        return 0.25 * noise(rng, 4)
    if family == "cloudy":
        return 0.6 * noise(rng, 3 + int(5 * k[0])) + 0.4 * noise(rng, 8 + int(16 * k[1]))
    if family == "brushed":
        # Noise drawn out along the part's own x axis, so that it turns with the part.
        lines = cv2.blur(rng.standard_normal((SIZE, SIZE), dtype=np.float32), (9 + int(40 * k[0]), 1))
        x = np.asarray(24 * p + SIZE / 2, np.float32)
        y = np.asarray((24 + 20 * k[1]) * q + SIZE / 2, np.float32)
        turned = cv2.remap(lines, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        return np.asarray(turned * (2.5 + 3 * k[0]), np.float32)
    if family == "weave":
        return np.asarray(np.sin(p * pitch) * np.sin(q * pitch * (0.6 + 0.8 * k[1])) * 1.2, np.float32)
    if family == "tiles":
        joint = np.minimum(np.abs(np.sin(p * pitch / 4)), np.abs(np.sin(q * pitch / 4 * (0.5 + k[1]))))
        return np.asarray(-1.8 * np.exp(-((joint / (0.08 + 0.1 * k[3])) ** 2)) + 0.3 * noise(rng, 8), np.float32)
    if family == "stripes":
        return np.asarray(np.tanh(np.sin(p * pitch * 0.6) * (0.8 + 4 * k[1])), np.float32)
    if family == "terrazzo":
        return np.asarray(np.tanh(4 * (noise(rng, 10 + int(14 * k[0])) - 0.3 - 0.8 * k[1])), np.float32)
    if family == "grown":  # wood, agate
        rings = np.hypot(p + 0.8, q * (0.2 + 0.8 * k[1])) * pitch + (0.4 + 1.2 * k[3]) * noise(rng, 4)
        return np.asarray(np.sin(rings), np.float32)
    if family == "knurl":
        skew = 0.5 + k[1]
        return np.asarray(np.maximum(np.sin((p + skew * q) * pitch * 0.7), np.sin((p - skew * q) * pitch * 0.7)))
    if family == "hammered":
        bumps = noise(rng, 7 + int(8 * k[0]))
        return 2.2 * (bumps - np.roll(bumps, (2, 2), (0, 1)))
    raise ValueError(f"expected one of the textures of nouns.TEXTURES, got {family!r}")
