"""What it costs to score through a Triton server: the same scores, the rate of many clients, the time of a frame."""

import math
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from wordsight.benchmarks import timing
from wordsight.benchmarks.scale import triton_profile
from wordsight.benchmarks.scale.triton_server import TritonServer
from wordsight.runtime.backends import open_backend
from wordsight.runtime.backends.base import Arrays, Backend, Frames
from wordsight.runtime.backends.remote_address import parse_address
from wordsight.runtime.backends.remote_open import find_remote, open_remote
from wordsight.runtime.backends.remote_settings import RemoteSettings
from wordsight.runtime.errors import ModelError
from wordsight.runtime.figures import Figure
from wordsight.runtime.files import file_sha256
from wordsight.runtime.manifest import Manifest, read_manifest
from wordsight.runtime.triton.config import Serving
from wordsight.runtime.triton.repository import write_model

NAME = "model"
PROTOCOLS = ("grpc", "http")
TARGETS = {"ratio.triton_over_engine": (0.8, "at least"), "difference.triton": (1e-6, "at most")}
MEANING = {
    "difference.triton": "largest of any output from the engine's own, the same frames in the same batches",
    "difference.triton.shared": "the same of scores of many clients, batched as they came",
    "ratio.triton_over_engine": "frames/s of all clients together, over the engine's own on ready batches",
    "wait.p99": "of a frame among the others, from its client's question to its answer",
    "wait.longest": "the same, the one that waited longest",
    "frames_per_pass": "of all clients together, that the server batched",
    "overhead.grpc": "one client: a frame's answer, less the engine's own pass, in turns",
    "overhead.http": "the same over HTTP",
    **triton_profile.MEANING,
}
_WRONG = 1e-4
_DEADLINE_S = 600.0  # what is slow is told by the figures, not by an answer that fails
_SETTLE_S = 0.02  # threads of the engine before go on spinning for a while


