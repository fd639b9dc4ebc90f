"""What prompts may say beside random words: many words for the two states, and natural words and sentences.

Both lists are data: `states.csv` holds WinCLIP's states (arXiv 2303.14814) and words for defects, each with its article
and {} for the noun; `natural.csv` holds words, nouns and sentences written for Wordsight, {} standing for the part and
its state. What heads are later judged by on text (`wordsight bench select`) is in neither.
"""

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

__all__ = ["DRAWS_A_PAIR", "Natural", "choose", "draws", "fill", "natural", "states"]

DRAWS_A_PAIR = 15
"""Raw words a pair of prompts takes for its wording: one for the share, then seven for each of its two prompts."""

_STREAM = 1


@dataclass(frozen=True)
class Natural:
    """Natural words, nouns and sentences, in the order of the file."""

    words: tuple[str, ...]
    nouns: tuple[str, ...]
    sentences: tuple[str, ...]


@lru_cache(maxsize=1)
def states() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The normal and the anomalous states, such as "a {} without flaw" and "a {} with a scratch"."""
    rows = _rows("states.csv")
    return _of(rows, "normal"), _of(rows, "anomalous")


@lru_cache(maxsize=1)
def natural() -> Natural:
    """The natural words."""
    rows = _rows("natural.csv")
    return Natural(_of(rows, "word"), _of(rows, "noun"), _of(rows, "sentence"))


def draws(num_pairs: int, seed: int) -> NDArray[np.uint64]:
    """Raw words (N_p, DRAWS_A_PAIR) that decide how pairs are worded.

    They come from a PCG64 seeded by [seed, 1], so that the random words of a seed, which come from one seeded by the
    seed alone, stay the same whatever is drawn here. Pair i takes the raw words `15 i ... 15 i + 14`: first the one
    that decides whether it is natural, then for its normal and its anomalous prompt seven each: state, form (0 the
    paper's template, 1 a sentence), noun, sentence or first word, three more words. `choose` maps each.
    """
    raw = np.random.PCG64([seed, _STREAM]).random_raw(num_pairs * DRAWS_A_PAIR)
    return np.asarray(raw, np.uint64).reshape(num_pairs, DRAWS_A_PAIR)


def choose(raw: NDArray[np.uint64], choices: int) -> NDArray[np.int64]:
    """Map 64 random bits r to `((r >> 32) * choices) >> 32`: 0 ... choices - 1, uneven by less than choices / 2**32."""
    chosen: NDArray[np.int64] = (((raw >> np.uint64(32)) * np.uint64(choices)) >> np.uint64(32)).astype(np.int64)
    return chosen


def fill(state: str, noun: str) -> str:
    """A state around a noun, its article as the noun wants it: "a {}" and "anchor" make "an anchor"."""
    if state.startswith("a {}") and noun[:1] in tuple("aeiou"):
        state = f"an{state[1:]}"
    return state.replace("{}", noun)


def _rows(name: str) -> list[dict[str, str]]:
    text = resources.files("wordsight.train").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _of(rows: list[dict[str, str]], kind: str) -> tuple[str, ...]:
    return tuple(row["text"] for row in rows if row["kind"] == kind)
