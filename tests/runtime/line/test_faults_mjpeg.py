"""The fault matrix of a stream: a real server on this machine, read through OpenCV, and what its reader makes of it."""

import importlib.util
import sys
import threading
from pathlib import Path

import pytest

from wordsight.runtime.line.reader import Reader, ReaderSettings
from wordsight.runtime.sources.options import SourceOptions
from wordsight.runtime.sources.registry import open_source

pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
pytestmark = pytest.mark.faults

FAST = ReaderSettings(first_wait_s=0.02, longest_wait_s=0.1, frozen_s=0.2, stall_s=600)


def _server():
    # Loaded by its place: the tests are no package.
    place = Path(__file__).with_name("mjpeg_server.py")
    spec = importlib.util.spec_from_file_location("mjpeg_server", place)
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("mjpeg_server", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def server():
    made = _server().MjpegServer()
    yield made
    made.stop()


class Watched:
    """A reader whose frames are all looked at. It is patient, unless told: a machine that is busy is no fault."""

    def __init__(self, url, **options):
        self.failures, self.frames = [], 0
        options = SourceOptions("press", **{"open_timeout_s": 30.0, "read_timeout_s": 30.0, **options})
        ready = threading.Event()
        self.reader = Reader("press", lambda: open_source(url, options), ready, settings=FAST,
                             on_failure=self.failures.append)  # fmt: skip
        self.reader.start()

    @property
    def state(self):
        return self.reader.state().state

    @property
    def reason(self):
        return self.reader.state().reason

    def more(self, eventually, count=3):
        """Wait for so many frames; each must be one whole picture: its grey level the same above and below."""
        wanted = self.frames + count

        def look():
            if (frame := self.reader.take()) is not None:
                plain = frame.image[:, : frame.image.shape[1] // 4, 1]
                assert int(plain.max()) - int(plain.min()) <= 3, "a picture of two halves"
                self.frames += 1
            return self.frames >= wanted

        assert eventually(look), (self.reader.state(), self.failures[-1:])
        return True


@pytest.fixture
def watched():
    made = []

    def start(url, **options):
        made.append(Watched(url, **options))
        return made[-1]

    yield start
    for item in made:
        assert item.reader.stop(60)


def test_a_server_that_is_not_there_is_tried_again_until_it_comes(server, watched, eventually):
    server.stop()
    line = watched(server.url)
    assert eventually(lambda: line.state == "retrying")
    assert line.reason == f"nothing answers at 127.0.0.1:{server.port}: connection refused"
    server.start()
    line.more(eventually)
    assert (line.state, line.reason) == ("running", None)


def test_a_server_that_never_answers_is_given_up_and_tried_again(server, watched, eventually):
    server.silent = True
    line = watched(server.url, open_timeout_s=1.0)
    assert eventually(lambda: line.state == "retrying" and server.clients >= 2)
    assert line.reason == "the stream does not answer within 1 s"
    server.silent = False
    line.more(eventually)


@pytest.mark.parametrize("ending", ["closes", "hangs"])
def test_of_a_picture_that_is_cut_off_nothing_is_made_up(server, ending):
    parts, hang = iter(range(10**6)), threading.Event()

    def spoil(part):
        at = next(parts)
        if at <= 5:
            return part if at < 5 else part[: len(part) // 2 + 40]
        return hang.wait(60) and None if ending == "hangs" else None

    server.spoil = spoil
    limit_s = 2.0 if ending == "hangs" else 30.0
    *frames, failure = open_source(server.url, SourceOptions(read_timeout_s=limit_s))
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert (failure.frame, failure.reason) == (5, "no more frames after 5")
    hang.set()


def test_a_stream_that_stops_in_the_middle_of_a_picture_is_opened_again(server, watched, eventually):
    line = watched(server.url)
    line.more(eventually)

    def half(part):
        server.spoil = ends
        return part[: len(part) // 2]

    def ends(part):
        server.spoil = lambda part: part
        return None

    server.spoil = half
    assert eventually(lambda: line.reader.state().reconnects == 1)
    line.more(eventually, 5)
    assert [failure.kind for failure in line.failures] == ["SourceError"]
    assert "no more frames" in line.failures[0].reason


def test_a_stream_that_falls_silent_in_the_middle_of_a_picture_is_opened_again(server, watched, eventually):
    line = watched(server.url, read_timeout_s=1.0)
    line.more(eventually)
    hang = threading.Event()

    def half(part):
        server.spoil = lambda part: hang.wait(60) and None
        return part[: len(part) // 2]

    server.spoil = half
    assert eventually(lambda: line.failures)
    assert line.failures[0].reason.startswith("no more frames after")
    server.spoil = lambda part: part
    line.more(eventually)
    assert line.reader.state().reconnects >= 1
    assert eventually(lambda: line.state == "running")
    hang.set()


def test_a_frozen_picture_is_a_state_and_its_frames_are_not_given_on(server, watched, eventually):
    line = watched(server.url)
    line.more(eventually)
    server.frozen = True
    assert eventually(lambda: line.state == "frozen")
    assert "has not changed in a single bit" in line.reason
    withheld = line.reader.state().withheld
    assert eventually(lambda: line.reader.state().withheld > withheld + 3)
    server.frozen = False
    assert eventually(lambda: line.state == "running")
    line.more(eventually)


def test_another_size_is_survived_without_opening_again(server, watched, eventually):
    line = watched(server.url)
    line.more(eventually)
    server.size = (96, 128)
    assert eventually(lambda: line.reader.state().size == (96, 128))
    assert line.reader.state().size_changes == 1
    assert line.reader.state().reconnects == 0


@pytest.mark.parametrize(("spoil", "told"), [("noise", "not a picture"), ("cut", "is truncated")])
def test_a_picture_that_is_no_whole_one_is_told_and_the_next_is_seen(server, watched, eventually, spoil, told):
    line = watched(server.url)
    line.more(eventually)
    parts, spoils = iter(range(10**6)), getattr(_server(), spoil)
    server.spoil = lambda part: spoils(part) if 3 <= next(parts) % 10 < 6 else part
    assert eventually(lambda: line.more(eventually, 1) and len(line.failures) >= 3)
    assert all(told in failure.reason for failure in line.failures)
    server.spoil = lambda part: part
    line.more(eventually)
    assert (line.state, line.reader.state().reconnects) == ("running", 0)


@pytest.mark.parametrize(("spoil", "told"), [("noise", "no whole picture for 1 s"), ("torn", "no more frames")])
def test_a_stream_of_nothing_but_garbage_is_opened_again(server, watched, eventually, spoil, told):
    line = watched(server.url, read_timeout_s=1.0)
    line.more(eventually)
    server.spoil = getattr(_server(), spoil)
    assert eventually(lambda: line.state == "retrying")
    assert eventually(lambda: any(told in failure.reason for failure in line.failures))
    server.spoil = lambda part: part
    line.more(eventually)


def test_a_server_that_restarts_is_found_again_and_numbers_run_on(server, watched, eventually):
    line = watched(server.url)
    indices = []
    for turn in range(3):
        assert eventually(lambda: (frame := line.reader.take()) is not None and not indices.append(frame.index))
        server.stop()
        assert eventually(lambda turn=turn: line.state == "retrying")
        server.start()
        line.more(eventually)
    assert indices == sorted(set(indices))
    assert line.reader.state().reconnects >= 3


def test_a_wrong_password_is_told_and_neither_word_of_it(server, watched, eventually):
    server.user, server.password = "line3", "s3cret"
    line = watched(server.url, user="line3", password="wr0ng@/:")
    assert eventually(lambda: line.state == "retrying")
    assert line.reason == "the server gives no such stream, or refuses the user or password"
    told = repr((line.reader.state(), line.failures))
    assert not [word for word in ("line3", "wr0ng", "s3cret") if word in told]
    server.password = "wr0ng@/:"
    line.more(eventually)


def test_an_offline_camera_leaves_neither_threads_nor_files_behind(server, watched, eventually):
    server.stop()
    line = watched(server.url)
    files = Path("/proc/self/fd")
    assert eventually(lambda: line.reader.state().reconnects >= 5)
    threads, opened = threading.active_count(), len(list(files.iterdir())) if files.exists() else 0
    assert eventually(lambda: line.reader.state().reconnects >= 25)
    # Another try may be under way, which has its own for a moment.
    assert eventually(lambda: threading.active_count() <= threads)
    assert not files.exists() or eventually(lambda: len(list(files.iterdir())) <= opened + 3)
