"""`wordsight run --config`: lines, engine and sinks of one file, until the sources are through or a signal comes.

Four threads beside those of readers and sinks: the caller's scores; one looks after recipe and file, one writes the
status each second, one tells systemd that the engine steps on.
"""

import contextlib
import queue
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from wordsight.runtime.config.check import Checked
from wordsight.runtime.config.secrets import Redactor, credentials
from wordsight.runtime.errors import NoAnswer, SettingError, WordsightError
from wordsight.runtime.line.assemble import Models, queued
from wordsight.runtime.line.batcher import Batcher
from wordsight.runtime.line.changes import Changes
from wordsight.runtime.line.engine import Engine
from wordsight.runtime.line.in_force import InForce
from wordsight.runtime.line.journal import Journal, stamp
from wordsight.runtime.line.notify import notify, watchdog_s
from wordsight.runtime.line.running import RunningLine
from wordsight.runtime.line.signals import Signals
from wordsight.runtime.line.sinks_end import SINKS_S, close_sinks, finish_sinks
from wordsight.runtime.line.status import Rates, StatusFile, collected
from wordsight.runtime.sinks.event_sink import Event
from wordsight.runtime.sinks.queued import Queued

DRAIN_S = 10.0
"""A signal ends the process within so many seconds."""
_LAST_ANSWER_S = 0.5  # for a server to answer, once the process is to end
_SOURCES_S = 2.0  # for the threads of sources, which look about once a second whether they are to end
_STEP_S = 0.2
_LOOK_S = 0.3


class EngineFailed(WordsightError):
    """The engine failed while it ran; whoever supervises the process is to start it anew."""

    exit_code = 1


