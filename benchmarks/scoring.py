"""Pictures through the exported file, once: scores, embeddings, and what the trivial detectors look at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wordsight.benchmarks import progress, trivial
from wordsight.benchmarks.datasets import Sample
from wordsight.runtime.errors import PictureError

if TYPE_CHECKING:
    from wordsight.runtime.model import Model

Floats = NDArray[np.float64]
_CHUNK = 32  # pictures held in memory at a time


@dataclass(frozen=True)
class Scored:
    """The pictures that could be read, in order, and what the file says of them. N pictures, K seeds, D wide."""

    samples: list[Sample]
    score: Floats  # (N,)
    s_pr: Floats  # (N,)
    s_fnn: Floats  # (N,), the mean of the folded seeds
    s_fnn_seeds: Floats | None  # (N, K); None where the file does not give them
    embedding: NDArray[np.float32] | None  # (N, D)
    features: trivial.Features  # (N, F)
    seen: Floats  # (N,), share of each frame's area that reaches the encoder
    heatmap: NDArray[np.float32] | None  # (N, h, w), where the file gives it
    failures: list[tuple[str, str]]
    """Name and reason of each picture that could not be read."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,): 0 good, 1 defective."""
        return np.array([sample.label for sample in self.samples], np.int64)


def score_samples(model: "Model", samples: Sequence[Sample]) -> Scored:
    """Score pictures with the exported file; one that cannot be read is noted and left out.

    Raises:
        PictureError: Not one picture could be read.
    """
    read: list[Sample] = []
    failures: list[tuple[str, str]] = []
    rows: list[trivial.Features] = []
    seen: list[float] = []
    outputs: list[Any] = []
    for chunk in _chunks(samples, failures, "scoring pictures"):
        frames = [frame for _, frame in chunk]
        read += [sample for sample, _ in chunk]
        rows += [trivial.features(frame) for frame in frames]
        seen += [model.seen_share(frame.shape[0], frame.shape[1]) for frame in frames]
        outputs.append(model.score(frames))
    if not read:
        raise PictureError(f"none of the {len(samples)} pictures could be read; the first: {failures[0][1]}")
    joined = {
        name: None if getattr(outputs[0], name) is None else np.concatenate([getattr(o, name) for o in outputs])
        for name in ("score", "s_pr", "s_fnn", "s_fnn_seeds", "embedding", "heatmap")
    }
    narrow = {name: joined.pop(name) for name in ("embedding", "heatmap")}
    wide = {name: None if a is None else a.astype(np.float64) for name, a in joined.items()}
    return Scored(read, features=np.stack(rows), seen=np.array(seen), failures=failures, **wide, **narrow)  # type: ignore[arg-type]


def feature_rows(samples: Sequence[Sample]) -> tuple[list[Sample], trivial.Features]:
    """The readable pictures among `samples` and their feature rows (M, F) for the trivial detectors."""
    read: list[Sample] = []
    rows: list[trivial.Features] = []
    for chunk in _chunks(samples, [], "good pictures, for k-NN"):
        read += [sample for sample, _ in chunk]
        rows += [trivial.features(frame) for _, frame in chunk]
    return read, np.stack(rows) if rows else np.zeros((0, 0))


def _chunks(
    samples: Sequence[Sample], failures: list[tuple[str, str]], title: str
) -> Iterator[list[tuple[Sample, NDArray[np.uint8]]]]:
    chunk: list[tuple[Sample, NDArray[np.uint8]]] = []
    with progress.bar(title, len(samples)) as tick:
        for sample in samples:
            try:
                chunk.append((sample, sample.load()))
            except PictureError as error:
                failures.append((sample.name, str(error)))
            tick()
            if len(chunk) == _CHUNK:
                yield chunk
                chunk = []
        if chunk:
            yield chunk
