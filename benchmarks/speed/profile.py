"""What an engine spends its time on, by kind of operation, from the engine's own profiler."""

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from wordsight.benchmarks.speed.subjects import Subject
from wordsight.runtime.errors import SettingError


def shares(subject: Subject, batch: int, threads: int, passes: int = 10) -> dict[str, float]:
    """Share of each kind of operation, 0 to 1, the largest first.

    Raises:
        SettingError: an engine without a profiler that is read here.
    """
    frames = subject.frames(batch)
    if subject.backend == "ort-cpu":
        return folded(_onnxruntime(subject, frames, threads, passes))
    if subject.backend.startswith("openvino"):
        return folded(_openvino(subject, frames, threads, passes))
    raise SettingError(f"no profile of {subject.backend}: ort-cpu, openvino and openvino-bf16 have one here")


def folded(times: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Times by kind to shares of their sum, the largest first; kinds that took nothing are left out."""
    total: Counter[str] = Counter()
    for kind, time in times:
        total[kind] += time  # type: ignore[assignment]  # counts may be fractions
    whole = sum(total.values())
    return {kind: time / whole for kind, time in total.most_common() if time > 0} if whole else {}


def described(share: Mapping[str, float], most: int = 5) -> str:
    """Shares for people: "MatMul 71%, Softmax 9%, ... others 4%"."""
    shown = list(share.items())[:most]
    rest = 1 - sum(value for _, value in shown)
    parts = [f"{kind} {value:.0%}" for kind, value in shown]
    return ", ".join(parts + ([f"others {rest:.0%}"] if len(share) > most else []))


def onnxruntime_times(trace: Iterable[Mapping[str, Any]]) -> list[tuple[str, float]]:
    """Kind and microseconds of every kernel in a trace of ONNX Runtime's profiler; the session's own events are not."""
    return [
        (str(event["args"]["op_name"]), float(event["dur"]))
        for event in trace
        if event.get("cat") == "Node" and str(event.get("name", "")).endswith("_kernel_time")
    ]


def _onnxruntime(subject: Subject, frames: np.ndarray, threads: int, passes: int) -> list[tuple[str, float]]:
    from wordsight.runtime.backends.ort import installed

    ort = installed()
    with tempfile.TemporaryDirectory(prefix="wordsight-") as folder:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = ort.InferenceSession(str(subject.path), options, providers=["CPUExecutionProvider"])
        for _ in range(passes + 1):
            session.run(None, {subject.manifest.input.name: frames})
        trace = json.loads(Path(session.end_profiling()).read_text())
    times = onnxruntime_times(trace)
    return times[len(times) // (passes + 1) :]  # the first pass allocates


def _openvino(subject: Subject, frames: np.ndarray, threads: int, passes: int) -> list[tuple[str, float]]:
    from wordsight.runtime.backends.openvino import core_for, settings_for

    hint: Literal["f32", "bf16"] = "bf16" if subject.backend == "openvino-bf16" else "f32"
    settings = settings_for(hint, threads) | {"PERF_COUNT": True}  # as the backend compiles it, timed
    core = core_for(hint)
    request = core.compile_model(core.read_model(str(subject.path)), "CPU", settings).create_infer_request()
    times = []
    for turn in range(passes + 1):
        request.infer({subject.manifest.input.name: frames})
        if turn:  # the first pass allocates
            times += [(item.node_type, item.real_time.total_seconds()) for item in request.profiling_info]
    return times
