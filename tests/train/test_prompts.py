import re
from collections import Counter

import numpy as np
import pytest

from wordsight.train.errors import SettingError
from wordsight.train.prompts import ALPHABET, PromptPair, random_prompts

NORMAL = re.compile(r"(\w+) a (\w+) photo (\w+) of (\w+) a (\w+)")
ANOMALOUS = re.compile(r"(\w+) a (\w+) photo (\w+) of (\w+) a damaged (\w+)")


def words_of(normal, anomalous):
    words = []
    for n, a in zip(normal, anomalous, strict=True):
        words.append([*NORMAL.fullmatch(n).groups(), *ANOMALOUS.fullmatch(a).groups()])
    return words


class Pcg64:
    """PCG64 (XSL-RR 128/64) in plain integers, from its published definition."""

    def __init__(self, state, increment):
        self.state, self.increment = state, increment

    def next(self):
        self.state = (self.state * 0x2360ED051FC65DA44385DF649FCCF645 + self.increment) % 2**128
        turn = self.state >> 122
        value = (self.state >> 64 ^ self.state) % 2**64
        return (value >> turn | value << (-turn % 64)) % 2**64


def test_prompts_follow_the_papers_templates_and_the_documented_stream():
    start = np.random.PCG64(7).state["state"]
    stream = Pcg64(start["state"], start["inc"])
    expected = []
    for _ in range(20 * 10):
        length = 5 + ((stream.next() >> 32) * 6 >> 32)
        letters = [ALPHABET[(stream.next() >> 32) * 36 >> 32] for _ in range(10)]
        expected.append("".join(letters[:length]))
    found = words_of(*random_prompts(PromptPair(), 20, seed=7))
    assert [word for pair in found for word in pair] == expected


def test_words_are_uniform_in_length_and_letters_and_never_repeat_in_a_pair():
    words = words_of(*random_prompts(PromptPair(), 3000, seed=1))
    assert all(len(set(pair)) == 10 for pair in words)
    flat = [word for pair in words for word in pair]
    lengths = Counter(map(len, flat))
    assert set(lengths) == set(range(5, 11))
    letters = Counter("".join(flat))
    assert set(letters) == set(ALPHABET)
    for counts, cells in ((lengths, 6), (letters, 36)):
        mean = counts.total() / cells
        chi2 = sum((count - mean) ** 2 / mean for count in counts.values())
        assert chi2 < (cells - 1) + 5 * (2 * (cells - 1)) ** 0.5


def test_more_pairs_begin_with_the_same_ones_and_seeds_differ():
    few, many = (random_prompts(PromptPair(), n, seed=3) for n in (5, 50))
    assert many[0][:5] == few[0]
    assert many[1][:5] == few[1]
    assert random_prompts(PromptPair(), 5, seed=4) != few


def test_chosen_words_reach_guides_and_templates_but_the_object_guides_only():
    pair = PromptPair("a flawless", "a {broken}", "metal nut")
    assert pair.guiding() == ("a photo of a flawless metal nut", "a photo of a {broken} metal nut")
    normal, anomalous = random_prompts(pair, 2, seed=0)
    assert all(" a flawless " in text and "metal nut" not in text for text in normal)
    assert all(" a {broken} " in text and "metal nut" not in text for text in anomalous)


@pytest.mark.parametrize(
    "settings",
    [
        {"num_pairs": 0},
        {"min_length": 0},
        {"min_length": 8, "max_length": 7},
        {"max_length": 65},
        {"seed": -1},
    ],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(SettingError, match=r"got -?\d"):
        random_prompts(PromptPair(), **{"num_pairs": 1, "seed": 0, **settings})


@pytest.mark.parametrize("words", [("", "a b"), ("a\nb", "c"), ("a", "A "), ("a", "b", " ")])
def test_words_that_make_no_prompt_are_refused(words):
    with pytest.raises(SettingError):
        PromptPair(*words)
