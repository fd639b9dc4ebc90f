"""What one step of training looks at: pictures, captions and masks, drawn in chapters.

Drawing costs a good part of a step, so a chapter of scenes is drawn once and shown `REUSE` times, each time turned,
mirrored and recoloured anew. Everything follows from (seed, step): a run that is resumed sees what it would have seen.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

from wordsight.train.mini import GRID_SIZE, IMAGE_SIZE, MEAN, STD
from wordsight.train.mini.captions import caption
from wordsight.train.mini.defects import KINDS
from wordsight.train.mini.nouns import TRAINING_NOUNS, imagine
from wordsight.train.mini.pictures import Picture, draw
from wordsight.train.mini.towers import CONTEXT

NOUNS_A_BATCH = 10  # few, so that a picture is told from its neighbours by its state, not by its noun
REUSE = 3
_NOUNS_A_CHAPTER = 40  # half of them known by name, half of them parts without a name, imagined for this chapter
_SCENES_A_NOUN = 11

_tokenizer: SimpleTokenizer | None = None


def tokenize(texts: list[str]) -> Tensor:
    """int64 (T, C), C as short as the longest text allows."""
    global _tokenizer
    _tokenizer = _tokenizer or SimpleTokenizer()
    tokens: Tensor = _tokenizer(texts, context_length=CONTEXT)
    return tokens[:, : int(tokens.argmax(1).max()) + 1]


def to_tensor(images: np.ndarray) -> Tensor:
    """uint8 BGR (B, 96, 96, 3) to float32 (B, 3, 96, 96), RGB, normalised; channels last in memory."""
    pixels = torch.from_numpy(np.ascontiguousarray(images[..., ::-1])).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Lesson:
    """One batch of B pictures, twins side by side."""

    images: Tensor
    """float32 (B, 3, 96, 96), RGB, normalised."""
    texts: Tensor
    """int64 (2 B, C), tokens: a true caption each, then the same captions with the other state."""
    label: Tensor
    """float32 (B,), 1 defective."""
    kind: Tensor
    """int64 (B,), 0 good, else the index in `KINDS` + 1."""
    cover: Tensor
    """float32 (B, G * G), the share of each cell that is defective."""


class Lessons:
    """The lessons of a run, by step."""

    def __init__(self, seed: int, scenes: int = _SCENES_A_NOUN, nouns: int = NOUNS_A_BATCH) -> None:
        """A batch holds 2 * `scenes` * `nouns` pictures."""
        self.seed, self.scenes, self.nouns = seed, scenes, nouns
        self._steps_a_chapter = REUSE * _NOUNS_A_CHAPTER // nouns
        self._chapter = -1
        self._twins: list[list[tuple[Picture, ...]]] = []

    def _open(self, chapter: int) -> None:
        rng = np.random.default_rng((self.seed, 11, chapter))
        known = rng.choice(len(TRAINING_NOUNS), _NOUNS_A_CHAPTER // 2, replace=False)
        nouns = [TRAINING_NOUNS[i] for i in known]
        nouns += [imagine("", rng) for _ in range(_NOUNS_A_CHAPTER - len(nouns))]
        self._twins = [[draw(noun, rng) for _ in range(self.scenes)] for noun in nouns]
        self._chapter = chapter

    def at(self, step: int) -> Lesson:
        """The lesson of `step`."""
        chapter, within = divmod(step, self._steps_a_chapter)
        if chapter != self._chapter:
            self._open(chapter)
        # Each pass through a chapter shuffles its nouns into batches anew.
        one_pass, place = divmod(within, self._steps_a_chapter // REUSE)
        order = np.random.default_rng((self.seed, 12, chapter, one_pass)).permutation(_NOUNS_A_CHAPTER)
        rng = np.random.default_rng((self.seed, 13, step))
        pictures: list[Picture] = []
        for noun in order[place * self.nouns : (place + 1) * self.nouns]:
            for twins in self._twins[noun]:
                pictures += _varied(twins, rng)
        texts = [caption(picture, rng) for picture in pictures]
        masks = torch.from_numpy(np.stack([picture.mask for picture in pictures])).float()
        cell = IMAGE_SIZE // GRID_SIZE
        return Lesson(
            to_tensor(np.stack([picture.image for picture in pictures])),
            tokenize([true for true, _ in texts] + [false for _, false in texts]),
            torch.tensor([float(picture.label) for picture in pictures]),
            torch.tensor([KINDS.index(picture.kind) + 1 if picture.kind else 0 for picture in pictures]),
            torch.nn.functional.avg_pool2d(masks[:, None], cell).flatten(1),
        )


def _varied(twins: tuple[Picture, ...], rng: np.random.Generator) -> list[Picture]:
    """The twins turned, mirrored and with other light, each in its own way, so that they no longer match by pixel."""
    varied = []
    for twin in twins:
        turns, mirrored = int(rng.integers(4)), rng.random() < 0.5
        image, mask = np.rot90(twin.image, turns), np.rot90(twin.mask, turns)
        if mirrored:
            image, mask = image[:, ::-1], mask[:, ::-1]
        gain, offset = rng.uniform(0.85, 1.15), rng.uniform(-15, 15)
        image = np.clip(image * np.float32(gain) + np.float32(offset), 0, 255).astype(np.uint8)
        varied.append(replace(twin, image=image, mask=np.ascontiguousarray(mask)))
    return varied