class Service:
    """One line's file, running.

    Attributes:
        state: "starting", "running", "draining", "stopped" or "failed".
        journal: what went wrong.
        engine: scores.
    """

    def __init__(
        self,
        checked: Checked,
        *,
        say: Callable[[str], None],
        show: Callable[[dict[str, Any]], None] = lambda status: None,
        is_ready: Callable[[Models], str] = lambda models: "",
        hear: Callable[[Event], None] = lambda event: None,
        taken: Callable[[Checked], None] = lambda checked: None,
    ) -> None:
        """Keep what is to be run; nothing is opened yet.

        Args:
            checked: the file.
            say: takes lines for people, from any thread.
            show: takes each status, once a second, from one thread.
            is_ready: called with the opened engines before any source is; returns what is to be told, or raises.
            hear: takes each event beside the sinks, from the engine's thread; never blocks, never raises.
            taken: told of the file at the start, and each time it was read again and is in force.
        """
        spec = checked.loaded.spec
        self.state = "starting"
        self._redactor = Redactor()
        self.journal = Journal(lambda line: say(self._redactor.clean(line)))
        self._checked, self._say, self._show, self._is_ready = checked, say, show, is_ready
        self._hear = hear
        self._started, self._started_s = stamp(), time.monotonic()
        self._ready = threading.Event()
        self._todo: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._models = Models(spec.backend, spec.batch, say)
        self._sinks: list[tuple[Queued, str]] = []
        self._leaving: list[RunningLine] = []
        self.engine = Engine([], Batcher(self._ready, most=spec.batch, wait_s=spec.wait_ms / 1000), self._put)
        self._changes = Changes(checked, self._models, self.journal, self._ready, self._todo.put, self._switch, taken)
        self._file = StatusFile(None if spec.status is None else checked.loaded.resolve(spec.status))
        self._rates = Rates()
        self._signals = Signals()
        self._over = threading.Event()
        self._writing = threading.Lock()

    def run(self) -> int:
        """Run; return the exit code. From the main thread: signals are taken over meanwhile.

        Raises:
            EngineFailed: while it ran; what was scored before is with the sinks.
            ModelError, MissingPart: an engine cannot be opened.
            SettingError: there was nothing to score.
        """
        with self._signals.taken():
            keepers: list[threading.Thread] = []
            try:
                self._know_secrets()
                try:
                    self.engine.lines = self._changes.start()
                    told = self._is_ready(self._models)
                except NoAnswer as error:  # no fault of the file: it is worth starting anew
                    raise EngineFailed(f"{error}; a line's file may name a fallback: [remote]") from error
                for planned in self._checked.sinks:
                    self._sinks.append((queued(planned), planned.spec.type))
                for line in self.engine.lines:
                    line.reader.start()
                self.state = "running"
                self._say(f"{stamp()} running: {self._about()}{f'; {told}' if told else ''}")
                notify("READY=1", f"STATUS={self._about()}")
                for work in (self._keep_status, self._keep_changes, self._keep_watchdog):
                    keepers.append(threading.Thread(target=work, name=work.__name__, daemon=True))
                    keepers[-1].start()
                self._serve()
            except BaseException as error:
                self.state = "failed"
                self._end(keepers, error)
                raise
            return self._end(keepers, None)

    def _know_secrets(self) -> None:
        loaded = self._changes.checked.loaded
        for line in loaded.spec.line:
            self._redactor.add(credentials(line, loaded.path.parent))

    def _serve(self) -> None:
        while self._signals.stop is None and not self._through():
            self._do()
            try:
                self.engine.step(_STEP_S)
            except WordsightError as error:
                raise EngineFailed(f"the engine failed: {error}; what was scored is written, start it anew") from error
            self._drop_empty()

    def _through(self) -> bool:
        """Whether nothing can come any more: every source is at its end, and everything of it was scored."""
        return bool(self.engine.lines) and all(line.reader.ended for line in self.engine.lines)

    def _do(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._todo.get_nowait()()

    def _switch(self, line: RunningLine, force: InForce) -> None:
        for part in line.end_part():
            self._put(part)
        line.force = force

    def _add(self, line: RunningLine) -> None:
        line.reader.start()
        self.engine.lines.append(line)

    def _drop(self, line: RunningLine) -> None:
        line.reader.stop(0)
        self._leaving.append(line)

    def _drop_empty(self) -> None:
        """Let lines go that are removed, once what they hold is scored."""
        for line in [line for line in self._leaving if not line.reader.waiting]:
            for part in line.end_part():
                self._put(part)
            self._leaving.remove(line)
            self.engine.lines.remove(line)

    def _put(self, event: Event) -> None:
        for sink, _ in self._sinks:
            sink.put(event)
        self._hear(event)

    # The end.

    def _end(self, keepers: list[threading.Thread], error: BaseException | None) -> int:
        notify("STOPPING=1")
        asked = self._signals.stop is not None or error is not None
        until_s = time.monotonic() + DRAIN_S
        if error is None:
            self.state = "draining"
        for line in self.engine.lines:
            if not line.reader.ended:
                line.reader.stop(0)
        if error is None:
            self._drain(until_s - SINKS_S)
        sinks = [sink for sink, _ in self._sinks]
        if asked:
            left = close_sinks(sinks, self.journal, until_s - 0.5)
        else:
            left = finish_sinks(sinks, self.journal, lambda: self._signals.stop is not None)
        # A source that remembers what it gave writes it down as it is closed; one that hangs is not waited for long.
        sources_s = min(until_s, time.monotonic() + _SOURCES_S)
        for line in self.engine.lines:
            line.reader.wait(max(0.0, sources_s - time.monotonic()))
        self._over.set()
        for keeper in keepers:
            keeper.join(max(0.0, until_s - time.monotonic()))
        if error is None:
            self.state = "stopped"
        else:
            self.journal.error("engine", type(error).__name__, str(error) or type(error).__name__)
        self._write()
        if error is not None:
            return 1
        return self._code(left)

    def _drain(self, until_s: float) -> None:
        """Score what readers hold, and end the parts that are open."""
        self._do()
        for _, model in list(self._models.opened.values()):
            model.hurry(_LAST_ANSWER_S)
        while any(line.reader.waiting for line in self.engine.lines) and time.monotonic() < until_s:
            self.engine.step(0)
        held = sum(line.reader.waiting for line in self.engine.lines)
        if held:
            self.journal.error("engine", "Drained", f"{held} frames were not scored before the end")
        for line in self.engine.lines:
            for part in line.end_part():
                self._put(part)

    def _code(self, lost: int) -> int:
        if self._signals.stop == signal.SIGINT:
            return 130
        if self._signals.stop is not None:
            return 1 if lost else 0
        if not self.engine.pace.frames:
            if self.journal.failures:
                return 2
            raise SettingError("nothing to score was found in the sources")
        return 1 if lost or self.journal.failures else 0

    # Threads that look after it.

    def _keep_status(self) -> None:
        while not self._over.is_set():
            self._guarded(self._write)
            self._over.wait(1.0)

    def _keep_watchdog(self) -> None:
        limit_s = watchdog_s()
        # Only an engine that steps keeps it quiet: this thread alone proves nothing. And a status file on a disk that
        # hangs does not set it off.
        while limit_s is not None and not self._over.wait(min(1.0, limit_s / 4)):
            if time.monotonic() - self.engine.pace.last_pass_s < limit_s / 2:
                notify("WATCHDOG=1")

    def _guarded(self, act: Callable[[], None]) -> None:
        """Do something that must not end its thread, whatever it raises."""
        try:
            act()
        except Exception as error:
            self.journal.error("service", type(error).__name__, str(error) or type(error).__name__)

    def _write(self) -> None:
        with self._writing:
            status = self.status()
            told = self._file.write(status)
            if told:
                self.journal.error("status", "OutputError", told)
            self.journal.states(status)
            for queue_, _ in self._sinks:
                queue_.tell(status)
            self._show(status)

    def _keep_changes(self) -> None:
        while not self._over.wait(_LOOK_S):
            self._guarded(self._change)

    def _change(self) -> None:
        lines = [line for line in self.engine.lines if line not in self._leaving]
        if not self._signals.reload:
            self._changes.look(lines)
            return
        self._signals.reload = False
        notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        self._changes.read_again(lines, self._add, self._drop)
        notify("READY=1", f"STATUS={self._about()}")
        self._know_secrets()

    def status(self) -> dict[str, Any]:
        """Return how everything does."""
        loaded = self._changes.checked.loaded
        status = collected(
            self.state, self.engine, self._models, dict(self._changes.checked.sources), self._sinks, self.journal,
            self._rates, started=self._started, started_s=self._started_s,
            config={"file": str(loaded.path), "sha256": loaded.sha256, "reload": self._changes.reload},
        )  # fmt: skip
        cleaned: dict[str, Any] = self._redactor.cleaned(status)
        return cleaned

    def _about(self) -> str:
        models = [model.backend for _, model in list(self._models.opened.values())]
        lines, sinks = len(self.engine.lines), len(self._sinks)
        return f"{lines} line{'s' * (lines != 1)}, {sinks} sink{'s' * (sinks != 1)}, engine {', '.join(models)}"
