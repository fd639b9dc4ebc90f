"""Processes of a bench: a signal within their start, which Python would run between the fork and its return."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from wordsight.benchmarks import children

FOREVER = [sys.executable, "-c", "input()"]


def interrupting(which, started):
    """A `Popen` within which a signal comes, the child being there already."""
    real = subprocess.Popen

    def popen(*words, **options):
        process = real(*words, **options)
        started.append(process)
        signal.raise_signal(which)
        time.sleep(0)  # where a handler would run
        return process

    return popen


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_within_a_start_leaves_no_process_behind(monkeypatch, which):
    started, before = [], signal.signal(signal.SIGTERM, signal.default_int_handler)
    monkeypatch.setattr(children.subprocess, "Popen", interrupting(which, started))
    try:
        with pytest.raises(KeyboardInterrupt), children.running(FOREVER, stdin=subprocess.PIPE):
            pytest.fail("the signal was lost")
    finally:
        signal.signal(signal.SIGTERM, before)
        if gone := started[0].returncode is None:
            started[0].kill()
    assert not gone, "the process was left running"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_process_is_killed_at_the_end_and_what_ended_by_itself_keeps_its_code():
    with children.running(FOREVER, stdin=subprocess.PIPE) as process:
        assert process.poll() is None
    assert process.returncode == -signal.SIGKILL
    with children.running([sys.executable, "-c", "raise SystemExit(7)"]) as process:
        process.wait(60)
    assert process.returncode == 7


def test_in_a_thread_no_handler_is_touched():
    found = []
    with children.running(FOREVER, stdin=subprocess.PIPE):  # the main thread may change handlers, another may not

        def start():
            with children.running(FOREVER, stdin=subprocess.PIPE) as process:
                found.append(process)

        other = threading.Thread(target=start)
        other.start()
        other.join(60)
    assert found[0].returncode == -signal.SIGKILL
