"""A line without a camera: frames from memory, at a pace, through reader, batcher, engine and a sink of JSON lines."""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wordsight.runtime.decide_by import DecideBy
from wordsight.runtime.line.assemble import Models
from wordsight.runtime.line.batcher import Batcher
from wordsight.runtime.line.engine import Engine
from wordsight.runtime.line.in_force import InForce
from wordsight.runtime.line.journal import Journal, stamp
from wordsight.runtime.line.reader import Reader
from wordsight.runtime.line.running import RunningLine
from wordsight.runtime.line.status import Rates, collected
from wordsight.runtime.model import Model
from wordsight.runtime.sinks.event_lines import EventLines
from wordsight.runtime.sinks.event_sink import Event
from wordsight.runtime.sinks.queued import Queued
from wordsight.runtime.sinks.registry import SinkContext
from wordsight.runtime.sinks.rolling import RollingOptions
from wordsight.runtime.sources.frame import Frame, Image, Item, now
from wordsight.runtime.threads import one_thread_for_products
from wordsight.runtime.view import View

_CLOSE_S = 30.0
MOST_PIXELS = 20_000
"""A side of the frames that lie in memory."""


@dataclass
class Memory:
    """A source of frames that lie in memory.

    Attributes:
        text: its name.
        ring: frames, uint8 BGR (H, W, 3), given in turn.
        count: how many frames it gives; None: without end.
        period_s: between two frames; None: as fast as they are taken.
        live: the newest counts, older ones may be dropped.
    """

    text: str
    ring: Sequence[Image]
    count: int | None
    period_s: float | None = None
    live: bool = False
    endless: bool = False
    skipped: int = 0

    def __iter__(self) -> Iterator[Item]:
        """Give the frames; one that is late is given at once, and the next when it is due."""
        due_s = time.monotonic()
        for index in itertools.islice(itertools.count(), self.count):
            if self.period_s is not None:
                due_s += self.period_s
                time.sleep(max(0.0, due_s - time.monotonic()))
            yield Frame(self.ring[index % len(self.ring)], self.text, index, now(), self.text)


@dataclass(frozen=True)
class Served:
    """What a run of lines took.

    Attributes:
        frames: scored.
        seconds: from the start of the readers to the last decision.
        latency_s: of each frame, from capture until its decision was handed on; the last thousand.
        infer_s: of each pass, inside the engine alone.
    """

    frames: int
    seconds: float
    latency_s: list[float]
    infer_s: list[float]


def serve(
    model: Model,
    sources: Sequence[Memory],
    folder: Path,
    *,
    most: int,
    wait_s: float = 0.0,
    hear: Callable[[Event], None] | None = None,
    sinks: Sequence[Queued] | None = None,
) -> Served:
    """Run a line for each source until all are through, every frame decided and written as a JSON line.

    Args:
        model: open.
        sources: one a line.
        folder: for the JSON lines.
        most: frames a batch.
        wait_s: that a batch may wait for lines that have nothing yet.
        hear: takes each event beside the JSON lines.
        sinks: get each event instead of the JSON lines, and are told once a second how everything does, as those of a
            line's file are; left open.
    """

    def put(event: Event) -> None:
        for sink in given:
            sink.put(event)
        if hear is not None:
            hear(event)

    one_thread_for_products()  # as `wordsight run --config` begins
    ready = threading.Event()
    force = InForce(model, View(model.manifest), DecideBy(threshold=model.top / 2))
    lines = [RunningLine(one.text, _reader(one, ready), force) for one in sources]
    names = tuple(one.text for one in sources)
    options = RollingOptions.model_validate({"path": Path("events.jsonl")})
    context = SinkContext(folder, names, folder)
    own = [] if sinks is not None else [Queued("jsonl", lambda: EventLines(options, context), wants_image=False)]
    given = own if sinks is None else sinks
    engine = Engine(lines, Batcher(ready, most=most, wait_s=wait_s), put)
    with timed(model) as infer_s, contextlib.nullcontext() if sinks is None else _told(engine, names, sinks):
        began_s = last_s = time.monotonic()
        for line in lines:
            line.reader.start()
        while not all(line.reader.ended for line in lines):
            if engine.step(0.2):
                last_s = time.monotonic()
    for sink in own:
        sink.close(_CLOSE_S)
    return Served(engine.pace.frames, last_s - began_s, list(engine.pace.latency_s), infer_s)


@contextmanager
def _told(engine: Engine, names: Sequence[str], sinks: Sequence[Queued]) -> Iterator[None]:
    """Within it, the sinks are told how everything does once a second, from a thread of its own."""
    over, began = threading.Event(), (stamp(), time.monotonic())
    models, journal, rates = Models("auto", 1, lambda line: None), Journal(lambda line: None), Rates()

    def tell() -> None:
        while not over.wait(1.0):
            status = collected(
                "running", engine, models, {name: name for name in names}, [(sink, sink.name) for sink in sinks],
                journal, rates, config={}, started=began[0], started_s=began[1],
            )  # fmt: skip
            for sink in sinks:
                sink.tell(status)

    thread = threading.Thread(target=tell, name="status", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def timed(model: Model) -> Iterator[list[float]]:
    """Within it, the seconds of each pass of a model's engine are added to what it yields."""
    engine = model._engine
    seconds: list[float] = []

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(engine, name)

        def infer(self, frames: Any) -> Any:
            start = time.perf_counter()
            found = engine.infer(frames)
            seconds.append(time.perf_counter() - start)
            return found

    model._engine = Watched()  # type: ignore[assignment]
    try:
        yield seconds
    finally:
        model._engine = engine


def camera_frames(height: int, width: int, count: int = 8) -> list[Image]:
    """Different random frames of a camera's size, (H, W, 3) uint8 BGR."""
    return list(np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8))


def _reader(source: Memory, ready: threading.Event) -> Reader:
    return Reader(source.text, lambda: source, ready)
