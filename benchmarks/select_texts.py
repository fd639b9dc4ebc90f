"""Texts that no head is trained on, in three sets: what a configuration is chosen by, for no picture may be.

A head meets random words around one pair of words, or a list, and must then tell good from defective in pictures, which
are full of things it never heard of. On text that is asked by what training leaves out: state words, nouns, whole
sentences. `select_texts.csv` shares no state and no noun with the lists that training draws from.
"""

import csv
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from wordsight.benchmarks.paper.sentences import own_captions

if TYPE_CHECKING:
    from wordsight.train.prompts import PromptPair

SETS = ("unseen states", "unseen nouns", "captions")
VIEWS = ("a photo of {}", "a close-up photo of {}", "a dark photo of {}", "{}")


@dataclass(frozen=True)
class Texts:
    """One set: texts of things that are as they should be, and of others."""

    name: str
    normal: list[str]
    anomalous: list[str]


def words(kind: str) -> list[str]:
    """The held-out words of a kind: "noun", "normal" or "anomalous" (states, {} for the noun)."""
    text = resources.files("wordsight.benchmarks").joinpath("select_texts.csv").read_text(encoding="utf-8")
    return [row["text"] for row in csv.DictReader(text.splitlines()) if row["kind"] == kind]


def held_out_texts(pair: "PromptPair") -> list[Texts]:
    """The three sets, in the order of `SETS`, for heads whose guiding words are those of `pair`.

    unseen states: every held-out state of every held-out noun, in "a photo of ...".
    unseen nouns: the guiding words on every held-out noun, in each of `VIEWS`.
    captions: sentences about a scene without and with damage, in words that were chosen without regard to any list.
    """
    nouns = words("noun")
    states = {kind: [f"a photo of {state.replace('{}', noun)}" for state in words(kind) for noun in nouns]
              for kind in ("normal", "anomalous")}  # fmt: skip
    guided = {word: [view.replace("{}", f"{word} {noun}") for view in VIEWS for noun in nouns]
              for word in (pair.normal, pair.anomalous)}  # fmt: skip
    captions = own_captions()
    return [
        Texts(SETS[0], states["normal"], states["anomalous"]),
        Texts(SETS[1], guided[pair.normal], guided[pair.anomalous]),
        Texts(SETS[2], captions.normal, captions.damaged),
    ]
