"""Random words around a fixed sentence: the training data of the paper (section 3.2), and its guiding prompts (3.1).

Every pair of prompts takes ten random words of its own. A word is drawn letter by letter from the lower-case
alphabet and the digits, its length uniform from `min_length` (l_min) to `max_length` (l_max).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wordsight.train.errors import SettingError

__all__ = ["ALPHABET", "TEMPLATE_ANOMALOUS", "TEMPLATE_NORMAL", "WORDS_A_PAIR", "PromptPair", "random_prompts"]

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


def random_prompts(
    pair: PromptPair, num_pairs: int, seed: int, min_length: int = 5, max_length: int = 10
) -> tuple[list[str], list[str]]:
    """Complete both templates `num_pairs` (N_p) times with random words.

    The words of a seed are the same on every machine and with every version of NumPy: they come from the raw 64-bit
    words of a PCG64 seeded by `seed`, whose stream NumPy promises to keep, and not from methods built on it. Pair i
    takes the raw words `i * k ... (i + 1) * k - 1` with `k = 10 * (1 + max_length)`: for each of its ten words one
    for the length, then one for each letter that a longest word would have. A raw word r picks the choice
    `((r >> 32) * choices) >> 32`. So more pairs of the same seed begin with the same pairs.

    Args:
        pair: the words for [n] and [a].
        num_pairs: how many pairs of prompts (N_p), at least 1.
        seed: 0 or more.
        min_length: letters in the shortest word (l_min), at least 1.
        max_length: letters in the longest word (l_max), at most 64.

    Returns:
        The normal and the anomalous prompts, `num_pairs` of each; those at the same place are a pair.

    Raises:
        SettingError: a setting out of range.
    """
    check_words(num_pairs, min_length, max_length)
    if seed < 0:
        raise SettingError(f"--seed must be 0 or more, got {seed}")

    raw = np.random.PCG64(seed).random_raw(num_pairs * WORDS_A_PAIR * (1 + max_length))
    raw = np.asarray(raw, dtype=np.uint64).reshape(num_pairs * WORDS_A_PAIR, 1 + max_length)
    lengths = min_length + _choose(raw[:, 0], max_length - min_length + 1)
    letters = _choose(raw[:, 1:], len(ALPHABET))

    longest_words = np.array(list(ALPHABET))[letters].view(f"<U{max_length}").ravel()
    words = [word[:length] for word, length in zip(longest_words.tolist(), lengths.tolist(), strict=True)]

    normal, anomalous = [], []
    for start in range(0, len(words), WORDS_A_PAIR):
        slots = {f"w{i}": word for i, word in enumerate(words[start : start + WORDS_A_PAIR])}
        normal.append(TEMPLATE_NORMAL.format(n=pair.normal, **slots))
        anomalous.append(TEMPLATE_ANOMALOUS.format(a=pair.anomalous, **slots))
    return normal, anomalous


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


def _choose(raw: NDArray[np.uint64], choices: int) -> NDArray[np.int64]:
    """Map 64 random bits to 0 ... choices - 1, uneven by less than choices / 2**32."""
    chosen: NDArray[np.int64] = (((raw >> np.uint64(32)) * np.uint64(choices)) >> np.uint64(32)).astype(np.int64)
    return chosen
