"""What must be run to fill the paper's cells: one `Setting` for every detector and class, each told by a cell."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from wordsight.benchmarks.paper.figures import CLIP, OURS, SUM, UNKNOWN, WINCLIP, Cell, classes, load
from wordsight.benchmarks.paper.wordpairs import DEFAULT_NUM_PAIRS, DEFAULT_PAIR, NUM_PAIRS_SWEEP, pair_of

RUNNABLE = (CLIP, OURS, SUM, WINCLIP)
"""Methods of the paper that Wordsight holds; SPADE, PaDiM, PatchCore and RegAD stay quoted."""

SWEEP_DATASET = "MVTec-AD"


@dataclass(frozen=True)
class Setting:
    """Which detector meets which pictures; encoder, crops and seed come with each run."""

    dataset: str
    category: str
    """A class of the data set; "" for a set without classes."""
    setup: str
    """As the paper's tables say it, such as "0-shot unknown object" or "4-shot"."""
    method: str
    normal: str | None
    """[n] and
    [a]; None for WinCLIP, which has words of its own."""
    anomalous: str | None
    num_pairs: int | None
    """N_p; None for methods without a head."""


def settings_of(cell: Cell) -> tuple[Setting, ...]:
    """What a cell is measured from: one setting, or one a class where the cell is a mean over classes.

    Returns:
        Nothing for a system that cannot be run here.
    """
    if cell.method not in RUNNABLE:
        return ()
    pair = pair_of(cell.row) if cell.table == 3 else DEFAULT_PAIR
    worded = cell.method != WINCLIP
    one = Setting(
        cell.dataset, cell.category, cell.setup, cell.method, pair.normal if worded else None,
        pair.anomalous if worded else None, DEFAULT_NUM_PAIRS if cell.method in (OURS, SUM) else None,
    )  # fmt: skip
    if cell.category:
        return (one,)
    return tuple(replace(one, category=name) for name in classes(cell.dataset))


def sweep_settings(num_pairs: int) -> tuple[Setting, ...]:
    """One point of Figure 4: the sum of both scores for an unknown object, every class of MVTec-AD."""
    one = Setting(SWEEP_DATASET, "", UNKNOWN, SUM, DEFAULT_PAIR.normal, DEFAULT_PAIR.anomalous, num_pairs)
    return tuple(replace(one, category=name) for name in classes(SWEEP_DATASET))


def all_settings() -> Iterator[Setting]:
    """Every setting once that Tables 1 to 10 and Figure 4 need, in the paper's order."""
    found: dict[Setting, None] = {}
    for cell in load():
        found.update(dict.fromkeys(settings_of(cell)))
    for num_pairs in NUM_PAIRS_SWEEP:
        found.update(dict.fromkeys(sweep_settings(num_pairs)))
    yield from found
