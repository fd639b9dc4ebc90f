"""What Table 3 and Figure 4 vary: the words for normal and anomalous, and the number of prompt pairs N_p."""

from wordsight.train.prompts import PromptPair

NORMAL_WORDS = ("an", "a normal", "a good", "a flawless")
"""Rows of Table 3. It prints "an", which fits "object"; section 4.2 gives "a" as the default word."""

ANOMALOUS_WORDS = ("a damaged", "a broken", "a defective", "an anomalous")
"""Columns of Table 3."""

DEFAULT_PAIR = PromptPair()
"""[n] and [a] of all other tables (section 4.2)."""

NUM_PAIRS_SWEEP = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
"""N_p of Figure 4 (section 4.4), which names 10,000 as the best."""

DEFAULT_NUM_PAIRS = 10_000
"""N_p of all tables (section 4.2)."""


def word_pairs() -> tuple[PromptPair, ...]:
    """The 16 pairs of Table 3, row by row."""
    return tuple(PromptPair(normal, anomalous) for normal in NORMAL_WORDS for anomalous in ANOMALOUS_WORDS)


def row_of(pair: PromptPair) -> str:
    """The row of Table 3's cells, as `figures.Cell.row` spells it."""
    return f"{pair.normal} / {pair.anomalous}"


def pair_of(row: str) -> PromptPair:
    """The words of a row of Table 3.

    Raises:
        ValueError: the row is none of Table 3.
    """
    for pair in word_pairs():
        if row_of(pair) == row:
            return pair
    raise ValueError(f"Table 3 has no row {row!r}")
