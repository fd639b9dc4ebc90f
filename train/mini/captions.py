"""Captions as the web writes them, and their opposites: the same words with the other state.

The noun is often only "object" or "part", sometimes a serial number; every second caption carries stray tokens (file
names, serial numbers, letters at random), which teach the text tower to meet random words with composure.
"""

import numpy as np

from wordsight.train.mini.pictures import Picture

GOOD = ("", "", "", "", "good", "flawless", "perfect", "intact", "new", "undamaged", "normal", "clean")
BAD = ("damaged", "damaged", "damaged", "damaged", "broken", "defective", "faulty", "bad")
BY_KIND = {
    "scratch": ("scratched", "a scratch"), "crack": ("cracked", "a crack"), "stain": ("stained", "a stain"),
    "hole": ("pierced", "a hole"), "chip": ("chipped", "a chipped edge"), "dent": ("dented", "a dent"),
    "specks": ("dirty", "specks of dirt"), "tear": ("torn", "a tear"),
}  # fmt: skip
TEMPLATES = (
    "a photo of a {}", "a photo of a {}", "a photo of a {}", "a photo of the {}", "a picture of a {}", "{}", "a {}",
    "a close-up photo of a {}", "{} on a table", "image of one {}", "this {} was inspected", "a bright photo of a {}",
    "a blurry photo of a {}", "product photo, {}",
)  # fmt: skip
ANONYMOUS = ("object", "object", "part", "item", "piece", "thing", "sample")
_LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz0123456789"))


def _word(rng: np.random.Generator) -> str:
    return "".join(rng.choice(_LETTERS, int(rng.integers(3, 12))).tolist())


def _stray(rng: np.random.Generator) -> str:
    form = rng.random()
    if form < 0.7:
        return _word(rng)
    if form < 0.8:
        return f"img_{rng.integers(10000):04d}.jpg"
    if form < 0.9:
        return f"s/n {rng.integers(10**6)}"
    return f"{_word(rng)}-{rng.integers(1000)}"


def _choose(words: tuple[str, ...], rng: np.random.Generator) -> str:
    return words[int(rng.integers(len(words)))]


def caption(picture: Picture, rng: np.random.Generator) -> tuple[str, str]:
    """A caption that is true of `picture`, and the same one with the state that is not.

    The two differ in nothing but the state, so an image must tell them apart by its state alone.
    """
    form = rng.random()
    noun = picture.noun or _choose(ANONYMOUS, rng)
    if form < 0.5:
        noun = _choose(ANONYMOUS, rng)
    elif form < 0.65:
        noun = _word(rng)
    if rng.random() < 0.3:
        noun = f"{picture.colour} {noun}"

    good = " ".join((_choose(GOOD, rng), noun)).strip()
    bad = f"{_choose(BAD, rng)} {noun}"
    if picture.kind and rng.random() < 0.35:
        adjective, thing = BY_KIND[picture.kind]
        bad = f"{adjective} {noun}" if rng.random() < 0.6 else f"{noun} with {thing}"

    template = _choose(TEMPLATES, rng)
    words = template.split()
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(1, 9))):
            words.insert(int(rng.integers(len(words) + 1)), _stray(rng))
    skeleton = " ".join(words)
    texts = skeleton.replace("{}", good), skeleton.replace("{}", bad)
    return texts if picture.label == 0 else texts[::-1]


def random_words(bad: bool, rng: np.random.Generator) -> str:
    """A text full of random words, that says nothing of a part but its state."""
    noun = _word(rng) if rng.random() < 0.7 else _choose(ANONYMOUS, rng)
    words = _choose(TEMPLATES, rng).split()
    for _ in range(int(rng.integers(2, 7))):
        words.insert(int(rng.integers(len(words) + 1)), _word(rng))
    state = _choose(BAD if bad else GOOD, rng)
    return " ".join(words).replace("{}", f"{state} {noun}".strip())
