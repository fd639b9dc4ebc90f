"""The sinks at the end of a line's file: all at once, with the time that there is, and what they lost is told."""

import threading
import time
from collections.abc import Callable, Sequence

from wordsight.runtime.line.journal import Journal
from wordsight.runtime.sinks.queued import Queued

SINKS_S = 4.0
"""After a signal, for what sinks still hold."""
_FINISH_S = 300.0  # at the end of sources that are through: nobody waits for it
_SENT_S = 2.0  # after a signal, for events that a sink keeps on the disk and has still to send
_LONG_S = 2.0  # after which it is told what is waited for


def finish_sinks(sinks: Sequence[Queued], journal: Journal, asked: Callable[[], bool]) -> int:
    """Close the sinks of sources that are through, with time for what they still hold; return the events lost.

    Args:
        sinks: of all lines.
        journal: told of what is waited for, and of what was lost.
        asked: whether a signal came meanwhile; it ends it as always.
    """
    began_s, told = time.monotonic(), False
    until_s = began_s + _FINISH_S
    threads = _closing(sinks, until_s, _FINISH_S)
    while any(thread.is_alive() for thread in threads) and not asked():
        if time.monotonic() >= until_s + 0.3:
            break
        if not told and time.monotonic() >= began_s + _LONG_S:
            told = True
            for sink in sinks:
                if held := sink.state().waiting + sink.state().unsent:
                    journal.say(sink.name, f"{held} events wait; they get {_FINISH_S:.0f} s to go out")
        time.sleep(0.05)
    return close_sinks(sinks, journal, time.monotonic() + SINKS_S if asked() else time.monotonic())


def close_sinks(sinks: Sequence[Queued], journal: Journal, until_s: float) -> int:
    """Close the sinks, tell what they lost and what is still to be sent, and return the events lost.

    Args:
        sinks: of all lines; may be closing already.
        journal: told of it.
        until_s: monotonic clock.
    """
    for thread in _closing(sinks, until_s, _SENT_S):
        thread.join(max(0.1, until_s + 0.3 - time.monotonic()))
    lost = 0
    for sink in sinks:
        state = sink.state()
        lost += state.lost
        if state.lost:
            reason = state.reason or state.set_aside_reason
            why = f": {reason}" if reason else ""
            journal.error(sink.name, "SinkError", f"{state.lost} events were lost{why}")
        if state.unsent:
            journal.say(sink.name, f"{state.unsent} events wait on the disk and go out after the next start")
    return lost


def _closing(sinks: Sequence[Queued], until_s: float, drain_s: float) -> list[threading.Thread]:
    """Close all sinks at once, so that one that hangs takes no time from the others."""
    left_s = max(0.1, until_s - time.monotonic())
    threads = [threading.Thread(target=sink.close, args=(left_s, drain_s), daemon=True) for sink in sinks]
    for thread in threads:
        thread.start()
    return threads
