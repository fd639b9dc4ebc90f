"""Files of lines that are appended to: whole lines only, numbered files, one writer."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from datetime import datetime, timedelta, timezone

import pytest

from wordsight.runtime.errors import OutputError
from wordsight.runtime.sinks.rolling import LineForm, RollingLines, RollingOptions

HEADED = LineForm(b"n,", b"n,text\n")


def is_object(line):
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


JSON = LineForm(b"{", whole=is_object)


@pytest.fixture
def rolling(tmp_path):
    made = []

    def make(form=JSON, path=tmp_path / "log.jsonl", now=None, clock=None, **options):
        more = {key: value for key, value in {"now": now, "clock": clock}.items() if value is not None}
        made.append(RollingLines(path, RollingOptions(path=path, **options), form, **more))
        return made[-1]

    yield make
    for item in made:
        item.close()


def line(number, **more):
    return (json.dumps({"n": number, **more}) + "\n").encode()


def numbers(*paths):
    return [json.loads(text)["n"] for path in paths for text in path.read_text().splitlines()]


@pytest.mark.faults
def test_a_restart_appends(rolling, tmp_path):
    for start in (0, 3, 6):
        file = rolling()
        for number in range(start, start + 3):
            file.write(line(number))
        file.close()
    assert numbers(tmp_path / "log.jsonl") == list(range(9))
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


def test_a_file_that_is_full_is_put_aside_and_the_oldest_are_removed_and_counted(rolling, tmp_path):
    file = rolling(roll_bytes=100, keep=3)
    for number in range(100, 160):
        file.write(line(number, text="x" * 20))  # 37 bytes each: two a file
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["log.000027.jsonl", "log.000028.jsonl", "log.000029.jsonl", "log.jsonl"]
    assert numbers(*(tmp_path / name for name in names)) == list(range(152, 160))
    assert max(path.stat().st_size for path in tmp_path.iterdir()) <= 100
    assert file.counts["removed"] == 26


def test_numbers_go_on_after_a_restart_and_other_files_are_left_alone(rolling, tmp_path):
    for name in ("log.000041.jsonl", "log.old.jsonl", "log.0001.jsonl", "other.000050.jsonl", "log.000050.csv"):
        (tmp_path / name).write_text("{}\n")
    file = rolling(roll_bytes=20, keep=1)
    for number in range(4):
        file.write(line(number, text="xx"))
    assert {path.name for path in tmp_path.iterdir()} == {
        "log.jsonl", "log.000044.jsonl", "log.old.jsonl", "log.0001.jsonl", "other.000050.jsonl", "log.000050.csv",
    }  # fmt: skip
    assert file.counts["removed"] == 3


def test_a_day_begins_a_file_and_a_clock_that_is_set_right_at_midnight_does_not(rolling, tmp_path):
    moment = [datetime(2026, 11, 26, 23, 59, 59, tzinfo=timezone.utc)]
    file = rolling(now=lambda: moment[0])
    for number, step_s in enumerate((0, 2, -3, 4, 0, 86400)):
        moment[0] += timedelta(seconds=step_s)
        file.write(line(number))
    assert numbers(tmp_path / "log.000001.jsonl") == [0]
    assert numbers(tmp_path / "log.000002.jsonl") == [1, 2, 3, 4]
    assert numbers(tmp_path / "log.jsonl") == [5]


@pytest.mark.faults
def test_a_clock_that_jumps_does_not_change_which_file_is_the_oldest(rolling, tmp_path):
    moment = [datetime(2026, 11, 26, tzinfo=timezone.utc)]
    file = rolling(now=lambda: moment[0], keep=2)
    for number, year in enumerate((2026, 2035, 1970, 2026)):
        moment[0] = moment[0].replace(year=year)
        file.write(line(number))
    names = ("log.000002.jsonl", "log.000003.jsonl", "log.jsonl")
    assert [numbers(tmp_path / name) for name in names] == [[1], [2], [3]]
    assert file.counts["removed"] == 1


def test_a_file_of_yesterday_is_put_aside_by_the_first_line_after_a_restart(rolling, tmp_path):
    file = rolling()
    file.write(line(0))
    file.close()
    yesterday = (datetime.now(timezone.utc) - timedelta(days=1)).timestamp()
    os.utime(tmp_path / "log.jsonl", (yesterday, yesterday))
    rolling(roll_daily=False).close()
    rolling().write(line(1))
    assert (numbers(tmp_path / "log.000001.jsonl"), numbers(tmp_path / "log.jsonl")) == ([0], [1])


@pytest.mark.faults
@pytest.mark.parametrize("cut", range(len(line(1, text="näh")) + 1))
def test_a_torn_last_line_is_cut_off_wherever_it_was_torn(rolling, tmp_path, cut):
    path = tmp_path / "log.jsonl"
    last = line(1, text="näh")
    path.write_bytes(line(0) + last[:cut])
    file = rolling()
    file.write(line(2))
    whole = cut >= len(last) - 1  # all but its end, or all
    assert numbers(path) == ([0, 1, 2] if whole else [0, 2])
    assert file.counts["mended"] == (0 < cut < len(last))


@pytest.mark.faults
@pytest.mark.parametrize("left", [b"", b'{"n"', b"\0" * 5000, b'{"n": 1}\n{"n": 2\0\0\0\0'])
def test_what_a_power_cut_leaves_of_a_file_is_mended(rolling, tmp_path, left):
    path = tmp_path / "log.jsonl"
    path.write_bytes(left)
    rolling().write(line(7))
    assert numbers(path) == ([1, 7] if b"\n" in left else [7])


@pytest.mark.parametrize(
    "content", [b"\x89PNG\r\n\x1a\n....", b"n,text\n1,a\n", b"{" + b"x" * (2**20 + 1)], ids=["png", "csv", "no lines"]
)
def test_another_kind_of_file_is_refused_and_left_as_it_is(rolling, tmp_path, content):
    path = tmp_path / "log.jsonl"
    path.write_bytes(content)
    with pytest.raises(OutputError, match="is another kind of file"):
        rolling()
    assert path.read_bytes() == content


def test_each_file_has_its_header_and_one_with_another_is_put_aside(rolling, tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"n,words\n0,old\n1,torn")
    file = rolling(HEADED, path, roll_bytes=24)
    for number in range(1, 4):
        file.write(b"%d,twelve\n" % number)
    assert (tmp_path / "log.000001.csv").read_bytes() == b"n,words\n0,old\n"
    assert (tmp_path / "log.000002.csv").read_bytes() == b"n,text\n1,twelve\n"
    assert (tmp_path / "log.000003.csv").read_bytes() == b"n,text\n2,twelve\n"
    assert path.read_bytes() == b"n,text\n3,twelve\n"


@pytest.mark.parametrize("cut", range(len(HEADED.header) + 1))
def test_a_torn_header_is_written_anew(rolling, tmp_path, cut):
    path = tmp_path / "log.csv"
    path.write_bytes(HEADED.header[:cut])
    rolling(HEADED, path).write(b"1,a\n")
    assert path.read_bytes() == b"n,text\n1,a\n"
    assert len(list(tmp_path.iterdir())) == 1


def test_one_writer_a_file_and_the_next_one_follows(rolling, tmp_path):
    first = rolling()
    first.write(line(0))
    with pytest.raises(OutputError, match="another sink or process writes"):
        rolling()
    first.close()
    rolling().write(line(1))
    assert numbers(tmp_path / "log.jsonl") == [0, 1]


@pytest.mark.faults
def test_a_folder_that_vanishes_is_told_and_when_it_is_back_so_are_the_lines(rolling, tmp_path):
    folder = tmp_path / "mounted"
    folder.mkdir()
    file = rolling(path=folder / "log.jsonl")
    file.write(line(0))
    folder.rename(tmp_path / "gone")
    for _ in range(2):
        with pytest.raises(OutputError, match="no such folder"):
            file.write(line(1))
    folder.mkdir()
    file.write(line(1))
    assert (numbers(tmp_path / "gone" / "log.jsonl"), numbers(folder / "log.jsonl")) == ([0], [1])


def test_a_file_that_somebody_moves_away_is_begun_anew(rolling, tmp_path):
    file = rolling()
    file.write(line(0))
    (tmp_path / "log.jsonl").rename(tmp_path / "taken.jsonl")
    file.write(line(1))
    (tmp_path / "log.jsonl").unlink()
    file.write(line(2))
    assert (numbers(tmp_path / "taken.jsonl"), numbers(tmp_path / "log.jsonl")) == ([0], [2])


@pytest.mark.parametrize(("sync_s", "expected"), [(0, 10), (5, 2), (100, 0)])
def test_lines_reach_the_disk_itself_as_often_as_it_says(rolling, monkeypatch, sync_s, expected):
    moment, synced = [0.0], []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(moment[0]) or real(descriptor))
    file = rolling(sync_s=sync_s, clock=lambda: moment[0])
    for number in range(10):
        moment[0] += 1.0
        file.write(line(number))
    assert len(synced) == expected
    file.close()
    assert len(synced) == expected + 1


@pytest.mark.faults
def test_a_process_that_is_killed_while_it_writes_loses_no_line_that_it_was_done_with(tmp_path, rolling):
    code = f"""
        from pathlib import Path
        from wordsight.runtime.sinks.rolling import LineForm, RollingLines, RollingOptions
        path = Path({str(tmp_path / "log.jsonl")!r})
        file = RollingLines(path, RollingOptions(path=path, roll_bytes=20000, keep=10000), LineForm(b"{{"))
        number = 0
        while True:
            file.write(b'{{"n": %d, "text": "%s"}}\\n' % (number, b"x" * (number % 3000)))
            print(number, flush=True)
            number += 1
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    done = -1
    for _ in range(300):
        done = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    done = max([done, *(int(text) for text in child.stdout.read().split())])  # what it told before it was gone
    child.wait()
    file = rolling()
    file.write(line(-1))
    aside = sorted(path for path in tmp_path.iterdir() if path.name != "log.jsonl")
    found = numbers(*aside, tmp_path / "log.jsonl")
    assert len(aside) > 1
    assert found[-1] == -1
    assert found[:-1] == list(range(len(found) - 1))
    assert len(found) - 1 >= done + 1


def test_a_link_stays_one_and_the_files_are_where_it_leads(rolling, tmp_path):
    (tmp_path / "disk").mkdir()
    for there in (False, True):
        if there:
            (tmp_path / "disk" / "True.jsonl").touch()
        (tmp_path / f"{there}.jsonl").symlink_to(tmp_path / "disk" / f"{there}.jsonl")
        file = rolling(path=tmp_path / f"{there}.jsonl", roll_bytes=10)
        for number in range(2):
            file.write(line(number))
        assert (tmp_path / f"{there}.jsonl").is_symlink()
        assert numbers(tmp_path / "disk" / f"{there}.000001.jsonl") == [0]
        assert numbers(tmp_path / f"{there}.jsonl") == [1]


def test_a_pipe_is_written_and_never_put_aside(rolling, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    file = rolling(path=tmp_path / "pipe", roll_bytes=10, sync_s=0)
    for number in range(3):
        file.write(line(number))
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert os.read(reader, 1000) == line(0) + line(1) + line(2)
    os.close(reader)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
