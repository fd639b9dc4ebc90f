"""How patient a reader is with its source."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class ReaderSettings:
    """How patient a reader is.

    Attributes:
        stall_s: without a frame or a sign of life for so long, a source is "stalled".
        give_up_s: a read that hangs for so long is left behind in its thread, and the source opened in another.
        frozen_s: a live source whose picture does not change in a single bit for so long is "frozen"; 0: not looked at.
        first_wait_s: pause before a source is opened again for the first time; doubled each time, up to
        longest_wait_s: the longest pause.
        jitter: share of the pause that is drawn at random, on either side.
        steady_s: a source that ran for so long begins with the first pause again.
        room: frames held of a source that is not live.
    """

    stall_s: float = 10.0
    give_up_s: float = 60.0
    frozen_s: float = 10.0
    first_wait_s: float = 1.0
    longest_wait_s: float = 30.0
    jitter: float = 0.2
    steady_s: float = 60.0
    room: int = 8


PATIENCE = ReaderSettings()


class Pauses:
    """Pauses before a source is opened again: they grow to a limit, with jitter, and begin anew after a good run."""

    def __init__(self, settings: ReaderSettings, rng: random.Random) -> None:
        """Begin with the first pause."""
        self._settings, self._rng = settings, rng
        self._next_s = settings.first_wait_s

    def after(self, ran_s: float) -> float:
        """Return the pause in seconds after the source ran for `ran_s`."""
        if ran_s >= self._settings.steady_s:
            self._next_s = self._settings.first_wait_s
        pause_s = self._next_s * (1 + self._settings.jitter * self._rng.uniform(-1, 1))
        self._next_s = min(2 * self._next_s, self._settings.longest_wait_s)
        return pause_s
