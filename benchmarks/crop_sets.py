"""Which crop set the paper may have used: its rows of CLIP alone, measured with each (it does not say which crops).

No head plays a part in these rows, so nothing is trained to fit them. On sets that are not the paper's the figures are
only shown: choosing crops by the labels of one's own test pictures would be tuning on them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wordsight.benchmarks.building import exported, in_name
from wordsight.benchmarks.collect import collect, every_word
from wordsight.benchmarks.datasets import Dataset
from wordsight.benchmarks.metrics import auroc
from wordsight.benchmarks.paper.figures import CLIP, KNOWN, UNKNOWN, load
from wordsight.benchmarks.paper.runner import COLLECTIONS
from wordsight.export.crops import NAMED
from wordsight.runtime.figures import Figure
from wordsight.runtime.model import Model
from wordsight.train.fit import Settings

_ANY_HEAD = Settings(num_pairs=200)  # the file needs one; s_pr does not look at it


@dataclass(frozen=True)
class Measured:
    """AUROC of s_pr with one crop set, as fractions, means over a collection's classes."""

    crops: str
    views: int
    """How often the encoder looks at a frame: what it costs."""
    collection: str
    known: float | None
    """None where what the pictures show has no name."""
    unknown: float

    def distance(self) -> float | None:
        """Mean distance to the paper's cells in points; None where the paper has none of this set."""
        printed = {c.setup: c.mean for c in load() if c.table == 1 and c.row == self.collection and c.method == CLIP
                   and c.metric == "AUROC"}  # fmt: skip
        ours = {KNOWN: self.known, UNKNOWN: self.unknown}
        gaps = [abs(100 * value - printed[setup]) for setup, value in ours.items() if value is not None and printed]
        return float(np.mean(gaps)) if gaps else None


def measure(sets: Sequence[Dataset], folder: Path, encoder: str, names: Sequence[str] = NAMED) -> list[Measured]:
    """Score every set with every crop set; files and scores are kept in `folder` and not made again."""
    words = every_word(sets)
    table: list[Measured] = []
    for crops in names:
        path = exported(encoder, _ANY_HEAD, range(1), folder, crops, words)
        with Model(path) as model:
            views = max(1, len(model.manifest.crops.boxes))
            rows: dict[str, list[tuple[float | None, float]]] = {}
            for number, dataset in enumerate(sets):
                outputs = collect(model, dataset, folder / f"scores-{number}-{in_name(crops)}.npz")
                known = auroc(outputs.labels, outputs.s_pr_known) if len(outputs.s_pr_known) else None
                name = COLLECTIONS.get(dataset.collection, dataset.name)
                rows.setdefault(name, []).append((known, auroc(outputs.labels, outputs.s_pr)))
        for name, areas in rows.items():
            told = [area for area, _ in areas if area is not None]
            known = float(np.mean(told)) if len(told) == len(areas) else None
            table.append(Measured(crops, views, name, known, float(np.mean([area for _, area in areas]))))
    return table


def nearest(table: Sequence[Measured]) -> dict[str, str]:
    """The crop set that comes nearest to the paper's rows, for each collection that the paper has."""
    found: dict[str, Measured] = {}
    for row in table:
        distance, best = row.distance(), found.get(row.collection)
        if distance is not None and (best is None or distance < (best.distance() or 0.0)):
            found[row.collection] = row
    return {name: row.crops for name, row in found.items()}


def figures(table: Sequence[Measured]) -> Iterator[Figure]:
    """As every command writes them."""
    for row in table:
        for setup, value in ((KNOWN, row.known), (UNKNOWN, row.unknown)):
            name = f"auroc.s_pr/{row.collection}/{setup}/{row.crops}"
            yield Figure(name, value, reason=None if value is not None else "what the pictures show has no name")