def measure(
    path: Path,
    folder: Path,
    *,
    batch: int,
    clients: int,
    rounds: int,
    block_s: float,
    repeats: int,
    threads: int,
    instances: int = 1,
    on_step: Callable[[str], None] = lambda line: None,
) -> tuple[list[Figure], str]:
    """The figures of one file, and in words what was compared.

    The server runs the file with ONNX Runtime on its python backend; the engine beside it is ONNX Runtime in this
    process. Clients, server and engine share the same cores.

    Args:
        path: an exported file.
        folder: for the repository.
        batch: most frames in a pass, of server and engine.
        clients: at once, each with one frame at a time.
        rounds: of engine and clients, in turns.
        block_s: about how long the engine takes in each round.
        repeats: single frames that each way is timed on.
        threads: of the engine, here and there.
        instances: of the engine on the server, which share those threads.
        on_step: called with a line for people before what takes long.

    Raises:
        MissingPart: no server, client or engine here.
        ModelError: the server gives other scores.
    """
    manifest = read_manifest(path)
    serving = Serving(kind="python", batch=batch, instances=instances, threads=max(1, threads // instances))
    write_model(folder, NAME, path, manifest, file_sha256(path), serving, None)
    on_step(f"a Triton server with {path.name}")
    with (
        TritonServer(folder) as server,
        open_backend("ort-cpu", path, manifest, batch=batch, threads=threads) as engine,
        ExitStack() as connections,
    ):
        there, here = _versions(server, engine)
        found = [_difference(server, engine, manifest, batch)]
        fleet = [connections.enter_context(connect(server, "grpc")) for _ in range(clients)]
        found.append(_shared(fleet, engine, manifest, batch))
        exact = "bit for bit the same" if found[0].value == 0 else f"within {found[0].value:.1g}"
        words = f"onnxruntime {here} in this process, {there} in the server: scores {exact}"

        on_step(f"{clients} clients beside the engine, {rounds} rounds")
        found += _rates(server, fleet, engine, manifest, batch, rounds, block_s)
        on_step(f"{repeats} single frames")
        found += _overhead(server, engine, manifest, repeats)
    return found, words


def connect(server: TritonServer, protocol: str) -> Backend:
    """The backend of a line, on a connection of its own; for one thread."""
    address = parse_address(f"{protocol}://{getattr(server, protocol)}/{NAME}")
    settings = RemoteSettings(deadline_s=_DEADLINE_S)
    facts, away = find_remote(address, settings)
    return open_remote(address, settings, facts, away)


def _versions(server: TritonServer, engine: Backend) -> tuple[str, str]:
    told = re.search(r"wordsight: onnxruntime (\S+)", server.told())
    return told[1] if told else "unknown", engine.name.split()[1]


def _difference(server: TritonServer, engine: Backend, manifest: Manifest, batch: int) -> Figure:
    largest = 0.0
    for protocol in PROTOCOLS:
        with connect(server, protocol) as client:
            for count in sorted({1, batch}):
                frames = _frames(manifest, count, seed=count)
                largest = max(largest, _apart(engine.infer(frames), client.infer(frames)))
    return Figure("difference.triton", largest, n=len(PROTOCOLS) * (1 + batch))


def _shared(fleet: Sequence[Backend], engine: Backend, manifest: Manifest, batch: int) -> Figure:
    frames = _frames(manifest, 2 * len(fleet), seed=3)
    wanted = np.concatenate([engine.infer(frames[at : at + batch])["score"] for at in range(0, len(frames), batch)])
    found = np.array([answer["score"][0] for answer in _through(fleet, list(frames[:, None]))])
    return Figure("difference.triton.shared", float(np.abs(found - wanted).max()), n=len(frames))


def _rates(
    server: TritonServer,
    fleet: Sequence[Backend],
    engine: Backend,
    manifest: Manifest,
    batch: int,
    rounds: int,
    block_s: float,
) -> list[Figure]:
    ready = _frames(manifest, batch)
    pass_s = float(np.median(timing.interleaved({"pass": partial(engine.infer, ready)}, 2)["pass"]))
    # Each client sends several frames, or the first and last of them would count more than those between.
    blocks = max(math.ceil(block_s / pass_s), math.ceil(4 * len(fleet) / batch))
    singles = [ready[at % batch : at % batch + 1] for at in range(blocks * batch)]

    def offline() -> None:
        for _ in range(blocks):
            engine.infer(ready)

    spent: list[triton_profile.Spent] = []
    waits: list[float] = []

    def through() -> None:
        before = triton_profile.look(server, NAME)
        _through(fleet, singles, waits)
        spent.append(triton_profile.look(server, NAME) - before)

    # Both are warm by now, and a round of a large model takes long.
    calls = {"engine": offline, "triton": through}
    seconds = timing.interleaved(calls, rounds, warm_up=0, settle_s=_SETTLE_S)
    found = [timing.ratio("ratio.triton_over_engine", seconds["engine"], seconds["triton"])]
    for name, values in seconds.items():
        rates = [len(singles) / value for value in values]
        middle = float(np.median(rates))
        found.append(Figure(f"frames_per_s.{name}", middle, "frames/s", min(rates), max(rates), len(rates)))
    waits_ms = 1000 * np.array(waits)
    found.append(Figure("wait.p99", float(np.percentile(waits_ms, 99)), "ms", n=len(waits)))
    found.append(Figure("wait.longest", float(waits_ms.max()), "ms", n=len(waits)))
    return [*found, *triton_profile.figures(spent)]


def _through(fleet: Sequence[Backend], given: Sequence[Frames], waits: list[float] | None = None) -> list[Arrays]:
    """Have frames scored by all clients at once, each its share one by one; answers in the frames' order.

    Args:
        fleet: the clients.
        given: frames of a request each.
        waits: takes the seconds that each waited for its answer, in no order.
    """

    def line(number: int) -> list[Arrays]:
        found = []
        for frames in given[number :: len(fleet)]:
            began_s = time.perf_counter()
            found.append(fleet[number].infer(frames))
            if waits is not None:
                waits.append(time.perf_counter() - began_s)
        return found

    with ThreadPoolExecutor(len(fleet)) as pool:
        answers = list(pool.map(line, range(len(fleet))))
    return [answers[at % len(fleet)][at // len(fleet)] for at in range(len(given))]


def _overhead(server: TritonServer, engine: Backend, manifest: Manifest, repeats: int) -> list[Figure]:
    frame = _frames(manifest, 1)
    with connect(server, "grpc") as grpc, connect(server, "http") as http:
        ways = {"engine": engine.infer, "grpc": grpc.infer, "http": http.infer}
        calls = {name: partial(infer, frame) for name, infer in ways.items()}
        seconds = timing.interleaved(calls, repeats, warm_up=3, settle_s=_SETTLE_S)
    engine_ms = 1000 * np.array(seconds["engine"])
    low, high = engine_ms.min(), engine_ms.max()
    found = [Figure("pass.engine", float(np.median(engine_ms)), "ms", float(low), float(high), repeats)]
    for name in ("grpc", "http"):
        more = 1000 * np.array(seconds[name]) - engine_ms
        drawn = np.median(np.random.default_rng(0).choice(more, (2000, repeats)), axis=1)
        low, high = np.percentile(drawn, [2.5, 97.5])
        found.append(Figure(f"overhead.{name}", float(np.median(more)), "ms", float(low), float(high), repeats))
    return found


def _apart(wanted: Arrays, found: Arrays) -> float:
    largest = max(float(np.abs(found[name] - array).max()) for name, array in wanted.items())
    if not largest <= _WRONG:
        raise ModelError(f"the server's scores differ by {largest:.1g} from the engine's: nothing was timed")
    return largest


def _frames(manifest: Manifest, count: int, seed: int = 0) -> Frames:
    shape = (count, *manifest.input.shape, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
