"""A folder of pictures scored together: the score of each, as ever, and how unlike all the others it is.

found = audit(model, sources, folder)
found.order  # the oddest first
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.errors import ModelError, SettingError
from wordsight.runtime.fit_input import admitted
from wordsight.runtime.fits import seen_place
from wordsight.runtime.heat import Heat
from wordsight.runtime.html import thumbnail
from wordsight.runtime.mutual import Tokens, by_neighbours, mutual_maps
from wordsight.runtime.nearest import Floats
from wordsight.runtime.opencv import load_cv2
from wordsight.runtime.sources.frame import Failure, Frame, Image, Source

if TYPE_CHECKING:
    from wordsight.runtime.manifest import Manifest
    from wordsight.runtime.model import Model

FEWEST = 8
"""Pictures without which "unlike the others" means nothing: 30% of the others are two of seven."""
MOST = 5_000
"""Pictures: their comparison takes time by the square of their number, hours beyond this."""
_PENDING_BYTES = 256 * 2**20
_QUALITY = 90  # JPEG of a thumbnail in memory


@dataclass(frozen=True)
class Picture:
    """One picture of the set.

    Attributes:
        source: its path.
        name: relative to the folder.
        frame: number within it, for videos.
        shape: H and W in pixels.
        jpeg: the picture at the size of a thumbnail.
    """

    source: str
    name: str
    frame: int
    shape: tuple[int, int]
    jpeg: bytes = field(repr=False)

    def small(self) -> Image:
        """uint8 BGR, 240 pixels on the longer side."""
        return np.asarray(load_cv2().imdecode(np.frombuffer(self.jpeg, np.uint8), 1), np.uint8)


@dataclass(frozen=True)
class Audit:
    """What was found out about N pictures; arrays in the order of `pictures`, float32.

    Attributes:
        pictures: that could be read.
        failures: that could not.
        score: (N,), the first opinion, with `s_pr` and `s_fnn`.
        mutual: (N,), 0 to 1: how unlike the others it is, re-scored by neighbours.
        mutual_own: (N,), the same before that.
        heat: (N, h, w), what is drawn over the pictures: the mutual score of every patch, or else the file's heat map;
            None when the file gives neither, or its patches are not those of one square.
        heat_kind: "mutual" or "heatmap"; which of the two it is.
        patches: P; 1 when embeddings alone were compared.
        manifest: of the model.
    """

    pictures: list[Picture]
    failures: list[Failure]
    score: Floats
    s_pr: Floats
    s_fnn: Floats
    mutual: Floats
    mutual_own: Floats
    heat: Floats | None
    heat_kind: str
    patches: int
    manifest: "Manifest"

    @property
    def order(self) -> NDArray[np.intp]:
        """Pictures by mutual score, the oddest first; of equal ones the earlier."""
        return np.argsort(-self.mutual, kind="stable")

    @property
    def rank_by_score(self) -> NDArray[np.intp]:
        """(N,): each picture's place by the first opinion, from 1."""
        ranks = np.empty(len(self.pictures), np.intp)
        ranks[np.argsort(-self.score, kind="stable")] = np.arange(1, len(self.pictures) + 1)
        return ranks

    def heat_of(self, index: int) -> Heat | None:
        """The map of one picture at its place, without outlines; a mutual map's top is its own highest value."""
        if self.heat is None:
            return None
        shape, spec, weights = self.pictures[index].shape, self.manifest.input, self.manifest.score
        place = seen_place(*shape, spec.size, spec.fit, spec.camera)
        top = float(self.heat[index].max()) if self.heat_kind == "mutual" else weights.w_pr + weights.w_fnn
        return Heat(self.heat[index], place, shape, top or 1.0, math.inf)


