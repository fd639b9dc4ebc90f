"""Rows of the fault matrix that a stream shows: one process, one model, one real server a line, one fault each.

The lines stand beside each other all the time, so that each fault also has to leave the others alone.
"""

import threading

import pytest

cv2 = pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")

PASSWORD = "p@ss:/?#%ü"
NAMES = ("away", "silent", "torn", "still", "sized", "spoilt", "locked", "restarted", "well")


def decided(now):
    """Say whether nothing of a line is on its way: its last new picture may be in the engine still."""
    return now["frames"] == now["scored"] + now["dropped"] + now["withheld"] + now["refused"]


class Stream:
    """A line, and the server that it reads."""

    def __init__(self, hall, name, server):
        self.hall, self.name, self.server = hall, name, server

    @property
    def status(self):
        return self.hall.line(self.name)

    def portless(self, status):
        """Return the reason that is shown, without the port, which is another each time."""
        return status["reason"].replace(str(self.server.port), "PORT")

    def until(self, state, words=""):
        """Wait until the line shows a state, with words in its reason; return what it shows."""
        return self.hall.until(
            lambda: (now := self.status)["state"] == state and (words in (now["reason"] or "")) and now
        )

    def errors(self, words):
        """Return the failures of the line, among the last of all, whose reason has these words."""
        return [one for one in self.hall.status()["errors"] if one["who"] == self.name and words in one["reason"]]

    def more(self, count=3):
        """Wait until so many more frames are scored, and it runs."""
        before = self.hall.until(lambda: self.status)["scored"]
        return self.hall.until(
            lambda: (now := self.status)["state"] == "running" and now["scored"] >= before + count and now
        )

    def counted(self):
        """Return the status and the events of a moment at which nothing is on its way: the picture stands still."""
        self.server.frozen = True

        def still():
            now = self.status
            events = [event for event in self.hall.events() if event["line"] == self.name]
            return now["state"] == "frozen" and now["scored"] == len(events) and decided(now) and (now, events)

        found = self.hall.until(still)
        self.server.frozen = False
        return found


@pytest.fixture(scope="module")
def streams(load, tmp_path_factory):
    module = load("line/mjpeg_server.py")
    module.INTERVAL_S = 0.1
    hall = load("hall.py").Hall(tmp_path_factory.mktemp("streams"))
    made = {name: Stream(hall, name, module.MjpegServer()) for name in NAMES}
    made["away"].server.stop()
    made["silent"].server.silent = True
    made["locked"].server.user, made["locked"].server.password = "op", "another"
    made["well"].server.user, made["well"].server.password = "op", PASSWORD
    # A busy machine's seconds without a picture are no fault: only what says nothing for ever is waited for in vain.
    limits = {"silent": "open_timeout_s = 1.0\n", "torn": "read_timeout_s = 10.0\n"}
    lines = "".join(
        f'\n[[line]]\nname = "{name}"\nsource = "{stream.server.url}"\nfrozen_s = 0.5\nstall_s = 60.0\n'
        + limits.get(name, "open_timeout_s = 60.0\nread_timeout_s = 60.0\n")
        for name, stream in made.items()
    )
    hall.write(
        lines + '\n[[sink]]\ntype = "jsonl"\npath = "out.jsonl"\n'
        + '\n[[sink]]\ntype = "snapshots"\nfolder = "torn"\nlines = ["torn"]\nevery = true\nformat = "png"\n'
    )  # fmt: skip
    logins = {f"WORDSIGHT_{name}_{key}": value for name in ("LOCKED", "WELL")
              for key, value in (("USER", "op"), ("PASSWORD", PASSWORD))}  # fmt: skip
    hall.start(**logins)
    made["well"].more()
    yield made
    hall.close()
    for stream in made.values():
        stream.server.stop()


@pytest.mark.faults("source never opens")
@pytest.mark.parametrize(
    ("name", "why"),
    [("away", "connection refused"), ("silent", "the stream does not answer within 1 s")],
    ids=["nobody is there", "somebody who says nothing"],
)
def test_a_source_that_never_opens_is_tried_again_and_no_frame_is_made_up(streams, told, accounted, name, why):
    stream = streams[name]
    now = stream.hall.until(lambda: (now := stream.until("retrying", why))["reconnects"] >= 2 and now)
    assert (now["frames"], now["scored"], now["size"], now["last_score"]) == (0, 0, None, None)
    told(f"{now['state']}: {stream.portless(now)}", **accounted(now, stream.hall.events()))


