"""What is timed: files, each on every backend that runs it here, on cores of their own."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.backends import BACKENDS, ENGINES, Backend, open_backend
from wordsight.runtime.errors import MissingPart, ModelError, SettingError
from wordsight.runtime.manifest import Manifest, read_manifest

if TYPE_CHECKING:
    from wordsight.train.encoders import Encoder
    from wordsight.train.fit import Settings
    from wordsight.train.head import Head

ON_PROCESSOR = ("ort-cpu", "openvino", "openvino-bf16")
"""Backends whose work the processor's ceiling bounds."""
HEAD = "speed.safetensors"
"""The head of the files that `made` exports, in their folder."""
RANDOM = ":random"
"""Behind an architecture's name: weights drawn at random, which change no time."""
ENCODERS = (f"ViT-B-16-plus-240{RANDOM}", "mini")
"""What commands about a line or a server export without a MODEL: the encoder of the paper, and a cheap one."""


@dataclass(frozen=True)
class Subject:
    """One file on one backend, open.

    Attributes:
        label: file and backend, such as "mini-fp32.ort-cpu"; the last part of its figures' names.
        path: the file.
        manifest: what it says about itself.
        backend: the backend's name.
        engine: ready to infer.
    """

    label: str
    path: Path
    manifest: Manifest
    backend: str
    engine: Backend

    @property
    def arithmetic(self) -> str | None:
        """Which of the processor's ceilings bounds it: "fp32", "bf16" or "int8"; None for none that is measured here.

        Processors without fp16 arithmetic compute fp16 files in fp32.
        """
        if self.backend not in ON_PROCESSOR or self.manifest.precision == "fp8":
            return None
        if self.manifest.precision == "int8":
            return "int8"
        if self.backend == "openvino-bf16" or self.manifest.precision == "bf16":
            return "bf16"
        return "fp32"

    def frames(self, count: int, seed: int = 0) -> NDArray[np.uint8]:
        """Random frames of the size that the graph takes, (count, H, W, 3) uint8 BGR: no content changes a time."""
        shape = (count, *self.manifest.input.shape, 3)
        return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)

    def query(self, count: int) -> Callable[[], object]:
        """A call that infers `count` frames."""
        frames = self.frames(count)
        return lambda: self.engine.infer(frames)


@contextmanager
def opened(
    paths: Sequence[Path], backends: Sequence[str], batch: int, threads: int, on_step: Callable[[str], None]
) -> Iterator[tuple[list[Subject], dict[str, str]]]:
    """Every file on every backend that runs it; the subjects, and by label why others do not run.

    Args:
        paths: exported files.
        backends: by name; none stands for all there are.
        batch: most frames of a query.
        threads: of engines on the processor.
        on_step: called with a line for people before what takes long.

    Raises:
        SettingError: no such backend, or nothing runs.
        ModelError: a file that is no exported model.
    """
    for name in backends:
        if name not in BACKENDS:
            raise SettingError(f"expected a backend of {', '.join(BACKENDS)}, got {name!r}")
    wanted = tuple(dict.fromkeys(backends)) or ENGINES
    stems = _stems(paths)
    with ExitStack() as stack:
        subjects: list[Subject] = []
        refused: dict[str, str] = {}
        for path, stem in zip(paths, stems, strict=True):
            manifest = read_manifest(path)
            for name in wanted:
                label = f"{stem}.{name}"
                try:
                    engine = open_backend(name, path, manifest, batch=batch, threads=threads, on_step=on_step)
                except (MissingPart, ModelError) as error:
                    refused[label] = str(error)
                    continue
                subjects.append(Subject(label, path, manifest, name, stack.enter_context(engine)))
        if not subjects:
            raise SettingError(f"nothing to time, no backend runs: {'; '.join(refused.values())[:400]}")
        yield subjects, refused


def _stems(paths: Sequence[Path]) -> list[str]:
    """Names of the files without suffix; a number behind those that come twice."""
    stems: list[str] = []
    for path in paths:
        stem, more = path.stem, 2
        while stem in stems:
            stem, more = f"{path.stem}-{more}", more + 1
        stems.append(stem)
    return stems


