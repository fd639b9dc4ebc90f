"""From an exported file to a TensorRT engine: one code path for `tensorrt` 10.3 to 11 and for `tensorrt_rtx`."""

import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from wordsight.runtime.backends.base import one_line
from wordsight.runtime.board import tensorrt_install
from wordsight.runtime.errors import MissingPart, ModelError, SettingError
from wordsight.runtime.manifest import Manifest

Profile = tuple[int, int, int]
Progress = Callable[[float, str], None]
"""Called with the share done, 0 to 1, and what is being done."""

WORKSPACES = (1 << 30, 1 << 28)
"""Bytes of scratch memory to try, in turn, when the default is too much for the GPU's memory."""
LEAST = {"fp32": 0, "fp16": 0, "int8": 0, "bf16": 80, "fp8": 89}
"""Compute capability, times ten, from which a GPU has the precision."""


def batch_profile(most: int) -> Profile:
    """Batch sizes that an engine takes: one frame to `most`, tuned in the middle."""
    return 1, max(1, most // 2), most


def check_precision(precision: str, capability: str) -> None:
    """Refuse a precision that a GPU has no arithmetic for.

    Raises:
        SettingError: says which GPUs have it.
    """
    least, here = LEAST.get(precision, 0), int(re.sub(r"\D", "", capability) or 0)
    if here < least:
        *most, last = (name for name, from_ in LEAST.items() if from_ <= here)
        raise SettingError(
            f"{precision} needs a GPU of compute capability {least / 10:.1f} or later, got {capability}; "
            f"{', '.join(most)} and {last} files run there"
        )


def build_engine(
    trt: Any,
    model: bytes,
    manifest: Manifest,
    profile: Profile,
    capability: str,
    *,
    timing_cache: bytes = b"",
    on_progress: Progress = lambda share, what: None,
) -> tuple[bytes, bytes]:
    """Parse a file and build an engine for a GPU.

    Precision is what the file says, in its types and quantised layers; the builder chooses kernels, never precision.

    Args:
        trt: the module, `tensorrt` or `tensorrt_rtx`.
        model: the exported file's bytes.
        manifest: what it says about itself.
        profile: batch sizes (least, best, most).
        capability: "SM89"; of `tensorrt` the GPU's own, of `tensorrt_rtx` any that it knows.
        timing_cache: what an earlier build measured; `tensorrt_rtx` measures nothing while it builds.
        on_progress: see `Progress`.

    Returns:
        The engine, and the timing cache after it (empty without one).

    Raises:
        SettingError: a target or precision that cannot be built for.
        ModelError: the parser or the builder refuses, or there is not enough memory.
        KeyboardInterrupt: the user ended it.
    """
    if capability == "SM75" and targets(trt):  # TensorRT for RTX says so of any file, in words that help nobody
        raise SettingError(
            f"{trt.__name__} multiplies no fp32 matrices on SM75 (Turing), and every file scores in fp32; "
            "use tensorrt or ort-cuda there"
        )
    check_precision(manifest.precision, capability)
    log = messages(trt)
    builder = trt.Builder(log)
    # In TensorRT 10 a network must be asked to keep the file's types; in 11 there is no other kind.
    typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if typed is None else 1 << int(typed))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(model):
        errors = "; ".join(one_line(parser.get_error(index).desc()) for index in range(parser.num_errors))
        raise ModelError(f"{trt.__name__} {trt.__version__} cannot parse the file: {errors or log.told()}")

    config = builder.create_builder_config()
    shapes = builder.create_optimization_profile()
    shapes.set_shape(manifest.input.name, *((batch, *manifest.input.shape, 3) for batch in profile))
    config.add_optimization_profile(shapes)
    config.clear_flag(trt.BuilderFlag.TF32)  # ten bits of mantissa: fp32 would not be fp32
    ahead_of_time = hasattr(config, "set_compute_capability")
    if ahead_of_time:
        _set_target(trt, config, capability)
    elif hasattr(config, "create_timing_cache"):
        config.set_timing_cache(config.create_timing_cache(timing_cache), False)
    monitor = _monitor(trt, on_progress)
    config.progress_monitor = monitor

    engine = _build(trt, builder, network, config, log, monitor)
    timings = None if ahead_of_time or not hasattr(config, "get_timing_cache") else config.get_timing_cache()
    return engine, b"" if timings is None else bytes(timings.serialize())


