"""Eight kinds of defect, each a layer laid over a picture: how much of it covers a pixel, and with which colour.

Areas: a defect is meant to cover 0.9% to 5.5% of the picture, evenly in the logarithm, median about 2%.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wordsight.train.mini.nouns import COLOURS
from wordsight.train.mini.surfaces import SIZE, Field, noise, pixels

KINDS = ("scratch", "crack", "stain", "hole", "chip", "dent", "specks", "tear")
MIN_AREA, MAX_AREA = 0.009, 0.055  # of the picture


@dataclass(frozen=True)
class Site:
    """What a defect must know about the picture it falls on."""

    image: Field
    """BGR (S, S, 3), 0 to 255, before light, blur and noise."""
    background: Field
    """The same without the part."""
    inside: Field
    """How far inside the part a pixel lies, in pixels; negative outside. (S, S)"""


@dataclass(frozen=True)
class Layer:
    """A defect: `image * (1 - alpha) + colour * alpha`."""

    alpha: Field
    """(S, S), 0 to 1."""
    colour: Field
    """BGR, (3,) or (S, S, 3)."""


Path = NDArray[np.float64]  # points (x, y), (K, 2)
Draw = Callable[[Site, float, tuple[int, int], np.random.Generator], Layer]


def _shifted(site: Site, at: tuple[int, int], low: float, high: float, rng: np.random.Generator) -> Field:
    """The colour at `at`, made lighter or darker by `low` to `high` grey levels, whichever there is room for."""
    x, y = at
    here = site.image[max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4].mean((0, 1))
    by = rng.uniform(low, high)
    lighter = here.mean() < 70 or (here.mean() < 165 and rng.random() < 0.4)
    return np.asarray(np.clip(here + (by if lighter else -by), 4, 250), np.float32)


def _blob(at: tuple[int, int], area: float, rough: float, rng: np.random.Generator, stretch: float = 1.6) -> Field:
    """Coverage of an irregular spot of about `area` pixels."""
    x, y = pixels()
    turn, squeeze = rng.uniform(0, np.pi), rng.uniform(1, stretch) ** 0.5
    p = ((x - at[0]) * np.cos(turn) + (y - at[1]) * np.sin(turn)) / squeeze
    q = ((y - at[1]) * np.cos(turn) - (x - at[0]) * np.sin(turn)) * squeeze
    radius = (area / np.pi) ** 0.5
    return np.asarray(np.clip(radius * (1 + rough * noise(rng, 12)) - np.hypot(p, q) + 0.5, 0, 1), np.float32)


def _lines(paths: list[Path], width: float) -> Field:
    """Coverage of polylines (x, y); drawn four times as large, so that widths need not be whole."""
    layer = np.zeros((4 * SIZE, 4 * SIZE), np.uint8)
    for path in paths:
        cv2.polylines(layer, [np.round(4 * path).astype(np.int32)], False, 255, max(1, round(4 * width)))
    return _shrunk(layer)


def _shrunk(layer: NDArray[np.uint8]) -> Field:
    """Coverage (S, S) from a drawing four times as large in 0 and 255."""
    return np.asarray(cv2.resize(layer, (SIZE, SIZE), interpolation=cv2.INTER_AREA) / np.float32(255), np.float32)


def _walk(at: tuple[int, int], length: float, bend: float, steps: int, rng: np.random.Generator) -> Path:
    """A path of `steps` straight pieces through `at`, float (steps + 1, 2)."""
    headings = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, bend, steps))
    moves = np.stack([np.cos(headings), np.sin(headings)], 1) * (length / steps)
    path = np.concatenate([np.zeros((1, 2)), np.cumsum(moves, 0)])
    return np.asarray(path - path.mean(0) + np.array(at))


def scratch(site: Site, area: float, at: tuple[int, int], rng: np.random.Generator) -> Layer:
    """One or two thin, nearly straight lines."""
    width = rng.uniform(1.3, 2.6)
    count = 1 + int(rng.random() < 0.3)
    paths = [_walk((at[0] + 4 * n, at[1]), min(area / width / count, 75), 0.12, 6, rng) for n in range(count)]
    return Layer(_lines(paths, width) * np.float32(rng.uniform(0.75, 1)), _shifted(site, at, 60, 115, rng))


def crack(site: Site, area: float, at: tuple[int, int], rng: np.random.Generator) -> Layer:
    """A jagged line with a branch."""
    width = rng.uniform(1.2, 2.2)
    trunk = _walk(at, min(0.7 * area / width, 70), 0.7, 9, rng)
    x, y = trunk[int(rng.integers(2, 8))]
    branch = _walk((int(x), int(y)), min(0.3 * area / width, 40), 0.7, 5, rng)
    return Layer(_lines([trunk, branch + trunk[4] - branch[0]], width), _shifted(site, at, 65, 120, rng) * 0.9)


def stain(site: Site, area: float, at: tuple[int, int], rng: np.random.Generator) -> Layer:
    """A soft spot of another colour."""
    here = site.image[at[1], at[0]]
    far = [c for c in COLOURS.values() if np.abs(np.array(c) - here).max() > 70]
    alpha = cv2.GaussianBlur(_blob(at, area, 0.18, rng), (0, 0), 0.8) * rng.uniform(0.55, 0.9)
    return Layer(np.asarray(alpha, np.float32), np.array(far[int(rng.integers(len(far)))], np.float32))


def hole(site: Site, area: float, at: tuple[int, int], rng: np.random.Generator) -> Layer:
    """A ragged dark opening; light on a dark part."""
    dark = site.image[at[1], at[0]].mean() > 75
    colour = rng.uniform(5, 25) if dark else rng.uniform(150, 210)
    return Layer(_blob(at, area, 0.15, rng), np.full(3, colour, np.float32))


def chip(site: Site, area: float, at: tuple[int, int], rng: np.random.Generator) -> Layer:
    """A bite out of the edge, through which the background shows; on a surface, broken material."""
    edge = np.argwhere(np.abs(site.inside) < 1.2)
    if not len(edge):
        facets = np.where(noise(rng, 14) > 0, 1.0, 0.7).astype(np.float32)
        return Layer(_blob(at, area, 0.3, rng), _shifted(site, at, 60, 110, rng) * facets[..., None])
    y, x = edge[int(rng.integers(len(edge)))]
    bite = _blob((int(x), int(y)), 2 * area, 0.2, rng)
    return Layer(bite * np.clip(site.inside + 0.5, 0, 1), site.background)


def dent(site: Site, area: float, at: tuple[int, int], rng: np.random.Generator) -> Layer:
    """A hollow: dark on the side of the light, bright opposite."""
    x, y = pixels()
    radius, turn = (area / np.pi) ** 0.5, rng.uniform(0, 2 * np.pi)
    slope = ((x - at[0]) * np.cos(turn) + (y - at[1]) * np.sin(turn)) / radius
    shade = rng.uniform(75, 130) * slope
    alpha = _blob(at, 1.1 * area, 0.08, rng, 1.2)
    return Layer(alpha, np.clip(site.image + shade[..., None], 0, 255).astype(np.float32))


def specks(site: Site, area: float, at: tuple[int, int], rng: np.random.Generator) -> Layer:
    """A cluster of small dots: dust, splashes."""
    radius = rng.uniform(1.1, 2.0)
    count = max(4, int(area / (np.pi * radius**2)))
    spread = 1.3 * radius * count**0.5 * rng.uniform(1.2, 2.2)
    layer = np.zeros((4 * SIZE, 4 * SIZE), np.uint8)
    for x, y in rng.normal(at, spread, (count, 2)):
        cv2.circle(layer, (round(4 * x), round(4 * y)), round(4 * radius * rng.uniform(0.7, 1.3)), 255, -1)
    return Layer(_shrunk(layer), _shifted(site, at, 70, 125, rng))


def tear(site: Site, area: float, at: tuple[int, int], rng: np.random.Generator) -> Layer:
    """A long lens-shaped opening with a light lip."""
    x, y = pixels()
    turn, aspect = rng.uniform(0, np.pi), rng.uniform(4, 8)
    half = (area * aspect / 2) ** 0.5  # a lens of half length h and half width h / aspect covers about 2 h^2 / aspect
    p = ((x - at[0]) * np.cos(turn) + (y - at[1]) * np.sin(turn)) / half
    q = (y - at[1]) * np.cos(turn) - (x - at[0]) * np.sin(turn) + 1.2 * noise(rng, 10)
    alpha = np.clip((half / aspect) * (1 - p**2) - np.abs(q) + 0.5, 0, 1).astype(np.float32)
    dark = site.image[at[1], at[0]].mean() > 75
    colour = np.full((SIZE, SIZE, 3), 30 if dark else 180, np.float32)
    colour[q > 0.4 * half / aspect] = 175 if dark else 80
    return Layer(alpha, colour)


DRAW: dict[str, Draw] = {
    "scratch": scratch, "crack": crack, "stain": stain, "hole": hole,
    "chip": chip, "dent": dent, "specks": specks, "tear": tear,
}  # fmt: skip
