"""PaDiM and PatchCore by anomalib, in its own environment and process, on the feature maps of our backbone."""

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from wordsight.benchmarks.peer_process import Peer
from wordsight.benchmarks.rivals.measure import Found
from wordsight.benchmarks.rivals.tower import LEVELS, Features
from wordsight.runtime.errors import WordsightError

LAYERS = [f"level_{number}" for number in range(1, LEVELS + 1)]
SMALL, LARGE, FEW = 100, 550, 448
"""Channels that PaDiM keeps: anomalib's defaults for ResNet-18, which has 448 at these levels, and for wider ones."""
SETTINGS: dict[str, dict[str, Any]] = {
    "padim": {"layers": LAYERS, "n_features": f"{SMALL} of {FEW} or fewer, else {LARGE}"},
    "patchcore": {"layers": LAYERS[1:], "coreset": 0.1, "neighbours": 9},
}
"""anomalib 2.7.0's own defaults, layers included."""


class Anomalib:
    """A process of anomalib.

    Args:
        python: of its environment.
        folder: where arrays are exchanged; the features that `write` keeps lie there.
        threads: of torch in that process.

    Raises:
        MissingPart: there is no such environment; says what makes it.
    """

    def __init__(self, python: Path, folder: Path, threads: int) -> None:
        self.folder = folder
        self._peer = Peer(python, folder, threads, Path(__file__).with_name("peer_anomalib.py"))

    def score(self, method: str, support: Features, tests: list[str], size: int, seed: int) -> Found:
        """Fit a method on good pictures and score others.

        PaDiM's covariance of a single picture is 0 / 0 in anomalib; it is given that picture twice, which makes it 0,
        so that its regulariser alone remains: a Euclidean distance at every cell.

        Args:
            method: "padim" or "patchcore".
            support: features of the good pictures.
            tests: names of files that `write` wrote.
            size: S, the side of the maps.
            seed: of PaDiM's channels and of PatchCore's coreset.

        Raises:
            WordsightError: the peer failed, or what it found are not as many finite numbers as there are pictures.
        """
        if method == "padim" and len(support.pooled) == 1:
            support = Features([np.repeat(level, 2, axis=0) for level in support.levels], support.pooled)
        write(self.folder / "support.npz", support)
        total = sum(level.shape[1] for level in support.levels)
        settings = dict(SETTINGS[method])
        if method == "padim":
            settings["n_features"] = min(total, SMALL if total <= FEW else LARGE)
        self._peer.ask("score", method=method, support="support.npz", tests=tests, size=size, seed=seed, **settings)
        with np.load(self.folder / "found.npz", allow_pickle=False) as arrays:
            found = Found(arrays["scores"], arrays["maps"])
        if found.maps is None or not (np.isfinite(found.scores).all() and np.isfinite(found.maps).all()):
            raise WordsightError(f"anomalib's {method} gave scores that are not finite")
        return found

    def close(self) -> None:
        """End the process."""
        self._peer.close()

    def __enter__(self) -> "Anomalib":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def write(path: Path, features: Features) -> None:
    """Keep features in a file that both sides read."""
    levels: dict[str, Any] = dict(zip(LAYERS, features.levels, strict=True))
    np.savez(path, pooled=features.pooled, **levels)


def read(path: Path) -> Features:
    """What `write` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return Features([arrays[layer] for layer in LAYERS], arrays["pooled"])
