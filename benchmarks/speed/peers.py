"""`wordsight bench peers`: an exported file beside what people would run instead, in turns, on the same weights."""

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wordsight.benchmarks import timing
from wordsight.benchmarks.speed import contestants, quality, subjects
from wordsight.benchmarks.speed.limits import BATCHES, PRECISIONS, REST_S, limits
from wordsight.benchmarks.speed.subjects import Subject
from wordsight.runtime.errors import MissingPart, WordsightError
from wordsight.runtime.figures import Figure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordsight.benchmarks.datasets import Dataset
    from wordsight.train.encoders import Encoder

ENCODER = "ViT-B-16-plus-240"
"""The paper's, and the only one that anomalib's WinCLIP takes."""
PARTS = ("speed", "limit", "quality", "text", "anomalib")
FILES = ("fp32", "int8")
TARGETS = {
    "ratio.fp32_vs_torch": (2.2, "at least"),
    "ratio.bf16_vs_torch": (4.0, "at least"),
    "ratio.int8_vs_torch": (6.5, "at least"),
    "ratio.vs_anomalib_winclip": (8.0, "at least"),
    "ratio.text_embedding": (2.0, "at least"),
    "ratio.text_embedding_bf16": (6.0, "at least"),
    "cosine.text_embedding_bf16.min": (0.9995, "at least"),
    "fraction.of_arithmetic_limit.fp32": (0.6, "at least"),
    "fraction.of_arithmetic_limit.bf16": (0.6, "at least"),
    "fraction.of_arithmetic_limit.int8": (0.6, "at least"),
    "changes.decisions.fp32": (0.0, "at most"),
    "cosine.bf16.min": (0.9999, "at least"),
    "drift.int8.mean": (0.01, "at most"),
    "rank_correlation.int8": (0.995, "at least"),
    "auroc_change.int8": (0.3, "at most"),
}
"""What is to be reached; of `auroc_change` its absolute value, in points."""


def best(seconds: Mapping[str, Sequence[float]], names: Collection[str]) -> str:
    """The name whose median is least."""
    return min(names, key=lambda name: float(np.median(seconds[name])))


def ratios(seconds: Mapping[str, Sequence[float]]) -> list[Figure]:
    """Torch's seconds over those of every other, round by round; of a precision, its best engine's.

    Args:
        seconds: of every round, by "torch", "compile", "ort_unfused", and "fp32.ort-cpu" and its like.
    """
    found = []
    for precision in PRECISIONS:
        names = [name for name in seconds if name.startswith(f"{precision}.")]
        if not names:
            reason = f"no engine here runs {precision}"
            found.append(Figure(f"ratio.{precision}_vs_torch", None, reason=reason))
            continue
        first = best(seconds, names)
        found.append(timing.ratio(f"ratio.{precision}_vs_torch", seconds["torch"], seconds[first]))
        found += [
            timing.ratio(f"ratio.{precision}_vs_torch.{name.partition('.')[2]}", seconds["torch"], seconds[name])
            for name in names
        ]
    for name in ("compile", "ort_unfused"):
        if name in seconds:
            found.append(timing.ratio(f"ratio.{name}_vs_torch", seconds["torch"], seconds[name]))
    return found + [timing.median(f"seconds.{name}", values) for name, values in seconds.items()]


def measure(
    python: Path,
    threads: int,
    rounds: int,
    parts: Collection[str],
    pictures: int,
    on_step: Callable[[str], None],
    files: Path | None = None,
    sets: "Sequence[Dataset]" = (),
) -> list[Figure]:
    """All that was asked for, on random weights of `ENCODER`; what an exported file does to scores on `mini`, too.

    Args:
        python: of anomalib's environment.
        threads: of every engine; the process stays on so many cores.
        rounds: of the clock.
        parts: of `PARTS`.
        pictures: that `mini` is judged on, generated, of nouns never trained on.
        on_step: called with a line for people before what takes long.
        files: folder that keeps weights, heads and exported files; what lies there is taken. None for a passing one.
        sets: labelled pictures that `mini` is judged on as well.
    """
    import torch

    from wordsight.train.encoders import load_encoder

    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="wordsight-peers-") as scratch, subjects.pinned(threads) as cores:
        folder = files or Path(scratch)
        torch.set_num_threads(len(cores) or threads)
        encoder = load_encoder(subjects.random_weights(ENCODER, folder))
        if set(parts) - {"text"}:
            figures += _of_files(
                encoder, folder, Path(scratch), python, threads, rounds, parts, pictures, on_step, sets
            )
        if "text" in parts:
            from wordsight.benchmarks import text

            on_step("embedding 1,024 prompts, by a plain loop and in buckets")
            figures += text.measure(encoder, repeats=1)
    return figures


