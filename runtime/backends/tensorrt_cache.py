"""The engine of this GPU: from the cache, or built into it; for `tensorrt` and `tensorrt_rtx` alike."""

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from wordsight.runtime.backends.base import Backend, brief, warm_up
from wordsight.runtime.backends.cuda import Cuda, Gpu
from wordsight.runtime.backends.engine_files import (
    EngineKey,
    EngineRefused,
    best_profile,
    engine_folder,
    private_folder,
    read_engine,
    read_own,
    why_none,
    write_engine,
    write_own,
)
from wordsight.runtime.backends.engine_lock import only_builder
from wordsight.runtime.backends.tensorrt import EngineStale, TensorRtBackend
from wordsight.runtime.backends.tensorrt_build import Progress, batch_profile, build_engine, load_module, targets
from wordsight.runtime.errors import MissingPart, SettingError, WordsightError
from wordsight.runtime.files import file_sha256
from wordsight.runtime.manifest import Manifest

BATCH = 8
"""Largest batch of an engine, where nothing else was asked for: cameras give single frames, and more is split."""


@dataclass(frozen=True)
class Built:
    """An engine in the cache.

    Attributes:
        path: of the engine.
        key: what it is bound to.
        size: bytes.
        seconds: the building took.
    """

    path: Path
    key: EngineKey
    size: int
    seconds: float


def engine_key(trt: Any, gpu: Gpu, precision: str, batch: int, sha256: str) -> EngineKey:
    """Key of the engine that this module builds for a GPU; see `EngineKey`."""
    name = "any" if targets(trt) else gpu.name
    profile = batch_profile(batch)
    return EngineKey(trt.__name__, str(trt.__version__), name, gpu.capability, precision, profile, sha256)


def build_into_cache(
    trt: Any,
    gpu: Gpu,
    path: str | os.PathLike[str],
    manifest: Manifest,
    batch: int,
    *,
    on_progress: Progress = lambda share, what: None,
    clock: Callable[[], float] = time.monotonic,
) -> Built:
    """Build an engine and keep it in the model's folder, whatever lies there.

    Raises:
        SettingError: a target or precision that cannot be built for.
        EngineRefused: the folder is not safely ours; nothing was built.
        ModelError: TensorRT refuses, or there is not enough memory.
    """
    folder = private_folder(engine_folder(path))
    model = Path(path).read_bytes()  # hashed and parsed as one: the file may be replaced meanwhile
    key = engine_key(trt, gpu, manifest.precision, batch, hashlib.sha256(model).hexdigest())
    timings = folder / f"timings-{key.module}-{key.version}-{key.capability}.cache"
    try:
        known = read_own(timings)
    except (OSError, EngineRefused):
        known = b""
    began = clock()
    data, timed = build_engine(
        trt, model, manifest, key.profile, gpu.capability, timing_cache=known, on_progress=on_progress
    )
    seconds = clock() - began
    if timed:
        write_own(timings, timed)
    facts = {
        "model": Path(path).name,
        "created": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seconds": round(seconds, 3),
    }
    return Built(write_engine(folder, key, data, facts), key, len(data), seconds)


