"""Which pictures a table is made of: a part of the test pictures by seed, and the same draws of good ones for everyone.

Draws come from PCG64's raw words, the same on any version of numpy. The first picture of a draw is its 1-shot, the
first two its 2-shot, the first four its 4-shot.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wordsight.benchmarks.datasets import Dataset, Sample
from wordsight.runtime.errors import SettingError


@dataclass(frozen=True)
class Category:
    """One class as it is measured."""

    section: str
    """The set it belongs to: a heading of the table, which shows means over its classes."""
    name: str
    test: list[Sample]
    draws: list[list[Sample]]
    """Good pictures apart from `test`: a list a draw, as long as the most shots."""
    fit: list[Sample]
    """All good pictures apart from `test`: what RegAD trains on when another class is measured."""
    sha256: str
    """Of the test pictures, their masks and their labels."""

    def support(self, shots: int, draw: int) -> list[Sample]:
        """The `shots` pictures of a draw."""
        return self.draws[draw][:shots]


def category(
    section: str, dataset: Dataset, *, shots: int, draws: int, good: int | None, defective: int | None, seed: int
) -> Category:
    """Choose the pictures of a class.

    Args:
        section: the set it belongs to.
        dataset: the class.
        shots: most of them.
        draws: how many.
        good: how many good test pictures; None, or fewer there: all.
        defective: likewise.
        seed: of the choice and of the draws.

    Raises:
        SettingError: more shots than there are good pictures to draw from.
    """
    if shots > len(dataset.fit):
        raise SettingError(
            f"{dataset.name} has {len(dataset.fit)} good pictures to draw from, --shots asks for {shots}: "
            "give smaller shots, or more pictures in train/good"
        )
    test = []
    for label, wanted in ((0, good), (1, defective)):
        there = [sample for sample in dataset.test if sample.label == label]
        chosen = shuffled(len(there), seed, label)[: len(there) if wanted is None else wanted]
        test += [there[i] for i in sorted(chosen)]
    drawn = [[dataset.fit[i] for i in shuffled(len(dataset.fit), seed, 2 + draw)[:shots]] for draw in range(draws)]
    return Category(section, dataset.name, test, drawn, dataset.fit, content_sha256(test))


def shuffled(count: int, seed: int, stream: int) -> list[int]:
    """0 ... count - 1 in an order of `seed`; another `stream` is another order."""
    keys = np.random.PCG64(np.random.SeedSequence((seed, stream))).random_raw(count)
    return [int(i) for i in np.argsort(keys, kind="stable")]


def content_sha256(samples: Sequence[Sample]) -> str:
    """SHA-256 of pictures, masks and labels, as bytes of their files or of their arrays: not of their names."""
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(f"{sample.label};".encode())
        for path, array in ((sample.path, sample.frame), (sample.mask_path, sample.mask)):
            content = array.tobytes() if array is not None else path.read_bytes() if path is not None else b""
            digest.update(f"{len(content)};".encode() + content)
    return digest.hexdigest()
