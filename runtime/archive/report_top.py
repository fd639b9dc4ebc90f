"""The most suspicious pictures of any number, and those of them that look alike folded into one."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Candidate:
    """A picture that scored high.

    Attributes:
        shard: of it, with its `row` in there.
        scored: rows of that shard.
        source: its path or URI.
        score: with `s_pr` and `s_fnn`.
        decision: "good", "unsure", "defect" or None.
        width: in pixels, with `height`.
        modified: its file's time, None where unknown.
        embedding: (D,) unit vector, None where the shard has none.
    """

    shard: int
    row: int
    scored: int
    source: str
    score: float
    s_pr: float
    s_fnn: float
    decision: str | None
    width: int
    height: int
    modified: datetime | None
    embedding: Floats | None = field(repr=False, default=None)


@dataclass(frozen=True)
class Folded:
    """Pictures that look alike: the one with the highest score, and the others, highest first."""

    first: Candidate
    others: list[Candidate]


class Top:
    """The places of the highest scores; of equal ones the earlier."""

    def __init__(self, most: int) -> None:
        """Begin without any; `most` are kept."""
        self._most = most
        self._scores: NDArray[np.float64] = np.zeros(0)
        self._places: NDArray[np.int64] = np.zeros((0, 2), np.int64)  # shard, row

    def add(self, scores: NDArray[np.float64], shard: int, first_row: int) -> None:
        """Take the scores of consecutive rows of a shard."""
        rows = np.arange(first_row, first_row + len(scores))
        if len(self._scores) == self._most and self._most:
            rows, scores = rows[scores >= self._scores[-1]], scores[scores >= self._scores[-1]]
        places = np.stack((np.full(len(rows), shard, np.int64), rows), axis=1)
        scores, places = np.concatenate((self._scores, scores)), np.concatenate((self._places, places))
        order = np.lexsort((places[:, 1], places[:, 0], -scores))[: self._most]
        self._scores, self._places = scores[order], places[order]

    def by_shard(self) -> dict[int, list[int]]:
        """Return the rows that are kept, by the shard's number."""
        result: dict[int, list[int]] = {}
        for shard, row in self._places:
            result.setdefault(int(shard), []).append(int(row))
        return result


def candidate(shard: int, row: int, scored: int, values: Any) -> Candidate:
    """Make one of its place and an Arrow record batch of one row."""
    embedding = None
    if "embedding" in values.schema.names and values.column("embedding")[0].is_valid:
        embedding = np.asarray(values.column("embedding")[0].values.to_numpy(zero_copy_only=False), np.float32)
        embedding = embedding / np.float32(np.linalg.norm(embedding) + 1e-12)
    names = ("source", "score", "s_pr", "s_fnn", "decision", "width", "height", "modified")
    told = {name: values.column(name)[0].as_py() for name in names}
    return Candidate(shard, row, scored, **told, embedding=embedding)


def fold(candidates: list[Candidate], alike: float) -> list[Folded]:
    """Put pictures that look alike together.

    Each goes to the first group whose highest-scored picture has an embedding with a cosine of at least `alike` to its
    own, or begins a group. One without an embedding stays alone.

    Args:
        candidates: the highest score first.
        alike: cosine, above 0 and at most 1; 1 folds copies alone.
    """
    groups: list[Folded] = []
    with_embedding: list[int] = []
    leaders: Floats | None = None
    for item in candidates:
        if item.embedding is not None and leaders is not None:
            cosines = leaders[: len(with_embedding)] @ item.embedding
            found = np.flatnonzero(cosines >= alike - 1e-6)  # the cosine of a vector with itself, in float32
            if len(found):
                groups[with_embedding[int(found[0])]].others.append(item)
                continue
        if item.embedding is not None:
            if leaders is None:
                leaders = np.empty((len(candidates), len(item.embedding)), np.float32)
            leaders[len(with_embedding)] = item.embedding
            with_embedding.append(len(groups))
        groups.append(Folded(item, []))
    return groups
