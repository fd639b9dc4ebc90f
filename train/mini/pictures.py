"""Pictures of parts and surfaces, good and defective, drawn with numpy and OpenCV.

Pose, colour, light, blur and noise vary from picture to picture. Good pictures hold what a defect could be mistaken
for by its brightness alone: bolt holes, hair lines, prints, highlights. Defects cover 2% of the picture (median; from
0.5% to 6.6%), and the mask of every one is kept. S = 96 is the side of the picture; colours are BGR, as OpenCV's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wordsight.train.mini.defects import DRAW, KINDS, MAX_AREA, MIN_AREA, Site
from wordsight.train.mini.nouns import COLOURS, HELD_OUT_NOUNS, TRAINING_NOUNS, VALIDATION_NOUNS, Noun
from wordsight.train.mini.surfaces import SIZE, Field, noise, outline, pixels, texture

MIN_CONTRAST = 18.0
"""Grey levels (strongest channel, mean over the mask) by which a defect must change the finished picture."""
_TRIES = 12


@dataclass(frozen=True)
class Picture:
    """One picture and the truth about it."""

    image: NDArray[np.uint8]
    """(S, S, 3) BGR."""
    mask: NDArray[np.bool_]
    """(S, S), true on the defect."""
    label: int
    """0 good, 1 defective."""
    noun: str
    kind: str
    """One of `defects.KINDS`; "" for a good picture."""
    colour: str = ""
    """One of `nouns.COLOURS`: what the part was painted with."""


@dataclass(frozen=True)
class _Scene:
    site: Site
    light: Field  # (S, S, 1) factor
    glare: Field  # (S, S, 1) grey levels
    grain: Field  # (S, S, 3) grey levels
    blur: float
    colour: str

    def developed(self, image: Field) -> Field:
        """What the camera makes of `image`: float32 (S, S, 3), not yet rounded."""
        lit = image * self.light + self.glare
        seen = cv2.GaussianBlur(lit, (0, 0), self.blur) + self.grain
        return np.asarray(np.clip(seen, 0, 255), np.float32)


def _paint(name: str, rng: np.random.Generator, spread: float) -> Field:
    return np.asarray(np.clip(np.array(COLOURS[name]) * rng.uniform(0.8, 1.2) + rng.normal(0, spread, 3), 15, 235),
                      np.float32)  # fmt: skip


def _scene(noun: Noun, rng: np.random.Generator) -> _Scene:
    x, y = pixels()
    whole = noun.outline == "surface"
    radius = rng.uniform(40, 60) if whole else rng.uniform(27, 42)  # pixels
    turn = rng.uniform(0, 2 * np.pi)
    cx, cy = SIZE / 2 + rng.uniform(-6, 6, 2)
    u = ((x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)).astype(np.float32) / np.float32(radius)
    v = ((y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)).astype(np.float32) / np.float32(radius)

    name = noun.colours[int(rng.integers(len(noun.colours)))]
    ground = list(COLOURS)[int(rng.integers(len(COLOURS)))]
    while ground == name:
        ground = list(COLOURS)[int(rng.integers(len(COLOURS)))]
    roughness = rng.uniform(1, 9) * noise(rng, int(rng.integers(2, 24)))
    background = _paint(ground, rng, 8) + roughness[..., None]

    inside = -radius * outline(noun.outline, noun.outline_numbers, u, v)
    depth = rng.uniform(0.7, 1.3) * (8 + 22 * noun.texture_numbers[3])
    material = depth * texture(noun.texture, noun.texture_numbers, u, v, rng)
    material += _features(noun, u, v, inside, radius, rng)
    part = np.clip(_paint(name, rng, 7) + material[..., None], 3, 250)
    alpha = np.clip(inside + 0.5, 0, 1)[..., None]
    image = np.asarray(background * (1 - alpha) + part * alpha, np.float32)
    if rng.random() < 0.4:  # a print: lot numbers are no defects
        at = (int(cx) - 18 + int(rng.integers(-6, 7)), int(cy) + int(rng.integers(-14, 15)))
        ink = float(np.clip(image.mean() + rng.choice([-1, 1]) * rng.uniform(60, 140), 10, 245))
        text = str(rng.integers(100, 9999))
        layer = np.zeros((SIZE, SIZE), np.uint8)
        cv2.putText(layer, text, at, cv2.FONT_HERSHEY_SIMPLEX, rng.uniform(0.3, 0.5), 255, 1, cv2.LINE_AA)
        image = image + (layer[..., None] / np.float32(255)) * (ink - image)

    to = rng.uniform(0, 2 * np.pi)
    slope = ((x - SIZE / 2) * np.cos(to) + (y - SIZE / 2) * np.sin(to)) / SIZE
    light = rng.uniform(0.75, 1.2) * (1 + rng.uniform(0, 0.5) * slope)
    spot = np.hypot(x - rng.uniform(0, SIZE), y - rng.uniform(0, SIZE)) / rng.uniform(10, 30)
    glare = rng.uniform(0, 45) * np.exp(-(spot**2))
    grain = rng.uniform(0.5, 5) * rng.standard_normal((SIZE, SIZE, 3), dtype=np.float32)
    return _Scene(
        Site(image, background.astype(np.float32), inside.astype(np.float32)),
        light[..., None].astype(np.float32), glare[..., None].astype(np.float32), grain.astype(np.float32),
        rng.uniform(0.3, 0.8), name,
    )  # fmt: skip


def _features(noun: Noun, u: Field, v: Field, inside: Field, radius: float, rng: np.random.Generator) -> Field:
    """What belongs to the part: bolt holes, a rim line, hair lines, a bevelled edge. Grey levels (S, S)."""
    holes, ring, rim, hairs, angle, bevel = noun.features
    added = -(5 + 45 * bevel) * np.exp(-np.maximum(inside, 0) / (2 + 5 * bevel))
    if noun.outline == "surface":
        added = np.zeros_like(u)
    if holes > 0.6:
        sector = 2 * np.pi / (2 + int((holes - 0.6) * 15))
        rho, theta = np.hypot(u, v), np.mod(np.arctan2(v, u), sector) - sector / 2
        away = radius * np.hypot(rho * np.cos(theta) - 0.35 - 0.35 * ring, rho * np.sin(theta))
        added = added - 90 * np.clip(radius * (0.08 + 0.06 * ring) - away + 0.5, 0, 1)
    if rim > 0.55:
        added = added - 35 * np.clip(1.2 - np.abs(inside - 4 - 6 * rim), 0, 1)
    if hairs > 0.5:
        along = u * np.cos(3.1 * angle) + v * np.sin(3.1 * angle)
        for at in rng.uniform(-0.9, 0.9, int(2 + 10 * (hairs - 0.5))):
            added = added + rng.uniform(-40, 40) * np.clip(1 - radius * np.abs(along - at), 0, 1)
    return np.asarray(added, np.float32)


def _defective(scene: _Scene, good: Field, rng: np.random.Generator) -> tuple[Field, NDArray[np.bool_], str]:
    """The scene with a defect that can be seen: the picture, the mask, the kind."""
    site = scene.site
    places = np.argwhere(site.inside > 2)
    image, mask, kind = good, np.zeros((SIZE, SIZE), np.bool_), ""
    for _ in range(_TRIES):
        kind = KINDS[int(rng.integers(len(KINDS)))]
        area = float(np.exp(rng.uniform(np.log(MIN_AREA), np.log(MAX_AREA)))) * SIZE * SIZE
        row, column = places[int(rng.integers(len(places)))]
        layer = DRAW[kind](site, area, (int(column), int(row)), rng)
        alpha = layer.alpha * np.clip(site.inside + 0.5, 0, 1)  # a defect ends where the part ends
        mask = alpha > 0.3
        image = scene.developed(site.image * (1 - alpha[..., None]) + layer.colour * alpha[..., None])
        covered = mask.mean()
        if not MIN_AREA / 2 < covered < MAX_AREA * 1.2:
            continue
        if np.abs(image - good).max(2)[mask].mean() > MIN_CONTRAST:
            break
    return image, mask, kind


def draw(noun: Noun, rng: np.random.Generator, *, good: bool = True, defective: bool = True) -> tuple[Picture, ...]:
    """One scene, good and defective (or one of the two): twins differ in the defect alone, down to the noise."""
    scene = _scene(noun, rng)
    clean = scene.developed(scene.site.image)
    drawn: list[Picture] = []
    if good:
        nothing = np.zeros((SIZE, SIZE), np.bool_)
        drawn.append(Picture(clean.round().astype(np.uint8), nothing, 0, noun.name, "", scene.colour))
    if defective:
        image, mask, kind = _defective(scene, clean, rng)
        drawn.append(Picture(image.round().astype(np.uint8), mask, 1, noun.name, kind, scene.colour))
    return tuple(drawn)


def stream(nouns: Sequence[Noun], count: int, seed: int) -> Iterator[Picture]:
    """`count` pictures, good and defective by turns, each of a scene of its own, the nouns in rotation."""
    for i in range(count):
        rng = np.random.default_rng((seed, i))
        yield draw(nouns[(i // 2) % len(nouns)], rng, good=i % 2 == 0, defective=i % 2 == 1)[0]


# Each set has a seed space of its own, so that no scene is shared between them.
def held_out(count: int, seed: int = 0) -> Iterator[Picture]:
    """`count` pictures of the ten nouns never rendered in training: the test set."""
    return stream(HELD_OUT_NOUNS, count, 1_000_003 + seed)


def validation(count: int, seed: int = 0) -> Iterator[Picture]:
    """`count` pictures of the eight nouns on which the recipe was tuned; not trained on either."""
    return stream(VALIDATION_NOUNS, count, 2_000_003 + seed)


def training_nouns(count: int, seed: int = 0) -> Iterator[Picture]:
    """`count` pictures of nouns that training knows by name, in scenes that it has not seen."""
    return stream(TRAINING_NOUNS, count, 3_000_017 + seed)
