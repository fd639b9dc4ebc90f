"""`wordsight bench peers`: an exported file beside what people would run instead, in turns, on the same weights."""

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wordsight.benchmarks import ceiling, timing
from wordsight.benchmarks.speed import contestants, quality, subjects
from wordsight.benchmarks.speed.subjects import Subject
from wordsight.runtime.errors import MissingPart, WordsightError
from wordsight.runtime.figures import Figure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordsight.train.encoders import Encoder

ENCODER = "ViT-B-16-plus-240"
"""The paper's, and the only one that anomalib's WinCLIP takes."""
PARTS = ("speed", "limit", "quality", "text", "anomalib")
PRECISIONS = ("fp32", "bf16", "int8")
"""What is computed in. bf16 is OpenVINO's on the fp32 file: ONNX Runtime has none on processors."""
FILES = ("fp32", "int8")
BATCHES = (1, 2, 4, 8, 16)
_REST_S = 0.2
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
    python: Path, threads: int, rounds: int, parts: Collection[str], pictures: int, on_step: Callable[[str], None]
) -> list[Figure]:
    """All that was asked for, on random weights of `ENCODER`; what an exported file does to scores on `mini`, too.

    Args:
        python: of anomalib's environment.
        threads: of every engine; the process stays on so many cores.
        rounds: of the clock.
        parts: of `PARTS`.
        pictures: that `mini` is judged on, generated, of nouns never trained on.
        on_step: called with a line for people before what takes long.
    """
    import torch

    from wordsight.benchmarks.fold import random_checkpoint
    from wordsight.train.encoders import load_encoder

    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="wordsight-peers-") as scratch, subjects.pinned(threads) as cores:
        folder = Path(scratch)
        torch.set_num_threads(len(cores) or threads)
        encoder = load_encoder(random_checkpoint(ENCODER, folder))
        if set(parts) - {"text"}:
            figures += _of_files(encoder, folder, python, threads, rounds, parts, pictures, on_step)
        if "text" in parts:
            from wordsight.benchmarks import text

            on_step("embedding 1,024 prompts, by a plain loop and in buckets")
            figures += text.measure(encoder, repeats=1)
    return figures


