"""Which settings one exported file serves, so that words are trained on, and pictures scored, once for all of them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from wordsight.benchmarks.paper.figures import SINGLE_CROP, WINCLIP
from wordsight.benchmarks.paper.plan import Setting
from wordsight.benchmarks.paper.wordpairs import DEFAULT_NUM_PAIRS, DEFAULT_PAIR
from wordsight.export.crops import DEFAULT_MULTICROP
from wordsight.train.prompts import PromptPair

SINGLE = "single"
Place = tuple[str, str]
"""A data set, and the key of its class; "" where it has none."""


@dataclass(frozen=True)
class Job:
    """One exported file, and the settings that its scores fill."""

    pair: PromptPair
    num_pairs: int
    crops: str
    settings: tuple[Setting, ...]
    """By place."""
    referenced: frozenset[Place]
    """Where a setting of the same heads takes references: there good pictures are scored too."""
    associated: frozenset[Place]
    """Where a setting of this job needs WinCLIP's association, which the file of the single view gives."""

    def by_place(self) -> Iterator[tuple[Place, list[Setting]]]:
        """The settings of each class, one after the other."""
        for place, settings in groupby(self.settings, key=place_of):
            yield place, list(settings)


def jobs(settings: Iterable[Setting]) -> Iterator[Job]:
    """Every file that these settings need, heads of the same words and N_p next to each other."""
    for (pair, num_pairs), group in groupby(sorted(settings, key=_order), key=recipe_of):
        recipe = list(group)
        referenced = frozenset(place_of(setting) for setting in recipe if shots_of(setting))
        for crops in (SINGLE, DEFAULT_MULTICROP):
            here = tuple(setting for setting in recipe if (setting.setup == SINGLE_CROP) == (crops == SINGLE))
            if here:
                few = frozenset(place_of(s) for s in here if s.method == WINCLIP and shots_of(s) and crops != SINGLE)
                yield Job(pair, num_pairs, crops, here, referenced, few)


def shots_of(setting: Setting) -> int:
    """How many references the setup names."""
    found = re.match(r"([1-9]\d*)-shot", setting.setup)
    return int(found[1]) if found else 0


def recipe_of(setting: Setting) -> tuple[PromptPair, int]:
    """The heads that a setting needs; CLIP alone scores with the file of the default heads, or of its words."""
    pair = DEFAULT_PAIR
    if setting.normal is not None and setting.anomalous is not None:
        pair = PromptPair(setting.normal, setting.anomalous)
    return pair, setting.num_pairs or DEFAULT_NUM_PAIRS


def place_of(setting: Setting) -> Place:
    """Where a setting's pictures are."""
    return setting.dataset, key_of(setting.category)


def key_of(text: str) -> str:
    """Class names as both spell them: "Chewing gum" and "chewinggum" are one."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _order(setting: Setting) -> tuple[str, str, int, str, str]:
    pair, num_pairs = recipe_of(setting)
    return (pair.normal, pair.anomalous, num_pairs, *place_of(setting))
