"""How long a sink that stores and forwards waits between two tries."""

import threading

import pytest

from wordsight.runtime.sinks.forward import Away, Forwarder, ForwardOptions
from wordsight.runtime.sinks.registry import SinkContext


@pytest.fixture
def pauses(tmp_path, monkeypatch):
    """Run a forwarder through tries, none of which waits: (tries, noise) -> the pauses that it would have made."""

    def run(tries, noise=0.0):
        waited, over = [], threading.Event()
        left = iter(tries)

        def deliver(forward):
            act = next(left, None)
            if act is None:
                over.set()
                forward.drain(0)
            elif act == "well":
                forward.went_well()
                raise Away("gone again")
            else:
                raise act

        monkeypatch.setattr(Forwarder, "_pause", lambda self, pause_s: waited.append(pause_s))
        context = SinkContext(tmp_path, ("press-3",), tmp_path, None, "hall")
        forward = Forwarder(context, ForwardOptions(), deliver, noise=lambda: noise)
        forward.start()
        assert over.wait(60)
        forward.close()
        return waited[: len(tries)]

    return run


def test_they_double_up_to_ten_seconds_and_begin_anew_when_somebody_was_there(pauses):
    away = [OSError("no route")] * 8
    assert pauses(away) == [0.5, 1, 2, 4, 8, 10, 10, 10]
    assert pauses([*away, "well", *away[:2]])[8:] == [0.5, 1, 2]
    assert pauses(away, noise=1.0) == [0.25, 0.5, 1, 2, 4, 5, 5, 5]


def test_one_that_is_asked_for_is_kept_up_to_an_hour(pauses):
    assert pauses([Away("busy", 30), Away("busy", 0.1), Away("busy", 1e9)]) == [30, 1, 3600]
