"""Mutual scoring: how unlike all others each picture of a set is, no label and no reference needed.

After MuSc (arXiv 2401.16753), over the vectors that an exported file gives. Symbols: N pictures, P patches each (1
where there is no more than an embedding), D their width.

- Mutual scoring: a patch's distance to picture j is that to the nearest of j's patches; its score is the mean of the
  lowest 30% of its distances to the other pictures, so that it is enough to be like some of them. A picture's score is
  that of its oddest patch.
- Re-scoring by neighbours (RsCIN): a picture's score is averaged with those of the pictures most like it as a whole.

Different from MuSc: one layer of tokens as the file gives them, no pooling of neighbouring patches, and distances are
(1 - cos) / 2, as everywhere here; of unit vectors this is a quarter of the squared Euclidean distance.

Time grows with N**2 P**2 D. Cosines exist in blocks; tokens in memory up to `MEMORY_BYTES`, beyond in a file.
"""

import os
import tempfile
from collections.abc import Callable
from typing import IO

import numpy as np

from wordsight.runtime.nearest import Floats, unit

LOWEST = 0.3
"""Share of the other pictures, the nearest ones, that a patch is judged by: the interval of MuSc."""
NEIGHBOURS = (0, 1, 2)
"""How many neighbours a score is averaged with; the mean over these is taken. MuSc keeps 1, 2, 3 with the picture
itself among them."""
MEMORY_BYTES = 2**30
"""Most bytes of tokens that are held in memory: 1,864 pictures of ViT-B/16+ (225 patches, 640 wide)."""
BLOCK_BYTES = 64 * 2**20
"""Most bytes of cosines, and of distances, that exist at once."""


class Tokens:
    """Unit vectors of a set's pictures, in the order in which they were added.

    They lie in memory as long as they are few, then in a nameless file, which is gone with the process.

    Attributes:
        spilled: whether they lie in a file.
    """

    def __init__(self, folder: str | os.PathLike[str], memory_bytes: int = MEMORY_BYTES) -> None:
        """Begin empty.

        Args:
            folder: where the file is made, if it comes to that.
            memory_bytes: most bytes in memory.
        """
        self._folder = folder
        self._most = memory_bytes
        self._held: list[Floats] = []
        self._file: IO[bytes] | None = None
        self._count = 0
        self._shape = (0, 0)

    def __len__(self) -> int:
        return self._count

    @property
    def shape(self) -> tuple[int, int]:
        """P and D."""
        return self._shape

    @property
    def spilled(self) -> bool:
        """Whether they lie in a file."""
        return self._file is not None

    def add(self, vectors: Floats) -> None:
        """Take (n, P, D) vectors of any length; they are scaled to length 1.

        Raises:
            OSError: the disk is full.
        """
        self._shape = vectors.shape[1], vectors.shape[2]
        for picture in unit(vectors):
            self._count += 1
            if self._file is None and self._count * picture.nbytes > self._most:
                self._file = tempfile.TemporaryFile(dir=self._folder, prefix=".wordsight-")
                for held in self._held:
                    self._file.write(held.data)
                self._held.clear()
            if self._file is None:
                self._held.append(np.ascontiguousarray(picture))
            else:
                self._file.write(np.ascontiguousarray(picture).data)

    def read(self, start: int, stop: int) -> Floats:
        """Return (stop - start, P, D), a copy."""
        if self._file is None:
            return np.stack(self._held[start:stop])
        each = self._shape[0] * self._shape[1] * 4
        self._file.seek(start * each)
        data = self._file.read((stop - start) * each)
        return np.frombuffer(data, np.float32).reshape(-1, *self._shape)

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            self._file.close()


def mutual_maps(
    tokens: Tokens, on_compared: Callable[[int], None] = lambda pairs: None, block_bytes: int = BLOCK_BYTES
) -> Floats:
    """The mutual score of every patch.

    Args:
        tokens: of two pictures or more.
        on_compared: called with the number of pairs of pictures that were compared, N * N in all.
        block_bytes: most bytes of cosines at once, and of distances; what one pair takes is taken anyhow.

    Returns:
        (N, P), 0 to 1; higher is odder.
    """
    count, (places, width) = len(tokens), tokens.shape
    rows = max(1, block_bytes // (4 * places * count))
    step = max(1, block_bytes // (4 * places * places))
    maps = np.empty((count, places), np.float32)
    for at in range(0, count, rows):
        ours = tokens.read(at, min(at + rows, count))
        nearest = np.empty((len(ours), places, count), np.float32)  # cosines
        for start in range(0, count, step):
            theirs = tokens.read(start, min(start + step, count))
            flat = theirs.reshape(-1, width).T
            for picture, vectors in enumerate(ours):
                cosines = (vectors @ flat).reshape(places, len(theirs), places)
                nearest[picture, :, start : start + len(theirs)] = cosines.max(axis=2)
                on_compared(len(theirs))
        for picture in range(len(ours)):
            others = np.delete(nearest[picture], at + picture, axis=1)
            # Rounding leaves the cosine of equal vectors a little above 1.
            maps[at + picture] = lowest_mean((1 - np.clip(others, -1, 1)) / 2)
    return maps


def lowest_mean(distances: Floats) -> Floats:
    """The mean of the lowest 30% along the last axis, of one at least: (P, N - 1) to (P,)."""
    kept = max(1, int(LOWEST * distances.shape[-1]))
    return np.asarray(np.partition(distances, kept - 1, axis=-1)[..., :kept].mean(axis=-1), np.float32)


def by_neighbours(scores: Floats, embedding: Floats) -> Floats:
    """Average each score with those of the pictures most like it, weighted by their cosines.

    Args:
        scores: (N,).
        embedding: (N, D), of any length.

    Returns:
        (N,): the mean over `NEIGHBOURS` of the weighted means; a cosine below 0 has no weight.
    """
    vectors = unit(embedding)
    most = min(max(NEIGHBOURS), len(scores) - 1)
    result = np.empty(len(scores), np.float32)
    for index, vector in enumerate(vectors):
        cosines = np.maximum(vectors @ vector, 0)
        cosines[index] = np.inf  # itself first
        order = np.argsort(-cosines, kind="stable")[: most + 1]
        weights = cosines[order]
        weights[0] = 1
        means = [np.average(scores[order[: k + 1]], weights=weights[: k + 1]) for k in NEIGHBOURS if k <= most]
        result[index] = np.mean(means)
    return result


def area_under_curve(labels: Floats, scores: Floats) -> float:
    """AUROC, from its definition: how often a defective picture (1) scores above a good one (0); ties count half."""
    good, bad = scores[labels == 0], scores[labels == 1]
    return float(np.mean((bad[:, None] > good) + 0.5 * (bad[:, None] == good)))