def audit(
    model: "Model",
    sources: Sequence[Source],
    folder: str | os.PathLike[str],
    *,
    batch: int = 32,
    on_scored: Callable[[], None] = lambda: None,
    on_compared: Callable[[int, int], None] = lambda pairs, all_pairs: None,
) -> Audit:
    """Score all pictures, then compare each with all others.

    Args:
        model: opened; without references.
        sources: of files.
        folder: where tokens go that are too many for the memory.
        batch: most frames to a batch.
        on_scored: called after each picture or failure.
        on_compared: called with the number of pairs that were compared, and of all there are.

    Raises:
        SettingError: fewer than `FEWEST` pictures, or more than `MOST`.
        ModelError: the file gives neither patches nor embedding, or such as are not finite.
    """
    outputs = model.manifest.outputs
    kept = next((name for name in ("patches", "embedding") if name in outputs), None)
    if kept is None or "embedding" not in outputs:
        raise ModelError(f"{model.path} gives no embedding: export it again, wordsight export gives it by default")
    gathered = _Gathered(model, Tokens(folder), kept)
    try:
        _gather(gathered, sources, batch, on_scored)
        count = len(gathered.pictures)
        if count < FEWEST:
            broken = f" ({len(gathered.failures)} could not be read)" if gathered.failures else ""
            raise SettingError(
                f"an audit compares pictures with each other: expected {FEWEST} or more, got {count}{broken}"
            )
        maps = mutual_maps(gathered.tokens, lambda pairs: on_compared(pairs, count * count))
    finally:
        gathered.tokens.close()
    own = maps.max(axis=1)
    heat, kind = None, "mutual"
    if kept == "patches" and _one_square(model.manifest, maps.shape[1]):
        side = math.isqrt(maps.shape[1])
        heat = maps.reshape(-1, side, side)
    elif gathered.heat:
        heat, kind = np.concatenate(gathered.heat), "heatmap"
    score, s_pr, s_fnn = (np.concatenate(parts) for parts in zip(*gathered.scores, strict=True))
    mutual = by_neighbours(own, np.concatenate(gathered.embedding))
    return Audit(
        gathered.pictures, gathered.failures, score, s_pr, s_fnn, mutual, own, heat, kind, maps.shape[1], model.manifest
    )


@dataclass
class _Gathered:
    model: "Model"
    tokens: Tokens
    kept: str
    pictures: list[Picture] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    scores: list[tuple[Floats, Floats, Floats]] = field(default_factory=list)
    embedding: list[Floats] = field(default_factory=list)
    heat: list[Floats] = field(default_factory=list)

    def take(self, frames: Sequence[Frame]) -> None:
        scores = self.model.score([frame.image for frame in frames])
        tokens = getattr(scores, self.kept)
        for frame, vectors in zip(frames, tokens, strict=True):
            if not np.all(np.isfinite(vectors)):
                raise ModelError(f"{frame.source}: the model's {self.kept} is not finite; wordsight verify tells more")
            self.pictures.append(_picture(frame))
        self.tokens.add(tokens if tokens.ndim == 3 else tokens[:, None])
        self.scores.append((scores.score, scores.s_pr, scores.s_fnn))
        if scores.embedding is not None:
            self.embedding.append(scores.embedding)
        if scores.heatmap is not None:
            self.heat.append(scores.heatmap)


def _gather(gathered: _Gathered, sources: Sequence[Source], batch: int, on_scored: Callable[[], None]) -> None:
    pending: list[Frame] = []

    def flush() -> None:
        if pending:
            gathered.take(pending)
            pending.clear()

    for source in sources:
        for given in source:
            on_scored()
            item = admitted(given, gathered.model.manifest.input)
            if isinstance(item, Failure):
                gathered.failures.append(item)
                continue
            if len(gathered.pictures) + len(pending) >= MOST:
                raise SettingError(f"an audit compares at most {MOST:,} pictures, there are more: audit parts of them")
            if isinstance(item, Frame):
                pending.append(item)
            if len(pending) >= batch or sum(frame.image.nbytes for frame in pending) > _PENDING_BYTES:
                flush()
    flush()


def _picture(frame: Frame) -> Picture:
    cv2 = load_cv2()
    done, data = cv2.imencode(".jpg", thumbnail(frame.image), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise ModelError(f"OpenCV could not encode a thumbnail of {frame.source}")
    name = frame.name + (f" #{frame.index}" if frame.fps is not None else "")
    return Picture(frame.source, name, frame.index, (frame.image.shape[0], frame.image.shape[1]), data.tobytes())


def _one_square(manifest: "Manifest", patches: int) -> bool:
    """Whether the patches are the grid of the whole square: not of tiles, nor of crops one after the other."""
    boxes = manifest.crops.boxes
    whole = not boxes or (0, 0, manifest.input.size) in boxes
    return whole and not manifest.input.camera and math.isqrt(patches) ** 2 == patches
