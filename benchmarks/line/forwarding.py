"""Events through a broker that goes, crawls and comes back while the line is killed, and more than a disk may hold."""

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from wordsight.benchmarks import progress
from wordsight.benchmarks.line.handing import LINES, WAIT_S, event, made, running
from wordsight.benchmarks.line.mosquitto import Broker, Listener
from wordsight.runtime.errors import WordsightError
from wordsight.runtime.figures import Figure
from wordsight.runtime.fits import Place
from wordsight.runtime.heat import MOST_REGIONS, Heat

QUOTA_BYTES = 500_000_000
"""As the sink's own `keep_bytes`, for 100,000 events."""
MOST = 3
"""Times as many events as have to fit, after which the quota must have been reached."""
MEANING = {
    "broker.taken": "events that the sink of a killed line, and of the one after it, said it took",
    "broker.messages": "messages that a subscriber was given",
    "broker.duplicates": "of those, ones whose event_id had come before",
    "broker.missing": "events taken of which no message came; target 0",
    "broker.unasked": "events that came without the killed line having said that it took them; 1 at most",
    "broker.out_of_order": "events that came after a later one of their line, each by its first message; target 0",
    "quota.bytes": "on the disk with all of them waiting",
    "quota.waiting": "events on the disk, none dropped; target 100,000 within 500 MB",
    "quota.more": "events that came then, until some were dropped",
    "quota.overflowed": "events that the sink counted as dropped for them",
    "quota.arrived": "events that arrived once the broker was there",
    "quota.unsaid": "events that neither arrived nor were counted; target 0",
    "quota.younger_dropped": "events dropped although an older one arrived; target 0",
}
ZERO = ("broker.missing", "broker.out_of_order", "quota.unsaid", "quota.younger_dropped")


def measure(
    folder: Path, *, away_s: float, slow_s: float, events: int, on_step: Callable[[str], None] = lambda line: None
) -> list[Figure]:
    """Both parts of the table.

    Args:
        folder: for the broker's files and the spools.
        away_s: how long the broker is away; in the middle of it the line is killed and started anew.
        slow_s: how long it crawls after that.
        events: that have to wait within the quota.
        on_step: called with a line for people before what takes long.

    Raises:
        MissingPart: mosquitto or paho-mqtt is absent.
        WordsightError: what had to come did not.
    """
    for part in ("broker", "quota"):
        (folder / part).mkdir()
    found = {"broker": away(folder / "broker", away_s, slow_s, on_step)}
    found["quota"] = full(folder / "quota", events, on_step)
    return [
        Figure(f"{part}.{name}", value, "bytes" if name == "bytes" else "")
        for part, counts in found.items()
        for name, value in counts.items()
    ]


def away(folder: Path, away_s: float, slow_s: float, on_step: Callable[[str], None]) -> dict[str, int]:
    """Broker there, away, slow, back; the line killed in the middle of its absence."""
    with contextlib.ExitStack() as stack:
        broker = Broker(folder)
        stack.callback(broker.stop)
        broker.start()
        listener = Listener(broker, "wordsight/+/event")
        stack.callback(listener.close)
        first = stack.enter_context(running(folder, broker.port, 0))
        _until(lambda: len(listener.heard) > 100, "no event arrives")
        on_step(f"the broker goes for {away_s:g} s; the line is killed meanwhile")
        broker.stop()
        time.sleep(away_s / 2)
        first.kill()
        begin = first.taken[-1] + 10
        second = stack.enter_context(running(folder, broker.port, begin))
        time.sleep(away_s / 2)
        _until(lambda: len(second.taken) > 100, "the second line takes no event")
        on_step(f"it comes back, and crawls for {slow_s:g} s")
        broker.start()
        broker.crawl(slow_s)
        second.stop()
        last = LINES[second.taken[-1] % 2], second.taken[-1]
        _until(lambda: any(heard[:2] == last for heard in listener.heard[-1000:]), "what waits does not arrive")
        second.close()
        return told([*first.taken, *second.taken], listener.heard)


