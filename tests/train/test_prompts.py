import re
from collections import Counter

import numpy as np
import pytest

from wordsight.train.errors import SettingError
from wordsight.train.prompts import ALPHABET, PromptPair, Wording, random_prompts
from wordsight.train.wordings import fill, natural, states

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
    stream = stream_of(7)
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


def stream_of(words):
    """The raw words of a PCG64 by its published definition; `words` seed it."""
    start = np.random.PCG64(words).state["state"]
    return Pcg64(start["state"], start["inc"])


def test_states_are_drawn_by_the_documented_map_and_random_words_stay_as_they_are():
    plain = words_of(*random_prompts(PromptPair(), 40, seed=7))
    normal, anomalous = random_prompts(PromptPair(), 40, seed=7, wording=Wording(states=True))
    stream = stream_of([7, 1])
    for pair, n, a in zip(plain, normal, anomalous, strict=True):
        raw = [stream.next() for _ in range(15)]
        for side, text, (w0, w1, w2, w3, last) in ((0, n, pair[:5]), (1, a, pair[5:])):
            listed = states()[side]
            state = listed[(raw[1 + 7 * side] >> 32) * len(listed) >> 32]
            assert text == f"{w0} a {w1} photo {w2} of {w3} {fill(state, last)}"


def test_the_lists_have_no_word_twice_and_the_states_have_their_articles():
    for side in states():
        assert len(set(side)) == len(side)
        assert all(re.fullmatch(r"an? .*", state) and state.count("{}") == 1 for state in side)
    assert not set(states()[0]) & set(states()[1])
    known = natural()
    for words in (known.words, known.nouns, known.sentences):
        assert len(set(words)) == len(words)
    assert all(sentence.count("{}") == 1 for sentence in known.sentences)
    assert fill("a {} with a crack", "anchor") == "an anchor with a crack"
    assert fill("a bent {}", "anchor") == "a bent anchor"
    for state in states()[0] + states()[1]:  # "an" before vowels and nowhere else
        article, word = fill(state, "ladle").split()[:2]
        assert (article == "an") == (word[0] in "aeiou"), state


def test_a_share_of_pairs_is_natural_and_a_larger_share_keeps_them():
    known = natural()
    seen = []
    for share in (0.0, 0.3, 0.6, 1.0):
        normal, anomalous = random_prompts(PromptPair(), 1000, seed=2, wording=Wording(natural=share))
        is_natural = [any(n.endswith((f" {noun}", f" {noun}.")) or f" {noun} " in f" {n} ".replace(",", " ")
                          for noun in known.nouns) for n in normal]  # fmt: skip
        assert abs(np.mean(is_natural) - share) < 0.05
        assert all(" a damaged " in f" {text}" for text in anomalous)
        seen.append({i for i, found in enumerate(is_natural) if found})
    assert seen[0] <= seen[1] <= seen[2] <= seen[3]
    templated = [text for text in normal if re.fullmatch(r"\w+ a \w+ photo \w+ of \w+ an? \w+", text)]
    assert 0.4 < len(templated) / 1000 < 0.6  # the other half are sentences
    assert all(set(text.split()) - {"a", "an", "photo", "of"} <= {*known.words, *known.nouns} for text in templated)


@pytest.mark.parametrize("wording", [Wording(counterfactual=True), Wording(natural=0.5, counterfactual=True)])
def test_counterfactual_pairs_differ_in_the_state_alone(wording):
    normal, anomalous = random_prompts(PromptPair("a fine", "a damaged"), 200, seed=5, wording=wording)
    for n, a in zip(normal, anomalous, strict=True):
        assert n.count("a fine") == a.count("a damaged") == 1
        assert n.replace("a fine", "a damaged") == a
    assert len(set(normal)) == 200


def test_the_papers_wording_is_the_default():
    assert random_prompts(PromptPair(), 50, seed=9) == random_prompts(PromptPair(), 50, seed=9, wording=Wording())
    assert random_prompts(PromptPair(), 50, seed=9, wording=Wording(natural=1e-12)) == random_prompts(
        PromptPair(), 50, seed=9
    )


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(SettingError, match="--natural"):
        Wording(natural=share)
