"""Lines wait on the disk, in order, within a quota, whatever happens to the process or the folder."""

import os
import random
import subprocess
import sys
import textwrap
import threading

import pytest

from wordsight.runtime.errors import OutputError
from wordsight.runtime.sinks.spool import Spool


def line(number, size=0):
    return f'{{"n": {number}, "pad": "{"x" * size}"}}\n'.encode()


def drained(spool, most=7):
    found = []
    while lines := spool.read(most):
        for number, text in lines:
            found.append(text + b"\n")
            spool.acknowledge(number)
    return found


@pytest.fixture
def spool(tmp_path):
    made = []

    def make(keep_bytes=10_000_000, **more):
        # The clock stands: a second later, what was appended so far is brought to the disk, and given out alone.
        made.append(Spool(tmp_path / "spool", keep_bytes, **{"sync_s": 0.0, "clock": lambda: 0.0, **more}))
        return made[-1]

    yield make
    for each in made:
        try:
            each.close()
        except OSError:
            pass  # closed by the test


def test_lines_come_in_order_and_go_when_acknowledged(spool, tmp_path):
    one = spool(100_000)
    lines = [line(number, number % 300) for number in range(2000)]
    for number, each in enumerate(lines):
        one.append(each)
        if number % 3 == 2:
            assert drained(one) == lines[number - 2 : number + 1]
    assert drained(one) == lines[1998:]
    assert one.waiting == 0
    one.close()
    assert sorted(each.name for each in (tmp_path / "spool").iterdir()) == ["acknowledged"]


def test_what_was_not_acknowledged_comes_again_after_a_rewind_and_a_restart(spool):
    one = spool()
    for number in range(10):
        one.append(line(number))
    given = one.read(6)
    for number, _ in given[:3] + given[4:5]:
        one.acknowledge(number)
    one.rewind()
    wanted = [line(number) for number in (3, 5, 6, 7, 8, 9)]
    assert [text + b"\n" for _, text in one.read(100)] == wanted
    one.close()
    again = spool()
    again.append(line(10))
    # That 4 was taken is told only behind 3: it comes again, which does no harm.
    assert drained(again) == [line(number) for number in range(3, 11)]


def test_100_000_events_wait_within_the_quota_and_beyond_it_the_oldest_go_and_are_counted(spool, tmp_path):
    quota = 50_000_000
    one = spool(quota)
    event = line(10**6, 460)  # about 490 bytes each
    for _ in range(100_000):
        one.append(event)
    assert (one.waiting, one.counts["overflowed"]) == (100_000, 0)
    for number in range(20_000):
        one.append(line(number, 460))
    on_disk = sum(each.stat().st_size for each in (tmp_path / "spool").glob("*.jsonl"))
    assert quota * 0.9 < on_disk <= quota
    assert one.counts["overflowed"] + one.waiting == 120_000
    assert one.counts["overflowed"] > 0
    left = drained(one, 1000)
    assert len(left) == 120_000 - one.counts["overflowed"]
    assert left[-20_000:] == [line(number, 460) for number in range(20_000)]


def test_a_torn_last_line_is_cut_off_and_counted(spool, tmp_path):
    one = spool()
    for number in range(3):
        one.append(line(number))
    one.close()
    (file,) = (tmp_path / "spool").glob("*.jsonl")
    with open(file, "ab") as end:
        end.write(b'{"n": 3, "pa')
    again = spool()
    again.append(line(4))
    assert drained(again) == [line(0), line(1), line(2), line(4)]
    assert again.counts["mended"] == 1


@pytest.mark.parametrize("spoiled", [b"", b"12\n", b"%020d\n" % 10**12, b"\0" * 21])
def test_a_spoiled_mark_sends_again_and_loses_nothing(spool, tmp_path, spoiled):
    one = spool()
    for number in range(5):
        one.append(line(number))
    for number, _ in one.read(2):
        one.acknowledge(number)
    one.close()
    (tmp_path / "spool" / "acknowledged").write_bytes(spoiled)
    assert drained(spool()) == [line(number) for number in range(5)]


def test_lines_that_a_disk_lost_are_counted_and_do_not_stop_the_rest(spool, tmp_path):
    one = spool(1_000_000)
    lines = [line(number, 5000) for number in range(60)]
    for each in lines:
        one.append(each)
    one.close()
    first = sorted((tmp_path / "spool").glob("*.jsonl"))[0]
    held = first.read_bytes().count(b"\n")
    os.truncate(first, len(line(0, 5000)) * 2 + 10)
    again = spool(1_000_000)
    assert drained(again) == lines[:2] + lines[held:]
    assert again.counts["mended"] == held - 2
    assert again.waiting == 0


def test_a_folder_that_vanished_is_told_and_two_do_not_share_one(spool, tmp_path):
    one = spool()
    one.append(line(0))
    with pytest.raises(OutputError, match="another sink or process writes"):
        spool()
    (tmp_path / "spool").rename(tmp_path / "gone")
    with pytest.raises(OutputError, match="the folder vanished"):
        one.append(line(1))


def test_what_is_given_out_is_on_the_disk_first(spool, monkeypatch):
    one = spool()
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (synced.append(1), real(descriptor)))
    for number in range(50):
        one.append(line(number))
    assert not synced
    assert len(one.read(100)) == 50
    assert len(synced) == 2  # the group, and the name of its file
    assert one.read(100) == []
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    one.append(line(50))
    with pytest.raises(OutputError, match="cannot bring"):
        one.read(100)


def test_one_writes_while_another_reads(spool):
    wake = threading.Event()
    one = spool(200_000, wake=wake)
    lines = [line(number, random.Random(number).randrange(200)) for number in range(3000)]
    got = []

    def read():
        while len(got) < len(lines) - one.counts["overflowed"]:
            wake.wait(0.1)
            wake.clear()
            got.extend(drained(one, 50))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    for each in lines:
        while one.waiting > 500:
            thread.join(0.001)
        one.append(each)
    thread.join(120)
    assert got == lines


CHILD = """
import sys
from pathlib import Path
from wordsight.runtime.sinks.spool import Spool
spool = Spool(Path(sys.argv[1]), 10_000_000)
for number in range(10**9):
    spool.append(b'{"n": %d}\\n' % number)
    print(number, flush=True)
"""


def test_a_killed_process_loses_no_line_that_it_took(spool, tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(tmp_path / "spool")], stdout=subprocess.PIPE, text=True
    )
    while int(child.stdout.readline()) < 2000:
        pass
    child.kill()
    told = 2000 + len(child.stdout.read().splitlines())
    child.wait()
    found = drained(spool(), 500)
    assert found == [b'{"n": %d}\n' % number for number in range(len(found))]
    assert len(found) in (told + 1, told + 2)


def test_a_full_disk_is_told_and_takes_no_half_line(spool, tmp_path, small_disk):
    one = Spool(small_disk.path / "spool", 3_000_000, sync_s=0.0)
    taken = []
    small_disk.fill(left=20_000)

    def take_all():
        for number in range(1000):
            one.append(line(number, 300))
            taken.append(number)

    with pytest.raises(OutputError, match="cannot write"):
        take_all()
    assert 0 < len(taken) < 1000
    small_disk.free()
    for number in range(len(taken), 100 + len(taken)):
        one.append(line(number, 300))
        taken.append(number)
    assert drained(one) == [line(number, 300) for number in taken]
    one.close()
