"""What is timed: files, each on every backend that runs it here, on cores of their own."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.backends import BACKENDS, ENGINES, Backend, open_backend
from wordsight.runtime.errors import MissingPart, ModelError, SettingError
from wordsight.runtime.manifest import Manifest, read_manifest

ON_PROCESSOR = ("ort-cpu", "openvino", "openvino-bf16")
"""Backends whose work the processor's ceiling bounds."""
RANDOM = ":random"
"""Behind an architecture's name: weights drawn at random, which change no time."""


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
        folder: where the files go; named for encoder and precision.
        on_step: called with a line for people before each.
    """
    from wordsight.benchmarks.fold import random_checkpoint
    from wordsight.export.onnx import export_model
    from wordsight.train.checkpoint import save_heads
    from wordsight.train.encoders import load_encoder
    from wordsight.train.fit import Settings, fit_head

    name = encoder_spec.partition(":")[0]
    spec = encoder_spec
    if encoder_spec.endswith(RANDOM):
        spec = random_checkpoint(name, folder)
    encoder = load_encoder(spec)
    settings = Settings(num_pairs=256)
    rows = np.random.default_rng(0).standard_normal((2, settings.num_pairs, encoder.embed_dim)).astype(np.float32)
    head_path = folder / "speed.safetensors"
    save_heads(head_path, [fit_head(rows[0], rows[1], settings, 0)], settings, [0], encoder)
    paths = []
    for precision in precisions:
        on_step(f"exporting {name} in {precision}")
        path = folder / f"{name}-{precision}.onnx"
        export_model(head_path, path, encoder_spec=encoder.spec, precision=precision)
        paths.append(path)
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
