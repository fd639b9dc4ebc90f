"""Whether files and engines give the same answer: the same frames through each, held against one reference."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.backends import ENGINES, open_backend
from wordsight.runtime.backends.base import Arrays, Backend, Frames, brief
from wordsight.runtime.errors import MissingPart, ModelError, WordsightError
from wordsight.runtime.manifest import Manifest
from wordsight.runtime.same_model import Files
from wordsight.runtime.verified import Run, Verification

BATCH = 8


def verify(
    files: Files,
    frames: Frames,
    *,
    backends: Sequence[str] = ENGINES,
    expected: Arrays | None = None,
    expected_name: str = "torch",
    threshold: float | None = None,
    tolerances: Mapping[str, float] | None = None,
    threads: int | None = None,
    open_one: Callable[..., Backend] = open_backend,
    on_step: Callable[[str], None] = lambda _: None,
    on_begin: Callable[[str, int], None] = lambda what, frames: None,
    on_frames: Callable[[int], None] = lambda count: None,
) -> Verification:
    """Run frames through every file on every backend, and hold each output against the reference's.

    The reference is `expected` where it is given, else the first fp32 file on ONNX Runtime's processor, else the first
    file there, else the first that runs at all, fp32 before others. Allowed is what a file's own manifest allows;
    where a backend computes in another precision than the file's, the larger of that and `tolerances` of the other.

    Args:
        files: path and manifest of each; see `same_model.check_same_model`.
        frames: (N, H, W, 3) uint8 BGR, as the graph takes them, N at least 1.
        backends: names of `ENGINES`.
        expected: every output of the manifest for these frames, as another implementation gives them in fp32.
        expected_name: what gave it, for people.
        threshold: score from which a frame is a defect; None for the middle of the reference's scores.
        tolerances: largest difference allowed, by precision, of those that no file here is of.
        threads: of an engine on the processor; None for its own choice.
        open_one: opens a backend; called as `open_backend` is.
        on_step: called with a line for people before what takes long.
        on_begin: called with a name and the count of frames before each run.
        on_frames: called with how many more frames were run.

    Raises:
        MissingPart: nothing here runs any of the files, or there is nothing to compare.
        ModelError: every engine that is here refuses every file.
    """
    allowed = {**(tolerances or {}), **{manifest.precision: manifest.parity.tolerance for _, manifest in files}}
    wanted, name, precision = expected, expected_name, "fp32"
    cut, why = _threshold(threshold, expected["score"], expected_name) if expected else (None, "")
    found: dict[tuple[Path, str], Run] = {}
    # The best reference first: it is the only one whose outputs are kept.
    pairs = [(path, manifest, backend) for path, manifest in files for backend in backends]
    for path, manifest, backend in sorted(pairs, key=lambda pair: _rank(pair[1].precision, pair[2])):
        run = Run(path, manifest.precision, backend)
        try:
            engine = open_one(backend, path, manifest, batch=BATCH, threads=threads, on_step=on_step)
        except WordsightError as error:
            install = error.install if isinstance(error, MissingPart) else ""
            found[path, backend] = replace(run, reason=brief(error), install=install)
            continue
        with engine:
            run = replace(run, engine=engine.name)
            parts = _parts(len(frames), manifest.input.most_frames(BATCH), twice=wanted is not None)
            on_begin(f"{path.name} on {backend}", sum(part.stop - part.start for part in parts))
            try:
                if wanted is None:
                    wanted = _all(engine, frames, parts, on_frames)
                    name, precision = f"{path.name} on {engine.name}", computes_in(manifest.precision, backend)
                    cut, why = _threshold(threshold, wanted["score"], name)
                    run = replace(run, state="reference")
                else:
                    run = _held(
                        run, engine, frames, parts, wanted, cut, _allowed(manifest, backend, allowed), on_frames
                    )
            except ModelError as error:
                run = replace(run, state="differs", reason=f"failed: {brief(error)}")
        found[path, backend] = run
    runs = [found[path, backend] for path, _ in files for backend in backends]
    _refuse_nothing(runs, expected is not None)
    return Verification(len(frames), name, precision, cut, why, runs)


def computes_in(precision: str, backend: str) -> str:
    """Precision in which a backend computes what a file of some precision leaves in fp32."""
    return "bf16" if backend == "openvino-bf16" and precision == "fp32" else precision


def _rank(precision: str, backend: str) -> tuple[bool, bool]:
    return backend != "ort-cpu", computes_in(precision, backend) != "fp32"


def _allowed(manifest: Manifest, backend: str, allowed: Mapping[str, float]) -> float | None:
    own = manifest.parity.tolerance
    if backend != "openvino-bf16":
        return own
    return max(own, allowed["bf16"]) if "bf16" in allowed else None


def _parts(count: int, most: int, twice: bool) -> list[slice]:
    """Batches of all frames, and, to be compared, some one by one: another batch size takes other kernels."""
    batches = [slice(at, min(at + most, count)) for at in range(0, count, most)]
    return batches + [slice(at, at + 1) for at in range(1, min(count, BATCH), 2)] * twice


def _all(engine: Backend, frames: Frames, parts: list[slice], on_frames: Callable[[int], None]) -> Arrays:
    found = [outputs for _, outputs in _run(engine, frames, parts, on_frames)]
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def _run(
    engine: Backend, frames: Frames, parts: list[slice], on_frames: Callable[[int], None]
) -> Iterator[tuple[slice, Arrays]]:
    for part in parts:
        yield part, engine.infer(frames[part])
        on_frames(part.stop - part.start)


def _held(
    run: Run,
    engine: Backend,
    frames: Frames,
    parts: list[slice],
    wanted: Arrays,
    cut: float | None,
    tolerance: float | None,
    on_frames: Callable[[int], None],
) -> Run:
    """The run with its differences, changed decisions and verdict."""
    largest, sums = dict.fromkeys(wanted, 0.0), dict.fromkeys(wanted, 0.0)
    counts = dict.fromkeys(wanted, 0)
    changed = np.zeros(len(frames), bool)
    for part, found in _run(engine, frames, parts, on_frames):
        for name, values in wanted.items():
            if found[name].shape != values[part].shape:
                raise ModelError(f"output {name} should be {values[part].shape}, got {found[name].shape}")
            apart = np.abs(found[name].astype(np.float64) - values[part])
            largest[name] = float(np.maximum(largest[name], apart.max()))  # NaN stays NaN
            sums[name] += float(apart.sum())
            counts[name] += apart.size
        if cut is not None:
            changed[part] |= (found["score"] >= cut) != (wanted["score"][part] >= cut)
    good = tolerance is not None and all(value <= tolerance for value in largest.values())
    return replace(
        run,
        state="not judged" if tolerance is None else "agrees" if good else "differs",
        reason="no file of bf16 is given, and no tolerance for it is known" if tolerance is None else "",
        tolerance=tolerance,
        max=largest,
        mean={name: sums[name] / counts[name] for name in wanted},
        changes=None if cut is None else int(changed.sum()),
    )


def _threshold(threshold: float | None, scores: NDArray[np.float32], name: str) -> tuple[float | None, str]:
    """Where decisions are compared, as asked for or at the median, and where that comes from."""
    if threshold is not None:
        return threshold, "as asked for"
    middle = median_threshold(scores)
    if middle is None:
        return None, "all scores are the same, so that no median parts them; give --threshold"
    return middle, f"the median score of {name}"


def median_threshold(scores: NDArray[np.float32]) -> float | None:
    """The middle of scores (N,), halfway between two of them; None where all are the same.

    For an even count without ties that is the median. For an odd one the median is a score itself, and the last bit of
    that frame would decide; so the gap nearest to the middle is taken.
    """
    ordered = np.sort(scores.astype(np.float64))
    gaps = np.flatnonzero(np.diff(ordered) > 0) + 1
    if not len(gaps):
        return None
    at = int(gaps[np.abs(gaps - len(ordered) / 2).argmin()])
    return float(ordered[at - 1] + ordered[at]) / 2


def _refuse_nothing(runs: list[Run], independent: bool) -> None:
    ran = [run for run in runs if run.state != "not run"]
    lacking = [run for run in runs if run.install]
    refusing = [run for run in runs if run.state == "not run" and not run.install]
    if not ran and refusing:
        raise ModelError(f"no engine here runs {refusing[0].path.name}: {refusing[0].backend}: {refusing[0].reason}")
    if not ran:
        raise MissingPart(f"no engine runs here: {lacking[0].backend}: {lacking[0].reason}", lacking[0].install)
    if len(ran) == 1 and not independent:
        raise MissingPart(
            f"only {ran[0].backend} runs {ran[0].path.name} here, and there is nothing to hold it against",
            "give the head (--head HEAD), or pip install 'wordsight[openvino]'",
        )
