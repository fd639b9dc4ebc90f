"""Normal frames in, references out: scored in batches, the same frame never kept twice."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.fit_input import check_input
from wordsight.runtime.nearest import Floats, unit
from wordsight.runtime.references import (
    MAX_BYTES,
    MAX_FRAMES,
    OUTPUTS,
    Origin,
    ReferenceFrame,
    References,
    ReferencesError,
    origin_of,
)

if TYPE_CHECKING:
    from wordsight.runtime.model import Model, Scores

_PENDING_BYTES = 256 * 2**20  # a batch of full frames of a large camera would be gigabytes
_SHORTEST = 1e-6  # of a vector with a direction


def frame_sha256(frame: NDArray[np.uint8]) -> str:
    """SHA-256 of a frame's content: its rows and columns as text, then its bytes.

    Of the decoded frame, not of its file: frames of a video have one too, and a picture saved again without loss is the
    same reference.

    Args:
        frame: (H, W, 3) uint8 BGR.
    """
    digest = hashlib.sha256(f"{frame.shape[0]},{frame.shape[1]};".encode())
    digest.update(np.ascontiguousarray(frame).data)
    return digest.hexdigest()


class ReferenceBuilder:
    """Gathers references of one model.

    Attributes:
        origin: the model's.
        added: references taken so far, those that wait for their batch included.
        duplicates: names of frames that were there already, or came twice.
    """

    def __init__(self, model: "Model", known: References | None = None, *, batch: int = 32) -> None:
        """Begin, with nothing or with references that are there already.

        Args:
            model: loaded.
            known: what to append to.
            batch: most frames in one pass of the engine.

        Raises:
            ReferencesError: `known` came from another model, or this one gives nothing that references keep.
        """
        self.origin: Origin = origin_of(model)
        if known is not None:
            known.origin.require_same(self.origin, known.label)
        if not set(OUTPUTS) & set(model.manifest.outputs):
            raise ReferencesError(f"{model.path} lacks {', '.join(OUTPUTS)}; export it with one of these outputs")
        self._model = model
        self._known = known
        self._batch = batch
        self._seen = {frame.sha256 for frame in known.frames} if known else set()
        self._pending: list[NDArray[np.uint8]] = []
        self._frames: list[ReferenceFrame] = []
        self._vectors: dict[str, list[Floats]] = {}
        self.duplicates: list[str] = []

    @property
    def added(self) -> int:
        """How many were taken."""
        return len(self._frames)

    def add(self, frame: NDArray[np.uint8], name: str, index: int = 0) -> bool:
        """Take one frame; return False when it is there already.

        Args:
            frame: (H, W, 3) uint8 BGR, of any size.
            name: of the picture or video, without its folder.
            index: number of the frame within it.

        Raises:
            FrameError: it is no such frame.
            ReferencesError: there is no room for one more, or the model gives vectors without a direction.
        """
        sha256 = frame_sha256(check_input(frame, self._model.manifest.input))
        if sha256 in self._seen:
            self.duplicates.append(name)
            return False
        self._seen.add(sha256)
        self._frames.append(ReferenceFrame(name=name, frame=index, sha256=sha256))
        self._pending.append(frame)
        if len(self._pending) >= self._batch or sum(item.nbytes for item in self._pending) > _PENDING_BYTES:
            self._flush()
        return True

    def finish(self, label: str = "the references") -> References:
        """Return what was there and what was added, in this order.

        Raises:
            ReferencesError: as `add`, or there is not one.
        """
        self._flush()
        vectors = {name: np.concatenate(parts) for name, parts in self._vectors.items()}
        if not self._frames and self._known is not None:
            return self._known
        new = References(self.origin, tuple(self._frames), vectors, label)
        return new if self._known is None else self._known.joined(new)

    def _flush(self) -> None:
        if not self._pending:
            return
        scores = self._model.score(self._pending)
        self._require_room(scores)
        names = self._frames[-len(self._pending) :]
        for output in OUTPUTS:
            found = getattr(scores, output, None)
            if found is not None:
                self._vectors.setdefault(output, []).append(_directions(found, output, names))
        self._pending.clear()

    def _require_room(self, scores: "Scores") -> None:
        arrays = [array for output in OUTPUTS if (array := getattr(scores, output, None)) is not None]
        each = sum(array[0].nbytes for array in arrays)
        most = min(MAX_FRAMES, MAX_BYTES // each)
        total = len(self._frames) + (len(self._known) if self._known else 0)
        if total > most:
            raise ReferencesError(
                f"expected at most {most} references of this model ({each:,} bytes each, {MAX_BYTES:,} in all), "
                f"got {total} or more; nothing was written: give fewer frames"
            )


def _directions(found: Floats, output: str, frames: Sequence[ReferenceFrame]) -> Floats:
    for vectors, frame in zip(found, frames, strict=True):
        if not np.all(np.isfinite(vectors)) or not np.all(np.linalg.norm(vectors, axis=-1) > _SHORTEST):
            raise ReferencesError(f"{frame.name}: the model's {output} is zero or not finite; it is no reference")
    return unit(found)