def _of_files(
    encoder: "Encoder",
    folder: Path,
    scratch: Path,
    python: Path,
    threads: int,
    rounds: int,
    parts: Collection[str],
    pictures: int,
    on_step: Callable[[str], None],
    sets: "Sequence[Dataset]",
) -> list[Figure]:
    """The parts that exported files take part in."""
    figures: list[Figure] = []
    files = dict(zip(FILES, subjects.made(encoder.spec, FILES, folder, on_step), strict=True))
    backends, paths = subjects.ON_PROCESSOR, list(files.values())
    with subjects.opened(paths, backends, max(BATCHES), threads, on_step) as (found, refused):
        ours = {f"{subject.arithmetic}.{subject.backend}": subject for subject in found}
        frames = _drawn(64, encoder.image_size)
        plain = _plain(encoder, folder, frames)
        if "speed" in parts:
            on_step("compiling with torch, exporting plainly")
            calls: dict[str, Callable[[], object]] = {"torch": plain.eager()}
            for name, make in (("compile", plain.compiled), ("ort_unfused", partial(plain.unfused, threads))):
                try:
                    calls[name] = make()
                except WordsightError as error:
                    figures.append(Figure(f"ratio.{name}_vs_torch", None, reason=str(error)))
            calls |= {label: partial(subject.engine.infer, frames[:1]) for label, subject in ours.items()}
            seconds = timing.interleaved(calls, rounds, warm_up=3, settle_s=REST_S)
            figures = ratios(seconds) + figures
            figures += [Figure(f"seconds.{label}", None, reason=why) for label, why in refused.items()]
            figures.append(_changes_from_torch(plain, ours, frames))
        if "limit" in parts:
            figures += limits(ours, frames, threads)
        if "anomalib" in parts:
            figures += _beside_anomalib(python, folder, scratch, threads, plain, ours, frames)
        if "quality" in parts:
            figures += quality.measure(files, ours, frames, folder, pictures, threads, on_step, sets)
    return figures


def _drawn(count: int, size: int) -> "NDArray[np.uint8]":
    from wordsight.runtime.preprocess import fit_frame
    from wordsight.train.mini import held_out

    return np.stack([fit_frame(picture.image, size) for picture in held_out(count)])


def _plain(encoder: "Encoder", folder: Path, frames: "NDArray[np.uint8]") -> contestants.Torch:
    from wordsight.export.loading import embed_guiding
    from wordsight.train.checkpoint import load_heads

    saved = load_heads(folder / subjects.HEAD)
    guiding = embed_guiding(encoder, [saved.settings.pair])[0]
    return contestants.Torch(encoder, saved.heads[0], guiding, frames)


def _changes_from_torch(plain: contestants.Torch, ours: Mapping[str, Subject], frames: "NDArray[np.uint8]") -> Figure:
    """Decisions of the fp32 file, on any of its engines, that are not torch's: the largest number."""
    import torch

    with torch.inference_mode():
        exact = np.concatenate([plain.score(part).numpy() for part in torch.split(plain.pictures, 8)])
    changed = [
        quality.changes(exact, np.concatenate([subject.engine.infer(part)["score"] for part in np.split(frames, 8)]))
        for label, subject in ours.items()
        if label.startswith("fp32.")
    ]
    return Figure("changes.decisions.fp32", max(changed), n=len(frames))


def _beside_anomalib(
    python: Path,
    folder: Path,
    scratch: Path,
    threads: int,
    plain: contestants.Torch,
    ours: Mapping[str, Subject],
    frames: "NDArray[np.uint8]",
) -> list[Figure]:
    name = "ratio.vs_anomalib_winclip"
    (scratch / "weights.safetensors").symlink_to((folder / f"{ENCODER}-random.safetensors").absolute())
    try:
        peer, score = contestants.anomalib(python, scratch, threads, plain.pictures[:1].numpy())
    except MissingPart as error:
        return [Figure(name, None, reason=str(error))]
    theirs: list[float] = []
    try:
        calls: dict[str, Callable[[], Any]] = {"anomalib": lambda: theirs.append(score())}
        calls |= {label: partial(subject.engine.infer, frames[:1]) for label, subject in ours.items()}
        seconds = timing.interleaved(calls, 3, settle_s=REST_S)
    finally:
        peer.close()
    peers = theirs[1:]  # by its own clock; the first round warms up
    found = {label: timing.ratio(f"{name}.{label}", peers, seconds[label]) for label in ours}
    first = best(seconds, ours)
    return [replace(found[first], name=name), *found.values(), timing.median("seconds.anomalib_winclip", peers)]
