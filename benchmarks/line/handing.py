"""A process that hands events to the sink of type "mqtt" as a line does, and says which were taken.

python -m wordsight.benchmarks.line.handing FOLDER PORT BEGIN PAUSE_S
"""

import contextlib
import itertools
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np

from wordsight.benchmarks import children
from wordsight.runtime.errors import WordsightError
from wordsight.runtime.heat import Heat
from wordsight.runtime.line.events import event_id
from wordsight.runtime.sinks.registry import SinkContext, sink_kind
from wordsight.runtime.sinks.result import Result
from wordsight.runtime.sources.frame import Frame

LINES = ("press-1", "press-2")
PERIOD_S = 0.005
WAIT_S = 300.0
_OVER = "over\n"


def event(number: int, heat: Heat | None = None) -> Result:
    """Return the event of a frame, of one line and the other in turn."""
    stamp = datetime(2026, 11, 26, tzinfo=timezone.utc) + timedelta(milliseconds=number)
    name = LINES[number % 2]
    frame = Frame(np.zeros((2, 2, 3), np.uint8), "camera", number, stamp, "camera")
    return Result(
        frame, 1.5, 0.75, 0.75, "defect", heat=heat, line=name, event_id=event_id(name, "camera", number, stamp)
    )


@dataclass
class Line:
    """A process that hands events to the sink as a line does.

    Attributes:
        taken: numbers of the events that it said its sink took; all of them once it has ended.
    """

    process: "subprocess.Popen[str]"
    taken: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._reads = threading.Thread(target=self._read, daemon=True)
        self._reads.start()

    def kill(self) -> None:
        """As `kill -9` does."""
        self.process.kill()
        self._ended()

    def stop(self) -> None:
        """Have it take no more events; what waits is still sent."""
        self.process.send_signal(signal.SIGUSR1)
        if not self._over.wait(WAIT_S):
            raise WordsightError("the line's process does not hear")

    def close(self) -> None:
        """End it as a line ends."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        if self.process.wait(WAIT_S):
            raise WordsightError(f"the line's process ended with exit code {self.process.returncode}")
        self._ended()

    def _ended(self) -> None:
        self.process.wait()
        self._reads.join()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            if text == _OVER:
                self._over.set()
            else:
                self.taken.append(int(text))


@contextlib.contextmanager
def running(folder: Path, port: int, begin: int) -> Iterator[Line]:
    """Within it, such a process is at work from a number on; `kill -9` at the end, if it did not end before."""
    words = [sys.executable, "-m", "wordsight.benchmarks.line.handing", str(folder), str(port)]
    words += [str(begin), str(PERIOD_S)]
    with children.running(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Line(process)


def made(folder: Path, port: int, **options: int) -> Any:
    """Make the sink as a line does, to a broker on loopback."""
    kind = sink_kind("mqtt")
    chosen = kind.Options.model_validate({"url": f"mqtt://127.0.0.1:{port}", **options})
    return kind.make(chosen, SinkContext(folder, LINES, folder, name="hall"))


def main(folder: str, port: str, begin: str, pause_s: str) -> None:
    """Hand events over at a pace until SIGUSR1 comes, telling each that was taken by its number; end with stdin."""
    over = threading.Event()
    signal.signal(signal.SIGUSR1, lambda number, frame: over.set())
    sink = made(Path(folder), int(port))
    for number in itertools.count(int(begin)):
        sink.write(event(number))
        print(number, flush=True)
        if over.wait(float(pause_s)):
            break
    print(_OVER, end="", flush=True)
    sys.stdin.read()
    sink.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
