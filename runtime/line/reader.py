"""One source, read in a thread of its own for as long as the line stands.

A live source (camera, stream) holds its newest frame; older ones that nobody took are dropped and counted. Of any
other source every frame counts: the reader waits until there is room. An endless source that stops is opened again,
for ever, after a pause that grows up to a limit, with jitter, so that a hall of cameras does not come back in one
moment; what trying again cannot mend (a missing part, a wrong setting, an empty folder) failed for good. That there is
no frame is a state with its reason, never a made-up picture.

A read that hangs is left behind in its thread, which is not listened to any more. That is done by `look`, which the
engine's loop calls with every step: a reader has no second thread that could hang in its turn.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from wordsight.runtime.errors import CameraAbsent, MissingPart, SettingError, WordsightError
from wordsight.runtime.line.frozen import FrozenWatch
from wordsight.runtime.line.numbering import Numbering
from wordsight.runtime.line.patience import PATIENCE, Pauses, ReaderSettings
from wordsight.runtime.line.source_state import OVER, SourceState, State, StateBook
from wordsight.runtime.sources.frame import Failure, Frame, Idle, Item, Source
from wordsight.runtime.urls import scrubbed

__all__ = ["Reader", "ReaderSettings", "SourceState", "State"]

_ABANDONED = 3  # threads that hang in a read which nothing ends; each holds a camera's memory


class Reader:
    """Reads one source; see the module.

    Attributes:
        name: of the line.
    """

    def __init__(
        self,
        name: str,
        open_source: Callable[[], Source],
        ready: threading.Event,
        *,
        settings: ReaderSettings = PATIENCE,
        on_failure: Callable[[Failure], None] = lambda failure: None,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        """Remember what to read; nothing is opened before `start`.

        Args:
            name: of the line, for its thread.
            open_source: gives the source; called in the reader's thread. An error of Wordsight's own that it raises is
                final, except CameraAbsent; any other is a failure of the source, and it is tried again. A source is
                kept and read again when it stops; beside one that hangs another is opened.
            ready: set when a frame lies ready or the source ends.
            settings: see `ReaderSettings`.
            on_failure: told each failure, in the reader's thread or in that of `look`; must not raise.
            clock: monotonic, in seconds.
            rng: for the jitter.
        """
        self.name = name
        self._open_source = open_source
        self._ready = ready
        self._settings = settings
        self._on_failure = on_failure
        self._clock = clock
        self._rng = rng or random.Random()
        self._lock = threading.Condition()
        self._held: deque[Frame] = deque()
        self._book = StateBook(clock)
        self._numbering = Numbering()
        self._endless = True  # of the source that is being read; unknown before it is opened
        self._generation = 0  # a thread that was left behind belongs to an older one, and is not listened to
        self._abandoned: list[threading.Thread] = []
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to read."""
        with self._lock:
            self._launch()

    def stop(self, timeout_s: float) -> bool:
        """End reading; return whether the thread ended in time. One that hangs is left behind."""
        self._stopping.set()
        with self._lock:
            self._lock.notify_all()
            self._book.to("stopped", None)
        return self.wait(timeout_s)

    def wait(self, timeout_s: float) -> bool:
        """Wait for the thread of a reader that was stopped or is through; return whether it ended in time."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return self._thread is None or not self._thread.is_alive()

    def take(self) -> Frame | None:
        """Return the newest frame of a live source, the next of another; None when there is none. Never blocks."""
        with self._lock:
            if not self._held:
                return None
            frame = self._held.popleft()
            self._lock.notify_all()
            return frame

    @property
    def waiting(self) -> int:
        """Frames that lie ready."""
        return len(self._held)

    @property
    def ended(self) -> bool:
        """Whether nothing will come any more: the source is through, and every frame of it was taken."""
        with self._lock:
            return self._book.now.state in OVER and not self._held

    def state(self) -> SourceState:
        """Return how the source does now. A read that hangs is seen here, by the clock alone, and left as it is."""
        with self._lock:
            self._is_silent()
            return self._book.told(self._settings.stall_s)

    def look(self) -> None:
        """Leave a read behind that hangs for too long. To be called about once a second, by the engine's loop."""
        failure = None
        with self._lock:
            if self._is_silent() and self._clock() - self._book.sign_s > self._settings.give_up_s:
                failure = self._leave_behind()
        if failure is not None:
            self._on_failure(failure)

    def _is_silent(self) -> bool:
        """Say whether the source gave no sign of life for too long. Holds the lock."""
        watched = self._book.now.state in ("running", "waiting", "opening", "stalled", "frozen")
        silent = self._clock() - self._book.sign_s > self._settings.stall_s
        if not watched or not silent or self._thread is None:
            return False
        if self._book.now.state != "stalled":
            self._book.to("stalled", f"no frame and no sign of life for {self._settings.stall_s:g} s")
        return True

    def _leave_behind(self) -> Failure | None:
        """Listen no more to the thread that hangs, and open the source in another. Holds the lock."""
        self._abandoned = [thread for thread in self._abandoned if thread.is_alive()]
        if len(self._abandoned) >= _ABANDONED:
            told = f"{_ABANDONED} reads hang; the source is not opened again until one of them ends"
            self._book.to("stalled", told)
            return None
        if self._thread is not None:
            self._abandoned.append(self._thread)
        reason = f"a read hangs for {self._settings.give_up_s:g} s and was left behind"
        self._book.failed()
        if self._endless:
            self._book.reopened()
            self._launch()
        else:  # read again from its start, it would give what it gave
            self._generation += 1
            self._book.to("failed", reason)
            self._ready.set()
        return Failure(self.name, reason, "SourceError")

    def _launch(self) -> None:
        self._generation += 1
        self._endless = True
        self._book.alive()
        self._thread = threading.Thread(
            target=self._read_for_ever, args=(self._generation,), name=f"reader {self.name}", daemon=True
        )
        self._thread.start()

    # What follows runs in the reader's thread, of one generation.

    def _heard(self, generation: int) -> bool:
        """Say whether this thread is listened to. Holds the lock where something is written by it."""
        return generation == self._generation and not self._stopping.is_set()

    def _read_for_ever(self, generation: int) -> None:
        pauses = Pauses(self._settings, self._rng)
        source: Source | None = None
        while True:
            with self._lock:
                if not self._heard(generation):
                    return
                self._book.to("opening", self._book.now.reason)
                self._book.alive()
            began_s = self._clock()
            source, final, reason = self._read_once(generation, source)
            with self._lock:
                if not self._heard(generation):
                    return
                if final:
                    through = source is not None and not source.endless and self._book.now.frames
                    self._book.to("ended" if through else "failed", None if through else reason)
                    self._ready.set()
                    return
                self._book.to("retrying", reason)
                self._book.reopened()
            self._stopping.wait(pauses.after(self._clock() - began_s))

    def _read_once(self, generation: int, source: Source | None) -> tuple[Source | None, bool, str]:
        """Read a source to its end; return it (None: it cannot be read), whether that is final, and why it ended."""
        reason = "the source gave no more frames"
        items: Iterator[Item] | None = None
        try:
            if source is None:
                try:
                    source = self._open_source()
                except WordsightError as error:
                    return None, not isinstance(error, CameraAbsent), self._fallen(generation, error)
                with self._lock:
                    if self._heard(generation):
                        self._endless = source.endless
            frozen = FrozenWatch(self._settings.frozen_s)
            items = iter(source)
            for item in items:
                if not self._heard(generation):
                    break
                if isinstance(item, Failure):
                    reason = scrubbed(item.reason)
                    self._tell(generation, item)
                elif isinstance(item, Idle):
                    with self._lock:
                        if self._heard(generation):
                            self._book.alive()
                            self._book.to("waiting", item.reason)
                else:
                    self._keep(item, source.live, frozen, generation)
        except (MissingPart, SettingError) as error:
            return None, True, self._fallen(generation, error)
        except Exception as error:  # whatever a driver raises is this source's failure, and no other line's
            reason = self._fallen(generation, error)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                try:
                    close()
                except Exception as error:
                    self._fallen(generation, error)
        return source, source is not None and not source.endless, reason

    def _fallen(self, generation: int, error: Exception) -> str:
        """Tell an error as a failure of the source; return its reason."""
        reason = scrubbed(" ".join(str(error).split()) or type(error).__name__)
        self._tell(generation, Failure(self.name, reason, type(error).__name__))
        return reason

    def _tell(self, generation: int, failure: Failure) -> None:
        with self._lock:
            if not self._heard(generation):
                return
            self._book.failed()
            self._book.alive()
        self._on_failure(failure)

    def _keep(self, frame: Frame, live: bool, frozen: FrozenWatch, generation: int) -> None:
        held_back = live and frozen.holds_back(frame.image, frame.captured_s)
        with self._lock:
            while not live and len(self._held) >= self._settings.room and self._heard(generation):
                self._book.alive()  # waiting for the engine is no fault of the source
                self._lock.wait(1.0)
            if not self._heard(generation):
                return
            self._book.frame((frame.image.shape[0], frame.image.shape[1]), held_back)
            if held_back:
                told = f"the picture has not changed in a single bit for {self._settings.frozen_s:g} s"
                self._book.to("frozen", told)
                frame.done()
                return
            self._book.to("running", None)
            if live and self._held:
                self._book.dropped(len(self._held))
                for older in self._held:
                    older.done()
                self._held.clear()
            self._held.append(self._numbering.numbered(frame))
        self._ready.set()
