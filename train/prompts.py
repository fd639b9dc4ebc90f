"""Random words around a fixed sentence: the training data of the paper (section 3.2), and its guiding prompts (3.1).

Every pair of prompts takes ten random words of its own. A word is drawn letter by letter from the lower-case
alphabet and the digits, its length uniform from `min_length` (l_min) to `max_length` (l_max).

`Wording` goes past the paper: many state words, natural words and sentences among the random ones, and pairs that
differ in nothing but the state.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wordsight.train.errors import SettingError
from wordsight.train.wordings import choose, draws, fill, natural, states

__all__ = [
    "ALPHABET",
    "PAPER",
    "TEMPLATE_ANOMALOUS",
    "TEMPLATE_NORMAL",
    "WORDS_A_PAIR",
    "PromptPair",
    "Wording",
    "random_prompts",
]

TEMPLATE_NORMAL = "{w0} a {w1} photo {w2} of {w3} {n} {w4}"
TEMPLATE_ANOMALOUS = "{w5} a {w6} photo {w7} of {w8} {a} {w9}"
WORDS_A_PAIR = 10

# The paper says letters and digits. CLIP's tokenizer lowers all letters, so upper case would change nothing.
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"

_LONGEST_WORD = 64


@dataclass(frozen=True)
class PromptPair:
    """The words that tell normal from anomalous: [n], [a] and the object's name.

    Articles belong to the words ("a damaged", not "damaged"), as in the paper. The object's name is part of the
    guiding prompts alone: training prompts name no object, which is what makes the head serve objects never named.

    Raises:
        SettingError: a word is empty or spans lines, or both words are the same.
    """

    normal: str = "a"
    anomalous: str = "a damaged"
    object: str = "object"

    def __post_init__(self) -> None:
        for name, text in (("normal", self.normal), ("anomalous", self.anomalous), ("object", self.object)):
            if not isinstance(text, str) or not text.strip() or not text.isprintable():
                raise SettingError(f"--{name} takes a word or a few on one line, got {text!r}")
        if self.normal.strip().lower() == self.anomalous.strip().lower():
            raise SettingError(f"--normal and --anomalous must differ, got {self.normal!r} for both")

    def guiding(self) -> tuple[str, str]:
        """The two prompts whose embeddings guide s_pr (section 3.1), normal first."""
        return f"a photo of {self.normal} {self.object}", f"a photo of {self.anomalous} {self.object}"


@dataclass(frozen=True)
class Wording:
    """How training prompts are worded; the defaults are the paper's way.

    Attributes:
        states: each prompt takes a state from a list instead of the words for [n] and [a].
        natural: share of pairs, 0 to 1, that take natural words: half of them in the paper's template, half in
            natural sentences.
        counterfactual: both prompts of a pair take the same words, so that they differ in the state alone.

    Raises:
        SettingError: a share out of range.
    """

    states: bool = False
    natural: float = 0.0
    counterfactual: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.natural) and 0 <= self.natural <= 1):
            raise SettingError(f"--natural takes a share from 0 to 1, got {self.natural}")


PAPER = Wording()


def random_prompts(
    pair: PromptPair,
    num_pairs: int,
    seed: int,
    min_length: int = 5,
    max_length: int = 10,
    wording: Wording = PAPER,
) -> tuple[list[str], list[str]]:
    """Complete both templates `num_pairs` (N_p) times with random words.

    The words of a seed are the same on every machine and with every version of NumPy: they come from the raw 64-bit
    words of a PCG64 seeded by `seed`, whose stream NumPy promises to keep, and not from methods built on it. Pair i
    takes the raw words `i * k ... (i + 1) * k - 1` with `k = 10 * (1 + max_length)`: for each of its ten words one
    for the length, then one for each letter that a longest word would have. A raw word r picks the choice
    `((r >> 32) * choices) >> 32`. So more pairs of the same seed begin with the same pairs.

    What a wording adds is drawn from a stream of its own (`wordsight.train.wordings.draws`) and leaves these words as
    they are; a pair that takes natural words leaves its random ones unused, a counterfactual pair the last five.

    Args:
        pair: the words for [n] and [a].
        num_pairs: how many pairs of prompts (N_p), at least 1.
        seed: 0 or more.
        min_length: letters in the shortest word (l_min), at least 1.
        max_length: letters in the longest word (l_max), at most 64.
        wording: see `Wording`; the paper's way without it.

    Returns:
        The normal and the anomalous prompts, `num_pairs` of each; those at the same place are a pair.

    Raises:
        SettingError: a setting out of range.
    """
    check_words(num_pairs, min_length, max_length)
    if seed < 0:
        raise SettingError(f"--seed must be 0 or more, got {seed}")

    words = _random_words(num_pairs, seed, min_length, max_length)
    pairs = [words[start : start + WORDS_A_PAIR] for start in range(0, len(words), WORDS_A_PAIR)]
    if wording == PAPER:
        return (
            [TEMPLATE_NORMAL.format(n=pair.normal, **_slots(ten)) for ten in pairs],
            [TEMPLATE_ANOMALOUS.format(a=pair.anomalous, **_slots(ten)) for ten in pairs],
        )
    return _worded(pair, pairs, draws(num_pairs, seed), wording)


def _random_words(num_pairs: int, seed: int, min_length: int, max_length: int) -> list[str]:
    raw = np.random.PCG64(seed).random_raw(num_pairs * WORDS_A_PAIR * (1 + max_length))
    raw = np.asarray(raw, dtype=np.uint64).reshape(num_pairs * WORDS_A_PAIR, 1 + max_length)
    lengths = min_length + choose(raw[:, 0], max_length - min_length + 1)
    letters = choose(raw[:, 1:], len(ALPHABET))
    longest_words = np.array(list(ALPHABET))[letters].view(f"<U{max_length}").ravel()
    return [word[:length] for word, length in zip(longest_words.tolist(), lengths.tolist(), strict=True)]


def _slots(words: list[str]) -> dict[str, str]:
    return {f"w{i}": word for i, word in enumerate(words)}


# Both templates are one: four words around "a photo of", then the part with its state.
_AROUND = TEMPLATE_NORMAL.replace("{n} {w4}", "{part}")


def _worded(
    pair: PromptPair, pairs: list[list[str]], raw: NDArray[np.uint64], wording: Wording
) -> tuple[list[str], list[str]]:
    """The prompts of pairs that have ten random words each and a row of `raw` (N_p, 15)."""
    of_pair = (pair.normal, pair.anomalous)
    known = natural()
    # A raw word below this share of all 2**32 upper halves makes a pair natural: a larger share keeps them so.
    is_natural = (raw[:, 0] >> np.uint64(32)).astype(np.float64) < wording.natural * 2.0**32
    sides: list[list[str]] = []
    for side in (0, 1):
        own = raw[:, 1 + 7 * side : 8 + 7 * side]
        said = raw[:, 1:8] if wording.counterfactual else own
        listed = states()[side]
        state = choose(own[:, 0], len(listed)).tolist()
        form = choose(said[:, 1], 2).tolist()
        noun = choose(said[:, 2], len(known.nouns)).tolist()
        sentence = choose(said[:, 3], len(known.sentences)).tolist()  # a sentence has no use for the words
        others = choose(said[:, 3:7], len(known.words)).tolist()
        prompts = []
        for i, ten in enumerate(pairs):
            random_five = ten[:5] if wording.counterfactual or side == 0 else ten[5:]
            last = known.nouns[noun[i]] if is_natural[i] else random_five[4]
            if wording.states:
                part = fill(listed[state[i]], last)
            elif is_natural[i] and of_pair[side] == "a":
                part = fill("a {}", last)
            else:
                part = f"{of_pair[side]} {last}"
            if is_natural[i] and form[i]:
                prompts.append(known.sentences[sentence[i]].replace("{}", part))
            else:
                four = [known.words[word] for word in others[i]] if is_natural[i] else random_five[:4]
                prompts.append(_AROUND.format(part=part, **_slots(four)))
        sides.append(prompts)
    return sides[0], sides[1]


def check_words(num_pairs: int, min_length: int, max_length: int) -> None:
    """Raise SettingError unless N_p, l_min and l_max make sense together."""
    if num_pairs < 1:
        raise SettingError(f"--pairs must be at least 1, got {num_pairs}")
    if min_length < 1:
        raise SettingError(f"--min-length must be at least 1 letter, got {min_length}")
    if max_length > _LONGEST_WORD:
        raise SettingError(f"--max-length must be at most {_LONGEST_WORD} letters, got {max_length}")
    if min_length > max_length:
        raise SettingError(f"--min-length must not exceed --max-length, got {min_length} and {max_length}")
