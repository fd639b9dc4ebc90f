"""A camera's frame fitted by the runtime and fitted in the graph, in turns on the same engine: which one is faster."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from wordsight.benchmarks.speed.sheet import Sheet
from wordsight.benchmarks.timing import interleaved, ratio
from wordsight.runtime.backends import ENGINES, open_backend
from wordsight.runtime.backends.base import Arrays, Frames
from wordsight.runtime.errors import MissingPart, ModelError, SettingError
from wordsight.runtime.fit_input import fit_input
from wordsight.runtime.manifest import METADATA_KEY, Manifest, read_manifest

FRAMES = ((480, 640), (720, 1280), (1080, 1920), (3000, 4096))
"""(height, width) in pixels of the cameras that are timed."""
COLUMNS = {"resize.host": "host ms", "resize.graph": "graph ms", "ratio.resize": "graph / host"}
_SETTLE_S = 0.02  # threads of the engine before go on spinning for a while


def graph_twin(path: Path, frame: tuple[int, int], folder: Path) -> Path:
    """Write the file that `wordsight export --resize graph` would have made of the same head; return its path.

    Args:
        path: an exported file that leaves the resize to the runtime.
        frame: (height, width) in pixels of the camera's frames.
        folder: where it goes.

    Raises:
        SettingError: the file resizes in its graph already, or takes tiles.
    """
    import onnx

    from wordsight.export.resize import with_resize

    manifest = read_manifest(path)
    spec = manifest.input
    if spec.frame or spec.fit == "tiles":
        raise SettingError(f"expected a file of --resize host and --fit crop, squash or pad, got {path}")
    model = with_resize(onnx.load(path), frame, spec.size, spec.fit)
    twin = replace(manifest, schema=2, input=replace(spec, frame=frame))
    del model.metadata_props[:]
    model.metadata_props.add(key=METADATA_KEY, value=twin.to_json())
    target = folder / f"{path.stem}-{frame[1]}x{frame[0]}.onnx"
    target.write_bytes(model.SerializeToString())
    return target


def measure(
    path: Path,
    folder: Path,
    backends: Sequence[str],
    frames: Sequence[tuple[int, int]],
    repeats: int,
    threads: int,
    on_step: Callable[[str], None],
) -> tuple[Sheet, dict[str, str]]:
    """Time both ways for every camera on every backend.

    Args:
        path: an exported file that leaves the resize to the runtime.
        folder: for its twins.
        backends: by name; none stands for all there are.
        frames: (height, width) of each camera.
        repeats: how often each way is timed.
        threads: of engines on the processor.
        on_step: called with a line for people before what takes long.

    Returns:
        Figures a row a backend and a camera: ms a frame of either way, from the decoded frame to the scores, and the
        median of graph over host; and by backend why it does not run.

    Raises:
        SettingError: nothing runs.
        ModelError: the two ways give different scores.
    """
    manifest = read_manifest(path)
    twins = {frame: graph_twin(path, frame, folder) for frame in frames}
    wanted = tuple(dict.fromkeys(backends)) or ENGINES
    sheet, refused = Sheet([], COLUMNS), {}
    labels: list[str] = []
    for name in wanted:
        try:
            host = open_backend(name, path, manifest, batch=1, threads=threads, on_step=on_step)
        except (MissingPart, ModelError) as error:
            refused[name] = str(error)
            continue
        with host:
            for frame, twin in twins.items():
                label = f"{name}.{frame[1]}x{frame[0]}"
                on_step(f"timing {label}")
                labels.append(label)
                camera = read_manifest(twin)
                with open_backend(name, twin, camera, batch=1, threads=threads, on_step=on_step) as graph:
                    _time(sheet, label, manifest, host.infer, graph.infer, frame, repeats)
    if not labels:
        raise SettingError(f"nothing to time, no backend runs: {'; '.join(refused.values())[:400]}")
    sheet.labels = labels
    return sheet, refused


def _time(
    sheet: Sheet,
    label: str,
    manifest: Manifest,
    host: Callable[[Frames], Arrays],
    graph: Callable[[Frames], Arrays],
    frame: tuple[int, int],
    repeats: int,
) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*frame, 3), np.uint8)  # no content changes a time
    calls: dict[str, Callable[[], Arrays]] = {
        "host": lambda: host(fit_input(picture, manifest.input)[None]),
        "graph": lambda: graph(picture[None]),
    }
    scores = [call()["score"] for call in calls.values()]
    apart = float(np.abs(scores[0] - scores[1]).max())
    if not apart <= 1e-4:
        raise ModelError(f"{label}: the two ways differ by {apart:.1g} in the score of one frame: nothing was timed")
    seconds = interleaved(calls, repeats, warm_up=2, settle_s=_SETTLE_S)
    for way, times in seconds.items():
        low, high = min(times) * 1e3, max(times) * 1e3
        sheet.add(f"resize.{way}", label, statistics.median(times) * 1e3, "ms", low=low, high=high, n=len(times))
    sheet.figures.append(ratio(f"ratio.resize.{label}", seconds["graph"], seconds["host"]))
