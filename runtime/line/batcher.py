"""Micro-batches over many lines: what lies ready, one frame a line in turn, so that no line can starve another."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from wordsight.runtime.sources.frame import Frame


class Feed(Protocol):
    """Where the frames of one line lie ready: a `Reader`, as far as the batcher sees it."""

    @property
    def expected(self) -> bool:
        """Whether a frame is likely within moments: the source runs, and nothing of it lies ready."""
        ...

    def take(self) -> Frame | None:
        """Return the next frame, or None at once."""
        ...


F = TypeVar("F", bound=Feed)


class Batcher:
    """Gathers frames of several feeds into batches.

    A live feed holds one frame at most, its newest, so that a batch has one of each; a feed in which every frame
    counts gives as many as there is room for once every feed had its turn.

    Attributes:
        most: frames in a batch at most.
        wait_s: how long a batch that is not full may wait for feeds that have nothing yet. 0: not at all. The first
            frame of a batch is never held longer.
    """

    def __init__(
        self,
        ready: threading.Event,
        *,
        most: int = 8,
        wait_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with no turn taken.

        Args:
            ready: set by every feed when it has something new.
            most: see the class.
            wait_s: see the class.
            clock: monotonic, in seconds.
        """
        self.most = most
        self.wait_s = wait_s
        self._ready = ready
        self._clock = clock
        self._turn = 0

    def gather(self, feeds: Sequence[F], timeout_s: float) -> list[tuple[F, Frame]]:
        """Return the next batch in the order it was taken; empty when nothing came within `timeout_s`.

        The first turn passes from feed to feed with every batch: where there are more feeds than places, each feed is
        left out equally often.
        """
        deadline = self._clock() + timeout_s
        while True:
            self._ready.clear()  # before looking: what comes after the look sets it again
            batch = self._sweep(feeds, [])
            if batch or (left_s := deadline - self._clock()) <= 0:
                break
            self._ready.wait(left_s)
        if batch and self.wait_s > 0:
            until = self._clock() + self.wait_s
            while len(batch) < self.most and any(feed.expected for feed in feeds):
                if (left_s := until - self._clock()) <= 0:
                    break
                self._ready.wait(left_s)
                self._ready.clear()
                had = {id(feed) for feed, _ in batch}
                batch = self._sweep([feed for feed in feeds if id(feed) not in had], batch)
        self._turn += 1
        return batch

    def _sweep(self, feeds: Sequence[F], batch: list[tuple[F, Frame]]) -> list[tuple[F, Frame]]:
        order = [feeds[(self._turn + place) % len(feeds)] for place in range(len(feeds))]
        while order and len(batch) < self.most:
            gave = []
            for feed in order:
                if len(batch) == self.most:
                    break
                frame = feed.take()
                if frame is not None:
                    batch.append((feed, frame))
                    gave.append(feed)
            order = gave
        return batch
