"""What the cells of one class share, each part made when the first cell asks for it."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wordsight.benchmarks.datasets import Sample
from wordsight.benchmarks.rivals import bridge
from wordsight.benchmarks.rivals.draws import Category
from wordsight.benchmarks.rivals.measure import Truth, truth_of
from wordsight.benchmarks.rivals.registration import Registration
from wordsight.benchmarks.rivals.spade import Spade
from wordsight.benchmarks.rivals.tower import Features, Tower
from wordsight.runtime.preprocess import fit_frame

if TYPE_CHECKING:
    from wordsight.runtime.model import Model, Scores

_CHUNK = 40  # pictures in a file of features, and in one call of the runtime


def fitted(samples: Sequence[Sample], size: int) -> NDArray[np.uint8]:
    """Pictures as a file exported with `--fit crop` sees them: uint8 BGR (N, S, S, 3).

    Raises:
        PictureError: one cannot be read: a table must not be of fewer pictures than it says.
    """
    return np.stack([fit_frame(sample.load(), size) for sample in samples])


class Work:
    """Frames, features and outputs of one class.

    Args:
        category: the class.
        scratch: a folder of its own, for files of features.
        tower: what the rivals look through, or None.
        model: our exported file, opened, or None.
    """

    def __init__(self, category: Category, scratch: Path, tower: Tower | None, model: "Model | None") -> None:
        self.category, self._scratch, self._tower, self._model = category, scratch, tower, model

    @cached_property
    def truth(self) -> Truth:
        """Labels, and masks of the squares."""
        samples = self.category.test
        return truth_of(samples, [sample.load().shape[:2] for sample in samples])

    @cached_property
    def test_files(self) -> list[str]:
        """Names in the scratch folder of the test pictures' features, in parts."""
        return self._kept("test", self.tower)

    @property
    def tower(self) -> Tower:
        """The backbone."""
        assert self._tower is not None
        return self._tower

    def support(self, shots: int, draw: int) -> NDArray[np.uint8]:
        """The good frames of a draw (shots, S, S, 3)."""
        return fitted(self.category.support(shots, draw), self.tower.size)

    def test(self) -> Iterator[Features]:
        """Features of the test pictures, in parts."""
        return (bridge.read(self._scratch / name) for name in self.test_files)

    @cached_property
    def spade(self) -> Spade:
        """SPADE on the test pictures."""
        return Spade(self.test, self.tower.size)

    def registered(self, network: Registration) -> Iterator[Features]:
        """Registered features of the test pictures, in parts; made once for one network."""
        if getattr(self, "_network", None) is not network:
            self._network, self._registered = network, self._kept("registered", network)
        return (bridge.read(self._scratch / name) for name in self._registered)

    @cached_property
    def scores(self) -> "Scores":
        """What our file says of the test pictures."""
        return self._scored(self.category.test)

    def support_scores(self, shots: int, draw: int) -> "Scores":
        """What our file says of the good pictures of a draw."""
        return self._scored(self.category.support(shots, draw))

    def _scored(self, samples: Sequence[Sample]) -> "Scores":
        assert self._model is not None
        return self._model.score([sample.load() for sample in samples])

    def _kept(self, title: str, network: "Tower | Registration") -> list[str]:
        names = []
        for at in range(0, len(self.category.test), _CHUNK):
            frames = fitted(self.category.test[at : at + _CHUNK], self.tower.size)
            names.append(f"{title}-{at:05d}.npz")
            bridge.write(self._scratch / names[-1], network.features(frames))
        return names