@pytest.mark.faults("stops mid-frame")
@pytest.mark.parametrize("then", ["the connection ends", "nothing more comes"])
def test_a_stream_that_stops_in_a_picture_is_opened_again_and_gives_no_half_of_it(streams, told, accounted, then):
    stream = streams["torn"]
    stream.more()
    before, hang = stream.status["reconnects"], threading.Event()

    def half(part):
        stream.server.spoil = end
        return part[: len(part) // 2]

    def end(part):
        stream.server.spoil = lambda part: part  # for the next connection; this one is over, or says nothing more
        return None if then == "the connection ends" else hang.wait(60) and None

    stream.server.spoil = half
    # The state itself lasts a second, as long as a status does: what it was stays among the errors.
    shown = stream.hall.until(
        lambda: stream.status["reconnects"] > before and stream.errors("no more frames after")[-1]
    )
    now = stream.more()
    hang.set()
    assert now["reconnects"] == before + 1
    for path in (stream.hall.folder / "torn").glob("*.png"):
        rows = cv2.imread(str(path))[:, :24, 1]  # of the plain half
        assert int(rows.max()) - int(rows.min()) <= 3, "a picture of two halves"
    told(f"retrying: {shown['reason']}; {now['state']}", **accounted(*stream.counted()))


@pytest.mark.faults("freezes")
def test_a_frozen_picture_is_shown_and_never_scored_as_if_it_were_new(streams, told, accounted):
    stream = streams["still"]
    stream.more()
    stream.server.frozen = True
    shown = stream.hall.until(
        lambda: (now := stream.until("frozen", "has not changed in a single bit for 0.5 s")) and decided(now) and now
    )
    then = stream.hall.until(lambda: (now := stream.status)["withheld"] > shown["withheld"] + 5 and now)
    assert then["scored"] == shown["scored"]
    stream.server.frozen = False
    now = stream.more()
    told(f"{shown['state']}: {shown['reason']}; {now['state']}", **accounted(*stream.counted()))


@pytest.mark.faults("changes size")
def test_another_size_is_survived_without_opening_again(streams, told, accounted):
    stream = streams["sized"]
    stream.more()
    stream.server.size = (96, 128)
    stream.hall.until(lambda: stream.status["size"] == [128, 96])
    stream.more()
    stream.server.size = (48, 64)
    stream.hall.until(lambda: stream.status["size"] == [64, 48])
    shown = stream.more()
    assert (shown["reconnects"], shown["size_changes"], shown["refused"]) == (0, 2, 0)
    told(f"{shown['state']}; size_changes {shown['size_changes']}", **accounted(*stream.counted()))


@pytest.mark.faults("corrupt packets")
@pytest.mark.parametrize(("spoil", "why"), [("noise", "not a picture"), ("cut", "is truncated")])
def test_pictures_that_are_not_whole_are_counted_failures_and_the_next_are_seen(
    streams, told, accounted, load, spoil, why
):
    stream = streams["spoilt"]
    before, spoilt, spoils = stream.more(), [], getattr(load("line/mjpeg_server.py"), spoil)

    def one_in_three(part):
        spoilt.append(len(spoilt) % 3 == 0)
        return spoils(part) if spoilt[-1] else part

    stream.server.spoil = one_in_three
    stream.hall.until(lambda: len(spoilt) > 12)
    stream.server.spoil = lambda part: part
    now = stream.more()
    still, events = stream.counted()  # behind every picture that was spoilt
    assert still["failures"] - before["failures"] == sum(spoilt)
    assert still["reconnects"] == before["reconnects"]
    entry = next(
        entry for entry in stream.hall.status()["errors"] if entry["who"] == "spoilt" and why in entry["reason"]
    )
    told(
        f"{now['state']}; failures {still['failures'] - before['failures']}: {entry['reason']}",
        **accounted(still, events),
    )


@pytest.mark.faults("wrong password")
def test_a_wrong_password_is_told_and_nothing_of_it_shown(streams, told, accounted):
    stream = streams["locked"]
    why = "refuses the user or password"
    now = stream.hall.until(lambda: (now := stream.until("retrying", why))["reconnects"] >= 2 and now)
    assert now["reason"] == "the server gives no such stream, or refuses the user or password"
    assert stream.server.clients >= 2
    assert streams["well"].status["frames"]  # whose password of the same signs is the right one
    text = (stream.hall.folder / "status.json").read_text()
    assert PASSWORD not in text
    told(f"{now['state']}: {now['reason']}", **accounted(now, stream.hall.events()))


@pytest.mark.faults("server restarts")
def test_a_server_that_restarts_is_found_again_and_numbers_run_on(streams, told, accounted):
    stream = streams["restarted"]
    before = stream.more()
    stream.server.stop()
    shown = stream.until("retrying")
    stream.server.start()
    now = stream.more()
    assert now["reconnects"] > before["reconnects"]
    still, events = stream.counted()
    frames = [event["frame"] for event in events]
    assert frames[-1] > before["frames"]
    told(f"{shown['state']}: {stream.portless(shown)}; {now['state']}", **accounted(still, events))


def test_none_of_these_faults_disturbed_the_line_beside_them(streams):
    well = streams["well"].more()
    assert (well["reconnects"], well["failures"], well["size_changes"], well["withheld"]) == (0, 0, 0, 0)
