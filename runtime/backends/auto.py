"""`auto`: the fastest engine of this machine that gives the same scores, found by running frames through each."""

import importlib.util
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.backends.base import Backend, Frames, brief
from wordsight.runtime.errors import ModelError, WordsightError
from wordsight.runtime.manifest import Manifest

REFERENCE = "ort-cpu"
"""What the others must agree with: the backend that the export itself was compared on."""
QUICK_S = 0.005
"""A frame that takes less than this on the processor leaves nothing worth looking for: differences are noise."""
MARGIN = 0.9
"""Another engine must take at most this share of the time, or the choice would change from start to start."""
AGREE = 1e-4
"""Largest difference of any score that is called the same, unless twice the file's own tolerance is wider, or, of a
reduced precision, its largest drift from fp32."""

ModelPath = str | os.PathLike[str]
Candidates = Callable[[ModelPath, Manifest], Iterable[tuple[str, str]]]


@dataclass
class Trial:
    """A backend that ran the trial frames.

    Attributes:
        frame_s: seconds of a frame, batch 1, after the warm-up; the least of a few, for others use the machine, too.
        scores: (frames, 3) of score, s_pr and s_fnn.
    """

    name: str
    backend: Backend
    frame_s: float
    scores: NDArray[np.float32]


def choose(
    path: ModelPath,
    manifest: Manifest,
    open_one: Callable[[str], Backend],
    *,
    others: Candidates | None = None,
    quick_s: float = QUICK_S,
    clock: Callable[[], float] = time.perf_counter,
) -> Backend:
    """Open the fastest backend whose scores are those of the reference; its `reason` tells what was tried.

    Args:
        path: the exported file.
        manifest: what it says about itself.
        open_one: opens a backend by name and warms it up.
        others: what to try beside the reference; None for `candidates`.
        quick_s: a reference at least this quick is taken without a search.
        clock: seconds, monotonic.

    Raises:
        MissingPart, ModelError: nothing here runs the file; what the reference said.
    """
    frames = trial_frames(manifest)
    # Each side may be the tolerance away from torch; of a reduced precision, which engines round each in its own way,
    # no engine may be further from another than the file is from fp32.
    agree = max(AGREE, manifest.drift.max if manifest.drift.frames else 2 * manifest.parity.tolerance)
    best: Trial | None = None
    reference: Trial | None = None
    notes, failed, unbuilt, errors = [], [], [], []
    for name, unready in chain([(REFERENCE, "")], (others or candidates)(path, manifest)):
        if reference is not None and reference.frame_s <= quick_s:
            notes.append(f"others not tried, under {quick_s * 1000:.0f} ms there is nothing to gain")
            break
        if unready:
            unbuilt.append(name)
            notes.append(f"{name} {unready}")
            continue
        try:
            trial = run_trial(name, open_one(name), frames, clock)
        except WordsightError as error:
            errors.append(error)
            notes.append(f"{name} does not run: {brief(error)}")
            if name != REFERENCE:
                failed.append(notes[-1])  # it was there and ready: whoever counts on it should hear of it
            continue
        against = _against(trial, best, reference, agree)
        notes.append(f"{name} {trial.frame_s * 1000:.1f} ms a frame{against}")
        if against:
            trial.backend.close()
        else:
            if best is not None:
                best.backend.close()
            best = trial
        if name == REFERENCE:
            reference = trial
    if best is not None:
        best.backend.reason = "auto: " + "; ".join(notes)
        best.backend.fallback = "; ".join(failed)
        return best.backend
    # Nothing else runs the file here, as on a board with TensorRT alone: then it is built now, once.
    for name in unbuilt:
        try:
            backend = open_one(name)
        except WordsightError as error:
            errors.append(error)
            continue
        backend.reason = f"auto: {name}, the only one here that runs this file; " + "; ".join(notes)
        return backend
    raise errors[0]


def candidates(path: ModelPath, manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Backends that this machine might run beside the reference, each with "" or why it is not ready.

    Only those that compute in the file's own precision: bf16 arithmetic on an fp32 file changes scores, and with them
    what a threshold means, so it has to be asked for. TensorRT where an engine lies ready: building one takes minutes,
    and a line's start should not.
    """
    for name, module in (("tensorrt", "tensorrt"), ("tensorrt-rtx", "tensorrt_rtx")):
        if importlib.util.find_spec(module) is not None:
            from wordsight.runtime.backends.tensorrt_cache import unready

            yield name, unready(name, path, manifest)
    if importlib.util.find_spec("onnxruntime") is not None:
        from wordsight.runtime.backends.ort import listed

        if "CUDAExecutionProvider" in listed():
            yield "ort-cuda", ""
    if importlib.util.find_spec("openvino") is not None:
        yield "openvino", ""


def trial_frames(manifest: Manifest) -> Frames:
    """Three uint8 BGR frames (3, H, W, 3) of smooth noise, always the same: neither flat nor all grain."""
    rows, columns = manifest.input.shape
    coarse = np.random.default_rng(0).integers(0, 256, (3, -(-rows // 8), -(-columns // 8), 3), dtype=np.uint8)
    return np.ascontiguousarray(coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :rows, :columns])


def run_trial(name: str, backend: Backend, frames: Frames, clock: Callable[[], float] = time.perf_counter) -> Trial:
    """Run frames one by one through a backend that was warmed up.

    Raises:
        ModelError: it fails, or a score is not finite; it is closed then.
    """
    seconds, scores = [], []
    try:
        for index in range(len(frames)):
            began = clock()
            found = backend.infer(frames[index : index + 1])
            seconds.append(clock() - began)
            scores.append([found[key][0] for key in ("score", "s_pr", "s_fnn")])
        if not np.isfinite(scores).all():
            raise ModelError(f"{backend.name} gives scores that are no finite numbers")
    except BaseException:
        backend.close()
        raise
    return Trial(name, backend, min(seconds), np.array(scores, np.float32))


def _against(trial: Trial, best: Trial | None, reference: Trial | None, agree: float) -> str:
    """What speaks against taking a backend; empty when it is better than the best so far."""
    if reference is not None:
        apart = float(np.abs(trial.scores - reference.scores).max())
        if apart > agree:
            return f", but its scores differ by {apart:.1g}, allowed is {agree:.0e}"
    if best is not None and trial.frame_s > MARGIN * best.frame_s:
        return ", not a tenth faster"
    return ""