def targets(trt: Any) -> list[str]:
    """Compute capabilities that a module builds for ahead of time; empty for `tensorrt`."""
    known = getattr(getattr(trt, "ComputeCapability", None), "__members__", {})
    return [name for name in known if name.startswith("SM")]


def _set_target(trt: Any, config: Any, capability: str) -> None:
    config.num_compute_capabilities = 1
    if capability in targets(trt):
        config.set_compute_capability(getattr(trt.ComputeCapability, capability), 0)
    else:
        config.set_compute_capability(trt.ComputeCapability.CURRENT, 0)  # a GPU that has no name of its own there


def _build(trt: Any, builder: Any, network: Any, config: Any, log: Any, monitor: Any) -> bytes:
    pool = trt.MemoryPoolType.WORKSPACE
    default = config.get_memory_pool_limit(pool)
    tried = []
    for size in (default, *(size for size in WORKSPACES if size < default)):
        config.set_memory_pool_limit(pool, size)
        log.lines.clear()
        tried.append(f"{size >> 20} MiB")
        try:
            engine = builder.build_serialized_network(network, config)
        except MemoryError:
            engine = None
            log.lines.append("out of memory")
        if monitor.interrupted:
            raise KeyboardInterrupt
        if engine is not None:
            return bytes(engine)
        if not _for_want_of_memory(log.lines):
            raise ModelError(f"{trt.__name__} {trt.__version__} cannot build an engine: {log.told()}")
    raise ModelError(
        f"not enough GPU memory to build an engine, with a workspace of {', '.join(tried)} at most: {log.told()}; "
        "end what else uses the GPU, or build for smaller batches: wordsight build MODEL --batch 1"
    )


def _for_want_of_memory(lines: Iterable[str]) -> bool:
    return any(re.search(r"out ?of ?memory|insufficient (memory|workspace)|memory alloc", line, re.I) for line in lines)


def messages(trt: Any) -> Any:
    """A logger for TensorRT that prints nothing and keeps what went wrong."""

    class Messages(trt.ILogger):  # type: ignore[misc]
        """Keeps the errors that TensorRT would print."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: deque[str] = deque(maxlen=20)  # a fault that repeats for months must not fill the memory

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.lines.append(message)

        def told(self) -> str:
            return one_line(self.lines[-1]) if self.lines else "no reason was given"

    return Messages()


def _monitor(trt: Any, on_progress: Progress) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        """Turns nested phases into one share of the whole: of the outermost phase's steps those that are done."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.interrupted = False
            self.outermost: tuple[str, int] | None = None
            self.done = 0

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            if parent is None or self.outermost is None:
                self.outermost, self.done = (name, max(steps, 1)), 0
            self.tell(name)

        def phase_finish(self, name: str) -> None:
            if self.outermost is not None and name == self.outermost[0]:
                self.done = self.outermost[1]
                self.tell(name)

        def step_complete(self, name: str, step: int) -> bool:
            if self.outermost is not None and name == self.outermost[0]:
                self.done = step + 1
            return self.tell(name)

        def tell(self, what: str) -> bool:
            # An exception must not pass through the builder's own frames: it is asked to stop instead.
            try:
                share = self.done / self.outermost[1] if self.outermost else 0.0
                on_progress(min(share, 1.0), what)
            except KeyboardInterrupt:
                self.interrupted = True
            return not self.interrupted

    return Monitor()


def load_module(name: str) -> Any:
    """Import TensorRT by a backend's name, "tensorrt" or "tensorrt-rtx".

    Raises:
        MissingPart: it is not installed, or does not load.
    """
    import importlib

    try:
        module = importlib.import_module(name.replace("-", "_"))
        getattr(module, "Builder")  # noqa: B009  # PyPI's `tensorrt` may be there without its libraries
        return module
    except Exception as error:  # a missing library shows as OSError, or as one of its own
        install = tensorrt_install() if name == "tensorrt" else "pip install 'wordsight[rtx]'"
        raise MissingPart(f"{name} does not load here ({one_line(error)})", install) from error