def made(encoder_spec: str, precisions: Sequence[str], folder: Path, on_step: Callable[[str], None]) -> list[Path]:
    """Export an encoder with a head that has seen nothing, once in each precision: neither changes a time.

    Args:
        encoder_spec: as `load_encoder` takes it, or NAME:random.
        precisions: of `wordsight export --precision`.
        folder: where the files go; named for encoder and precision. What lies there is taken, see `exported`.
        on_step: called with a line for people before each.
    """
    from wordsight.train.encoders import load_encoder
    from wordsight.train.fit import Settings, fit_head

    name = encoder_spec.partition(":")[0]
    encoder = load_encoder(random_weights(name, folder) if encoder_spec.endswith(RANDOM) else encoder_spec)
    settings = Settings(num_pairs=256)

    def untrained() -> "list[Head]":
        shape = (2, settings.num_pairs, encoder.embed_dim)
        rows = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        return [fit_head(rows[0], rows[1], settings, 0)]

    return exported(encoder, settings, untrained, folder / HEAD, precisions, on_step)


def random_weights(name: str, folder: Path) -> str:
    """An architecture with weights drawn at random in a folder, as `load_encoder` takes it; drawn once."""
    from wordsight.benchmarks.fold import random_checkpoint

    path = folder / f"{name}-random.safetensors"
    return f"{name}:{path.absolute()}" if path.is_file() else random_checkpoint(name, folder)


def exported(
    encoder: "Encoder",
    settings: "Settings",
    fit: "Callable[[], list[Head]]",
    head_path: Path,
    precisions: Sequence[str],
    on_step: Callable[[str], None],
) -> list[Path]:
    """A head and its files beside it, made where they are not there yet.

    Taken is a head of these weights and settings, and a file of that head; `on_step` tells of when.

    Args:
        encoder: whose image tower is exported.
        settings: of the head.
        fit: gives one head of these settings.
        head_path: of the head.
        precisions: of `wordsight export --precision`.
        on_step: called with a line for people before each.
    """
    from wordsight.export.onnx import export_model
    from wordsight.train.checkpoint import load_heads, save_heads

    saved = load_heads(head_path) if head_path.is_file() else None
    if saved is None or (saved.encoder["sha256"], saved.settings) != (encoder.sha256, settings):
        save_heads(head_path, fit(), settings, [0], encoder)
        saved = load_heads(head_path)
    name, paths = encoder.spec.partition(":")[0], []
    for precision in precisions:
        path = head_path.with_name(f"{name}-{precision}.onnx")
        there = read_manifest(path) if path.is_file() else None
        if there is not None and (there.head.sha256, there.precision) == (saved.sha256, precision):
            on_step(f"taking {path}, exported {there.created}")
        else:
            on_step(f"exporting {name} in {precision}")
            export_model(head_path, path, encoder_spec=encoder.spec, precision=precision)
        paths.append(path)
    return paths


def given_or_made(
    models: Sequence[Path] | None, encoders: Sequence[str] | None, folder: Path, on_step: Callable[[str], None]
) -> list[Path]:
    """The files of a command, or fp32 exports of the encoders, each in a folder of its own.

    Args:
        models: exported files, if there are any.
        encoders: as `made` takes them; without models and these `ENCODERS`.
        folder: for what is exported.
        on_step: see `made`.
    """
    paths = list(models or [])
    for number, name in enumerate([] if models else encoders or ENCODERS):
        own = folder / f"encoder-{number}"
        own.mkdir()
        paths += made(name, ["fp32"], own, on_step)
    return paths


@contextmanager
def pinned(threads: int) -> Iterator[list[int]]:
    """Keep this process on its first `threads` cores inside the block; yields their numbers, none where no system can.

    Every thread is moved: those of an engine opened inside inherit it, those of a library loaded before would not.

    Raises:
        SettingError: more threads than cores that this process may use.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield []
        return
    before = os.sched_getaffinity(0)
    if not 1 <= threads <= len(before):
        raise SettingError(f"--threads must be 1 to {len(before)}, the cores this process may use, got {threads}")
    cores = sorted(before)[:threads]
    _move(set(cores))
    try:
        yield cores
    finally:
        _move(before)


def _move(cores: set[int]) -> None:
    for task in os.listdir("/proc/self/task"):
        try:
            os.sched_setaffinity(int(task), cores)
        except ProcessLookupError:  # a thread that ended meanwhile
            continue
