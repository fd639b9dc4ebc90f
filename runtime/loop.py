"""Frames in, results out: in order, in batches, with bounded memory."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wordsight.runtime.errors import NoAnswer, SettingError
from wordsight.runtime.fit_input import admitted, fit_input
from wordsight.runtime.fits import seen_place
from wordsight.runtime.heat import Heat, region_level
from wordsight.runtime.sinks.result import Result, Sink, judge
from wordsight.runtime.sources.frame import Failure, Frame, Idle, Image, Source

if TYPE_CHECKING:
    from wordsight.runtime.gate import Gate
    from wordsight.runtime.model import Model

# Full frames wait with their batch for the sinks that draw on them: 32 of a large camera would be gigabytes.
_PENDING_BYTES = 256 * 2**20


@dataclass
class Tally:
    """What was done so far; right at any moment, so that an interrupted run can tell.

    Attributes:
        scored: frames.
        failures: inputs or parts of them.
        skipped: files passed over.
        seen: share of the frame that reached the encoder, by (height, width).
        seconds: reading included, loading the model not.
    """

    scored: int = 0
    failures: int = 0
    skipped: int = 0
    seen: dict[tuple[int, int], float] = field(default_factory=dict)
    seconds: float = 0.0


def check_threshold(threshold: float | None, top: float) -> None:
    """Refuse a threshold that no score can reach or that every score does.

    Raises:
        SettingError: outside 0 to `top`, or not a number.
    """
    if threshold is not None and not 0 <= threshold <= top:
        raise SettingError(f"--threshold: expected 0 to {top:g}, the range of this model's score, got {threshold:g}")


def score_sources(
    model: "Model",
    sources: Iterable[Source],
    sinks: Sequence[Sink],
    *,
    tally: Tally,
    batch: int = 32,
    threshold: float | None = None,
    unsure: float | None = None,
    gate: "Gate | None" = None,
    level: float | None = None,
    on_failure: Callable[[Failure], None] = lambda failure: None,
    on_size: Callable[[int, int, float], None] = lambda height, width, share: None,
    on_item: Callable[[], None] = lambda: None,
) -> None:
    """Score every frame of every source and hand each result to every sink, in order.

    Args:
        model: the loaded model.
        sources: what to score.
        sinks: where results go; closing them is the caller's.
        tally: counts, kept up to date.
        batch: most frames to a batch; live sources are scored frame by frame.
        threshold: score from which a frame is a defect.
        unsure: score from which it is not good; None for the threshold.
        gate: what is beyond its limits is unsure, whatever the score; looked at where there is a threshold.
        level: value of the heat map from which a pixel belongs to a region, see `heat.region_level`.
        on_failure: called with each failure, in its place.
        on_size: called with height, width and share seen when frames of a new size appear.
        on_item: called after each frame or failure.
    """
    spec, weights = model.manifest.input, model.manifest.score
    hottest = weights.w_pr + weights.w_fnn
    level = region_level(level, hottest)
    began = time.monotonic()
    pending: list[Frame] = []
    fitted: list[Image] = []

    def flush() -> None:
        if not pending:
            return
        try:
            scores = model.score(fitted)
        except NoAnswer as error:  # of a server: these frames end without a score, those after them are asked anew
            for frame in pending:
                tally.failures += 1
                on_failure(Failure(frame.source, str(error), type(error).__name__, frame.index))
                frame.done()
                on_item()
            pending.clear()
            fitted.clear()
            return
        for at, frame in enumerate(pending):
            value = float(scores.score[at])
            s_img = None if scores.s_img is None else float(scores.s_img[at])
            decision, reason = judge(value, frame.image, threshold, unsure, gate)
            heat = None
            if scores.heatmap is not None:
                shape = frame.image.shape[0], frame.image.shape[1]
                place = seen_place(*shape, spec.size, spec.fit, spec.camera)
                heat = Heat(scores.heatmap[at], place, shape, hottest, level)
            parts = float(scores.s_pr[at]), float(scores.s_fnn[at])
            result = Result(frame, value, *parts, decision, s_img, heat, reason=reason)
            for sink in sinks:
                sink.write(result)
            frame.done()
            tally.scored += 1
            on_item()
        pending.clear()
        fitted.clear()

    try:
        for source in sources:
            for given in source:
                item = admitted(given, spec)
                if isinstance(item, Failure):
                    flush()  # what came before it is told before it
                    tally.failures += 1
                    on_failure(item)
                    on_item()
                    continue
                if isinstance(item, Idle):
                    flush()
                    continue
                height, width = item.image.shape[:2]
                if (height, width) not in tally.seen:
                    tally.seen[height, width] = model.seen_share(height, width)
                    on_size(height, width, tally.seen[height, width])
                pending.append(item)
                fitted.append(fit_input(item.image, spec))
                limit = 1 if source.live else min(batch, model.most)  # one request to a server: all end alike
                if len(pending) >= limit or sum(frame.image.nbytes for frame in pending) > _PENDING_BYTES:
                    flush()
            tally.skipped += source.skipped
        flush()
    finally:
        tally.seconds = time.monotonic() - began
