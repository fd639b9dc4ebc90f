"""Few-shot over whole sets: which good pictures are drawn as references, and WinCLIP's association with them.

The grid of one picture (patches and windows of ViT-B/16+ at 240 px) takes 1.7 MB, so those of a set are not kept. What
is drawn is drawn first; only the drawn pictures' grids are held, at most (1 + 2 + 4) * draws of them a group, 120 MB
for ten draws. Each scored picture is compared with every one of them once, and each draw takes the least of its own.

N pictures, M good pictures to draw from, g x g patches.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wordsight.benchmarks import progress
from wordsight.runtime.errors import WordsightError
from wordsight.runtime.nearest import association_of, nearest_distance, unit
from wordsight.runtime.references import GRID

if TYPE_CHECKING:
    from wordsight.benchmarks.data.sample import Sample
    from wordsight.runtime.model import Model, Scores

SHOTS = (1, 2, 4)
"""Numbers of references in the paper's tables."""

Floats = NDArray[np.float64]
Places = NDArray[np.intp]
_Grid = tuple[NDArray[np.float32], ...]


class CannotFill(WordsightError):
    """A cell that this encoder, file or set cannot fill; the message is what the cell says instead."""


def drawn(good_groups: NDArray[np.str_], group: str, shots: int, draw: int) -> Places:
    """Places (shots,) of the good pictures of one group that a draw takes; the same for every method.

    Raises:
        CannotFill: the group has fewer good pictures.
    """
    there = np.flatnonzero(good_groups == group)
    if len(there) < shots:
        raise CannotFill(f"{shots} references asked for, the set has {len(there)} good pictures to draw from")
    return np.random.default_rng((shots, draw)).choice(there, shots, replace=False)


class Association:
    """WinCLIP's association of every scored picture with the references of every draw, picture by picture.

    Args:
        model: a file with the outputs of `GRID`.
        good: M good pictures to draw from, and
        good_groups: (M,) what each shows.
        groups: what the scored pictures show; references are of the same group.
        draws: how often each number of references is drawn.
    """

    def __init__(
        self, model: "Model", good: Sequence["Sample"], good_groups: NDArray[np.str_], groups: Sequence[str], draws: int
    ) -> None:
        self._draws = draws
        self._chosen: dict[str, list[list[Places | None]]] = {
            group: [[_or_none(good_groups, group, shots, draw) for draw in range(draws)] for shots in SHOTS]
            for group in sorted(set(groups))
        }
        self._wanted = {
            group: sorted({int(at) for row in rows for places in row if places is not None for at in places})
            for group, rows in self._chosen.items()
        }
        wanted = sorted(set().union(*self._wanted.values()))
        self._grids: dict[int, _Grid] = {}
        with progress.bar("references", len(wanted)) as tick:
            for at in wanted:
                (grid,) = _grids(model.score([good[at].load()]))
                self._grids[at] = tuple(unit(vectors) for vectors in grid)
                tick()

    def of(self, scores: "Scores", groups: Sequence[str]) -> Floats:
        """The largest value of M_ref: (shots, draws, N); NaN where a group has too few good pictures."""
        found = np.full((len(SHOTS), self._draws, len(groups)), np.nan)
        for index, (grid, group) in enumerate(zip(_grids(scores), groups, strict=True)):
            chosen = self._chosen[group]
            near = {at: tuple(map(nearest_distance, grid, self._grids[at])) for at in self._wanted[group]}
            for place, row in enumerate(chosen):
                for draw, places in enumerate(row):
                    if places is not None:
                        least = [np.min([near[int(at)][kind] for at in places], axis=0)[None] for kind in range(3)]
                        found[place, draw, index] = association_of(least[0], least[1], least[2]).max()
        return found


def _or_none(good_groups: NDArray[np.str_], group: str, shots: int, draw: int) -> Places | None:
    try:
        return drawn(good_groups, group, shots, draw)
    except CannotFill:
        return None


def _grids(scores: "Scores") -> Iterator[_Grid]:
    arrays = [getattr(scores, name) for name in GRID]
    yield from zip(*arrays, strict=True)