def _of_files(
    encoder: "Encoder",
    folder: Path,
    python: Path,
    threads: int,
    rounds: int,
    parts: Collection[str],
    pictures: int,
    on_step: Callable[[str], None],
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
            seconds = timing.interleaved(calls, rounds, warm_up=3, settle_s=_REST_S)
            figures = ratios(seconds) + figures
            figures += [Figure(f"seconds.{label}", None, reason=why) for label, why in refused.items()]
            figures.append(_changes_from_torch(plain, ours, frames))
        if "limit" in parts:
            figures += _limits(ours, frames, threads)
        if "anomalib" in parts:
            figures += _beside_anomalib(python, folder, threads, plain, ours, frames)
        if "quality" in parts:
            figures += _quality(files, ours, frames, folder, pictures, threads, on_step)
    return figures


def _drawn(count: int, size: int) -> "NDArray[np.uint8]":
    from wordsight.runtime.preprocess import fit_frame
    from wordsight.train.mini import held_out

    return np.stack([fit_frame(picture.image, size) for picture in held_out(count)])


def _plain(encoder: "Encoder", folder: Path, frames: "NDArray[np.uint8]") -> contestants.Torch:
    from wordsight.export.loading import embed_guiding
    from wordsight.train.checkpoint import load_heads

    saved = load_heads(folder / "speed.safetensors")
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


def _limits(ours: Mapping[str, Subject], frames: "NDArray[np.uint8]", threads: int) -> list[Figure]:
    """Frames a second at the best batch of the best engine, as a share of the ceiling measured right after."""
    calls = {
        f"{label} {batch}": partial(subject.engine.infer, frames[:batch])
        for label, subject in ours.items()
        for batch in BATCHES
    }
    seconds = timing.interleaved(calls, 3, settle_s=_REST_S)
    figures = []
    for precision in PRECISIONS:
        rates = {
            key: int(key.split()[1]) / float(np.median(values))
            for key, values in seconds.items()
            if key.startswith(f"{precision}.")
        }
        name = f"fraction.of_arithmetic_limit.{precision}"
        try:
            limit = ceiling.measure(precision, threads, 3)
        except MissingPart as error:
            figures.append(Figure(name, None, reason=str(error)))
            continue
        key = max(rates, key=lambda key: rates[key])
        label, batch = key.split()
        flops = ours[label].manifest.cost.flops
        figures += [
            Figure(name, limit.fraction(flops, rates[key]), n=3),
            Figure(f"frames_per_s.{label}", rates[key], "frames/s", n=3),
            Figure(f"batch.{label}", int(batch)),
            limit.figure(precision),
        ]
    return figures


def _beside_anomalib(
    python: Path,
    folder: Path,
    threads: int,
    plain: contestants.Torch,
    ours: Mapping[str, Subject],
    frames: "NDArray[np.uint8]",
) -> list[Figure]:
    name = "ratio.vs_anomalib_winclip"
    (folder / "weights.safetensors").symlink_to(f"{ENCODER}-random.safetensors")
    try:
        peer, score = contestants.anomalib(python, folder, threads, plain.pictures[:1].numpy())
    except MissingPart as error:
        return [Figure(name, None, reason=str(error))]
    theirs: list[float] = []
    try:
        calls: dict[str, Callable[[], Any]] = {"anomalib": lambda: theirs.append(score())}
        calls |= {label: partial(subject.engine.infer, frames[:1]) for label, subject in ours.items()}
        seconds = timing.interleaved(calls, 3, settle_s=_REST_S)
    finally:
        peer.close()
    peers = theirs[1:]  # by its own clock; the first round warms up
    found = {label: timing.ratio(f"{name}.{label}", peers, seconds[label]) for label in ours}
    first = best(seconds, ours)
    return [replace(found[first], name=name), *found.values(), timing.median("seconds.anomalib_winclip", peers)]


def _quality(
    files: Mapping[str, Path],
    ours: Mapping[str, Subject],
    frames: "NDArray[np.uint8]",
    folder: Path,
    pictures: int,
    threads: int,
    on_step: Callable[[str], None],
) -> list[Figure]:
    """Drift on the random encoder and on a trained head of `mini`; the figures of a precision are the worst of both."""
    runs = [(subject.manifest.precision, subject.backend) for subject in ours.values()]
    names = [subject.arithmetic or "" for subject in ours.values()]
    on_step("training and exporting a head of mini in fp32 and int8")
    mini, judged, truth = _mini(folder, pictures)
    figures: list[Figure] = []
    for where, of, shown, known in (("mini", mini, judged, truth), ("vit", files, frames, None)):
        found = quality.drifts(of, runs, shown, known, threads)
        for name, ((_, backend), drift, changed) in zip(names, found, strict=True):
            figures += quality.figures(name, f"{where}.{backend}", drift, changed)
    for precision in ("bf16", "int8"):
        for kind in ("drift.{}.mean", "cosine.{}.min", "rank_correlation.{}", "auroc_change.{}"):
            figures += _worst(kind.format(precision), figures)
    return figures


def _worst(name: str, figures: Sequence[Figure]) -> list[Figure]:
    """The worst of all that were measured under a name: the least cosine or correlation, the largest of the others."""
    values = [figure for figure in figures if figure.name.startswith(f"{name}.") and figure.value is not None]
    sign = -1 if name.startswith(("cosine", "rank")) else 1
    return [replace(max(values, key=lambda f: sign * abs(f.value or 0.0)), name=name)] if values else []


def _mini(folder: Path, pictures: int) -> tuple[dict[str, Path], "NDArray[np.uint8]", "NDArray[np.bool_]"]:
    from wordsight.export.onnx import export_model
    from wordsight.train.checkpoint import save_heads
    from wordsight.train.encoders import load_encoder
    from wordsight.train.fit import Settings, train_heads
    from wordsight.train.mini import held_out

    encoder, settings = load_encoder("mini"), Settings()
    head = folder / "mini.safetensors"
    save_heads(head, train_heads(encoder, settings, (0,), progress=False), settings, (0,), encoder)
    files = {}
    for precision in FILES:
        files[precision] = folder / f"mini-{precision}.onnx"
        export_model(head, files[precision], encoder_spec="mini", precision=precision)
    drawn = list(held_out(pictures))
    return files, np.stack([p.image for p in drawn]), np.array([p.label == 1 for p in drawn])
