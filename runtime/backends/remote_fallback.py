"""A local model that scores while a server gives no answer."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import numpy as np

from wordsight.runtime.backends.base import Arrays, Backend, Frames
from wordsight.runtime.errors import NoAnswer
from wordsight.runtime.golden import golden_frame
from wordsight.runtime.manifest import Manifest
from wordsight.runtime.manifest_golden import PATTERN

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_STEADY_S = 60.0  # a server that answered for so long begins with the first pause again
_JITTER = 0.2


class WithFallback(Backend):
    """A server, and a local engine of the same scores for the time without it.

    The first frames of an outage wait for the deadline; those after it go to the local engine at once, while a thread
    asks the server for the golden frame, after pauses that grow. Once it answered, and as the manifest says, it is used
    again.

    Attributes:
        fell_back: whether the local engine gave the last scores.
        frames: it gave so far.
    """

    def __init__(
        self,
        server: Backend,
        local: Backend,
        manifest: Manifest,
        probe: Callable[[], Backend],
        *,
        away: str | None = None,
        end_thread: Callable[[], None] = lambda: None,
        first_pause_s: float = _FIRST_PAUSE_S,
    ) -> None:
        """Begin with the server, or without it.

        Args:
            server: whose `infer` raises NoAnswer.
            local: the engine.
            manifest: of the model.
            probe: makes another connection to the server, for the thread that asks.
            end_thread: called at the end of that thread.
            away: why the server was not there just now; None: it is.
            first_pause_s: before the server is asked again for the first time; doubled each time.
        """
        self._server, self._local, self._manifest, self._probe = server, local, manifest, probe
        self._end_thread = end_thread
        self.name, self.most = server.name, server.most
        self.fell_back = False
        self.frames = 0
        self.away: str | None = None
        self._forced = False
        self._back = threading.Event()
        self._closed = threading.Event()
        self._back_s = time.monotonic()
        self._first_pause_s = self._pause_s = first_pause_s
        self._rng = Random()
        if away is not None:
            self._leave(away)

    def infer(self, frames: Frames) -> Arrays:
        """Have frames scored by the server, or by the local engine where it gives no answer.

        Raises:
            ModelError: the local engine fails.
        """
        if self.away is not None and self._back.is_set():
            self.away, self._back_s = None, time.monotonic()
        if self.away is None and not self._forced:
            try:
                found = self._server.infer(frames)
                self.fell_back, self.most = False, self._server.most
                return found
            except NoAnswer as error:
                self._leave(str(error))
        self.fell_back = True
        self.frames += len(frames)
        return self._local.infer(frames)

    @contextmanager
    def local_only(self) -> Iterator[None]:
        """Within it the local engine alone scores, and nothing of that is counted."""
        frames, fell_back = self.frames, self.fell_back
        self._forced = True
        try:
            yield
        finally:
            self._forced = False
            self.frames, self.fell_back = frames, fell_back

    def server_state(self) -> dict[str, Any]:
        """See `Backend`."""
        told: dict[str, Any] = {**(self._server.server_state() or {}), "fallback": self._local.name}
        if self.away is not None:
            told |= {"state": "fallback", "reason": self.away}
        return {**told, "fallback_frames": self.frames}

    def hurry(self, limit_s: float) -> None:
        """See `Backend`."""
        self._server.hurry(limit_s)

    def close(self) -> None:
        """Give both back, and end the thread that asks."""
        self._closed.set()
        self._server.close()
        self._local.close()

    def _leave(self, reason: str) -> None:
        self.away = reason
        self._back.clear()
        if time.monotonic() - self._back_s >= _STEADY_S:
            self._pause_s = self._first_pause_s
        threading.Thread(target=self._ask, name="server away", daemon=True).start()

    def _ask(self) -> None:
        """Ask the server until it answers; in a thread of its own."""
        try:
            while self.away is not None and not self._closed.wait(self._pause()):
                try:
                    with self._probe() as server:
                        told = self._unlike(server)
                except Exception as error:
                    told = " ".join(str(error).split()) or type(error).__name__
                if not told:
                    break
                self.away = told
        finally:
            self._back.set()  # whoever finds the thread gone asks by himself
            self._end_thread()

    def _pause(self) -> float:
        wait_s = self._pause_s * (1 + _JITTER * self._rng.uniform(-1, 1))
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        return wait_s

    def _unlike(self, server: Backend) -> str:
        """Return what is wrong with the server's scores of the golden frame; empty when they are right."""
        known = self._manifest.golden
        found = server.infer(golden_frame(*self._manifest.input.shape)[None])
        if known.pattern != PATTERN:
            return ""
        got = np.array([found[name][0] for name in ("score", "s_pr", "s_fnn")], np.float64)
        apart = np.abs(got - np.array([known.score, known.s_pr, known.s_fnn])).max()
        if apart <= known.tolerance:
            return ""
        return f"{server.name} scores the golden frame {got[0]:.4f}, the manifest says {known.score:.4f}"