def open_tensorrt(
    name: str,
    path: str | os.PathLike[str],
    manifest: Manifest,
    *,
    batch: int = BATCH,
    graphs: bool = True,
    on_step: Callable[[str], None] = lambda _: None,
    trt: Any = None,
    cuda: Cuda | None = None,
) -> Backend:
    """Load this GPU's engine from the cache, or build it first, and warm it up.

    Args:
        name: "tensorrt" or "tensorrt-rtx".
        path: the exported file.
        manifest: what it says about itself.
        batch: most frames at once; engines of another profile are taken, and batches split.
        graphs: whether batches are captured in CUDA graphs where they can be.
        on_step: called with a line for people before an engine is built, which can take minutes.
        trt: the module; None for the installed one.
        cuda: the CUDA runtime; None for the installed one.

    Raises:
        MissingPart: no GPU, no module, or no bindings of CUDA.
        ModelError: TensorRT refuses, or there is not enough memory; an engine that it refuses is built anew once.
    """
    trt = trt or load_module(name)
    cuda = cuda or Cuda()
    gpu = cuda.gpu()
    folder = engine_folder(path)
    key = best_profile(folder, engine_key(trt, gpu, manifest.precision, BATCH, file_sha256(path)), batch)
    said = "engine from the cache"
    try:
        backend = TensorRtBackend(trt, cuda, read_engine(folder, key), manifest, key.profile[2])
    except (FileNotFoundError, EngineRefused, EngineStale) as error:
        why = why_none(folder, key) if isinstance(error, FileNotFoundError) else str(error)
        waiting = f"another process is building an engine into {folder.name}; waiting for it"
        with only_builder(private_folder(folder), lambda: on_step(waiting)) as waited:
            data = _from_another(folder, key) if waited else None
            if data is not None:
                said = f"engine built by another process meanwhile ({why})"
            else:
                on_step(f"building an engine with {name} for {gpu.name} ({why}); this can take minutes")
                built = build_into_cache(trt, gpu, path, manifest, key.profile[2])
                key, said = built.key, f"engine built in {built.seconds:.1f} s ({why})"
                data = read_engine(folder, key)
        backend = TensorRtBackend(trt, cuda, data, manifest, key.profile[2])
    backend.name += f" {gpu.name}"
    if not graphs:
        backend.graphs_off = "without CUDA graphs, as asked"
    warm_up(backend, os.fspath(path), manifest)
    warm_up(backend, os.fspath(path), manifest)  # the second run captures the graph for single frames
    backend.reason = f"asked for; {said}; {backend.graphs}"
    return backend


def _from_another(folder: Path, key: EngineKey) -> bytes | None:
    """The engine that another process built while this one waited; None where it did not, or built another."""
    try:
        return read_engine(folder, key)
    except (FileNotFoundError, EngineRefused):
        return None


def unready(
    name: str, path: str | os.PathLike[str], manifest: Manifest, *, trt: Any = None, cuda: Cuda | None = None
) -> str:
    """Why a backend could not start at once on this machine; empty if its engine lies ready."""
    try:
        gpu = (cuda or Cuda()).gpu()
    except WordsightError:
        return "not tried, no NVIDIA GPU that runs here"  # wordsight doctor has CUDA's own words
    try:
        trt = trt or load_module(name)
    except WordsightError as error:
        return f"not tried, {brief(error)}"
    folder = engine_folder(path)
    key = best_profile(folder, engine_key(trt, gpu, manifest.precision, BATCH, file_sha256(path)), BATCH)
    try:
        read_engine(folder, key)
    except FileNotFoundError:
        return f"not tried, {why_none(folder, key)}: wordsight build {Path(path).name} --backend {name}"
    except EngineRefused as error:
        return f"not tried: {error}; wordsight build {Path(path).name} --backend {name}"
    return ""


def target_gpu(trt: Any, name: str, target: str | None, cuda: Callable[[], Cuda] = Cuda) -> Gpu:
    """The GPU to build for: a target by name, or the one here.

    Raises:
        SettingError: a target that the module does not know, or any at all for `tensorrt`.
        MissingPart: no target, and no GPU here.
    """
    known = targets(trt)
    if target is not None:
        if not known:
            raise SettingError(
                "tensorrt builds for the GPU it runs on alone; --target goes with --backend tensorrt-rtx"
            )
        if target.upper() not in known:
            raise SettingError(f"expected a target of {', '.join(known)}, got {target!r}")
        return Gpu("any", target.upper())
    try:
        return cuda().gpu()
    except MissingPart as error:
        if not known:
            raise
        raise MissingPart(f"{brief(error)}; name a target of {', '.join(known)}", "--target SM89") from error
