"""What sinks that get nothing through cost a line: the same frames without a sink, and with all down, in turns."""

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from wordsight.benchmarks import timing
from wordsight.benchmarks.line.handing import event
from wordsight.benchmarks.line.serving import Memory, camera_frames, serve
from wordsight.runtime.errors import WordsightError
from wordsight.runtime.figures import Figure
from wordsight.runtime.model import Model
from wordsight.runtime.sinks.event_sink import SinkState
from wordsight.runtime.sinks.queued import Queued
from wordsight.runtime.sinks.registry import SinkContext, sink_kind

NAME = "memory"
TARGET = 0.98
MEANING = {
    "ratio.down_over_none": f"frames/s of a line whose sinks are all down, over those without a sink; target {TARGET}",
    "frames_per_s.none": "without a sink",
    "frames_per_s.down": "with all of them, every event put into each",
}
WELL = ("metrics", "opcua")  # they have nobody to reach, so they cannot fail for want of somebody
_DOWN_S = 120.0


def measure(
    model: Model,
    folder: Path,
    *,
    rounds: int,
    block_s: float,
    size: tuple[int, int],
    most: int = 8,
    on_step: Callable[[str], None] = lambda line: None,
) -> tuple[list[Figure], Mapping[str, SinkState]]:
    """The ratio from rounds in which both take turns, both rates, and how each sink did at the end of the last round.

    Sinks are made before the clock of their turn counts, and have failed by then: what is measured is a line whose
    sinks are down, not how they start. Their pauses are short so soon after the start, so they try more often than
    later.

    Args:
        model: open.
        folder: for what the sinks keep.
        rounds: of both.
        block_s: about how long each takes in a round.
        size: height and width of the frames.
        most: frames a batch.
        on_step: called with a line for people before what takes long.

    Raises:
        MissingPart: a sink's library is absent.
        WordsightError: a sink is not down.
    """
    ring = camera_frames(*size)
    for _ in range(2):  # the first one warms up
        trial = serve(model, [Memory(NAME, ring, 2 * most)], folder, most=most, sinks=[])
    count = max(2 * most, round(trial.frames / trial.seconds * block_s))
    on_step(f"{rounds} rounds of {count} frames: without a sink, with all of them down")
    rates: dict[str, list[float]] = {"none": [], "down": []}
    states: dict[str, SinkState] = {}
    for turn in range(-1, rounds):  # the first one warms up
        for name in ("none", "down") if turn % 2 else ("down", "none"):
            with ExitStack() as stack:
                sinks = [] if name == "none" else stack.enter_context(all_down(folder / f"turn {turn}", (NAME,)))
                served = serve(model, [Memory(NAME, ring, count)], folder, most=most, sinks=sinks)
                states = {sink.name: sink.state() for sink in sinks} or states
            if turn >= 0:
                rates[name].append(served.frames / served.seconds)
    found = [timing.ratio("ratio.down_over_none", rates["down"], rates["none"])]
    for name, values in rates.items():
        middle = sorted(values)[len(values) // 2]
        found.append(Figure(f"frames_per_s.{name}", middle, "frames/s", min(values), max(values), rounds))
    return found, states


@contextmanager
def all_down(folder: Path, lines: tuple[str, ...]) -> Iterator[list[Queued]]:
    """Within it, one sink of each type that needs somebody or something, which is not there; all have failed by now.

    Raises:
        MissingPart: a sink's library is absent.
        WordsightError: a sink is not down.
    """
    folder.mkdir()
    (folder / "secret").touch(0o600)
    (folder / "secret").write_text('secret = "of nobody"\n', encoding="utf-8")
    (folder / "file").touch()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # ours, so that nobody else listens there meanwhile
        where = f"127.0.0.1:{nobody.getsockname()[1]}"
        options: dict[str, dict[str, Any]] = {
            "jsonl": {"path": "gone/events.jsonl"},
            "metrics": {"listen": "127.0.0.1:0"},
            "modbus": {"url": f"modbus://{where}"},
            "mqtt": {"url": f"mqtt://{where}"},
            "opcua": {"listen": "127.0.0.1:0"},
            "snapshots": {"folder": "file/pictures"},
            "webhook": {"url": f"http://{where}/", "credentials": "secret"},
        }
        sinks = [_queued(type_, given, folder, lines) for type_, given in options.items()]
        try:
            _await_down(sinks)
            yield sinks
        finally:
            for sink in sinks:
                sink.close(5.0, drain_s=0.0)


def _queued(type_: str, options: Mapping[str, Any], folder: Path, lines: tuple[str, ...]) -> Queued:
    kind, context = sink_kind(type_), SinkContext(folder, lines, folder, name=type_)
    chosen = kind.Options.model_validate(options)
    return Queued(type_, lambda: kind.make(chosen, context), wants_image=kind.wants_image)


def _await_down(sinks: list[Queued]) -> None:
    end_s = time.monotonic() + _DOWN_S
    for sink in sinks:
        sink.put(event(0))  # some look whether anybody is there only when they have something to send
    for sink in sinks:
        while not _settled(sink.name, sink.state()):
            if time.monotonic() >= end_s:
                raise WordsightError(f"the sink {sink.name} was to be down, and is {sink.state().state}")
            time.sleep(0.02)


def _settled(name: str, state: SinkState) -> bool:
    return state.written > 0 if name in WELL else state.state == "failing"