def told(taken: Sequence[int], heard: Sequence[tuple[str, int, str]]) -> dict[str, int]:
    """Count what was taken and what arrived: line, number and id of each message, in order."""
    first: dict[str, tuple[str, int]] = {}
    for line, number, identity in heard:
        first.setdefault(identity, (line, number))
    came = list(first.values())
    latest: dict[str, int] = {}
    late = 0
    for line, number in came:
        late += number < latest.get(line, -1)
        latest[line] = max(number, latest.get(line, -1))
    wanted = {(LINES[number % 2], number) for number in taken}
    return {
        "taken": len(taken),
        "messages": len(heard),
        "duplicates": len(heard) - len(came),
        "missing": len(wanted - set(came)),
        "unasked": len(set(came) - wanted),
        "out_of_order": late,
    }


def full(folder: Path, events: int, on_step: Callable[[str], None]) -> dict[str, int]:
    """Nobody there until so many events wait on the disk, and more than it may hold; then all that is left is sent."""
    with contextlib.ExitStack() as stack:
        broker = Broker(folder)
        stack.callback(broker.stop)
        sink = made(folder, broker.port, keep_bytes=QUOTA_BYTES * events // 100_000)
        stack.callback(sink.close)
        heat = _heat()
        on_step(f"{events:,} events of {MOST_REGIONS} regions to the disk, and more until some are dropped")
        with progress.bar("to the disk", events) as tick:
            for number in range(events):
                sink.write(event(number, heat))
                tick()
        bytes_, waiting = _bytes(folder / "spool"), sink.unsent
        number = events
        while not sink.counts["overflowed"] and number < MOST * events:
            sink.write(event(number, heat))
            number += 1
        early = sink.counts["overflowed"]
        broker.start()
        listener = Listener(broker, "wordsight/+/event")
        stack.callback(listener.close)
        on_step(f"the broker comes, {sink.unsent:,} events wait")
        _until(lambda: not sink.unsent, "what waits does not arrive")
        last = LINES[(number - 1) % 2], number - 1
        _until(lambda: any(heard[:2] == last for heard in listener.heard[-1000:]), "the last event does not arrive")
        came = {one for _, one, _ in listener.heard}
        dropped = set(range(number)) - came
        return {
            "bytes": bytes_,
            "waiting": waiting,
            "more": number - events,
            "overflowed": early,
            "arrived": len(came),
            "unsaid": number - len(came) - early,
            "younger_dropped": sum(one > min(came) for one in dropped),
        }


def missed(figures: Sequence[Figure], events: int) -> list[str]:
    """What must not be, a sentence each; empty when all is well."""
    found = {figure.name: int(figure.value or 0) for figure in figures}
    told = [f"{name} is {found[name]}, 0 is asked" for name in ZERO if found[name]]
    if found["broker.unasked"] > 1:
        told.append(f"{found['broker.unasked']} events arrived that the killed line had not told of, 1 at most can")
    if found["quota.waiting"] != events:
        told.append(f"{found['quota.waiting']} of {events} events waited")
    if not found["quota.overflowed"]:
        told.append("nothing was dropped although more came than the quota holds")
    return told


def _heat() -> Heat:
    """Return a heat map of as many regions as an event tells of."""
    values = np.zeros((16, 16), np.float32)
    values[::2, ::2] = 1.9
    heat = Heat(values, Place(0, 0, 1920, 1080), (1080, 1920), 2.0, 1.5)
    assert len(heat.regions) == MOST_REGIONS
    return heat


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.jsonl"))


def _until(holds: Callable[[], bool], otherwise: str) -> None:
    end_s = time.monotonic() + WAIT_S
    while not holds():
        if time.monotonic() >= end_s:
            raise WordsightError(f"{otherwise}, after {WAIT_S:g} s")
        time.sleep(0.02)
