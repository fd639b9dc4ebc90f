"""`wordsight archive` when something ends in the middle: a worker, the command itself, the room on the disk."""

import hashlib
import os
import signal

import pytest

pytestmark = pytest.mark.scale("pyarrow")
SHARDS = 20


@pytest.fixture
def slow(store):
    """Two hundred pictures that take some seconds in all."""
    store.fill_slowly(store.folder / "parts", 200)
    return store.folder / "parts"


def every_picture_once(store):
    """By count, by the hash of all names, and by each one's score."""
    names = [row["source"] for row in store.rows()]
    assert len(names) == len(store.colours)
    digests = [hashlib.sha256("\n".join(sorted(of)).encode()).hexdigest() for of in (names, store.colours)]
    assert digests[0] == digests[1]
    store.check()


def begun(store, stores, parts):
    """A run in its middle until `store.release`: its process, and its workers'."""
    child = store.start(parts, "--workers", 2, "--pictures-per-shard", 10, **store.held(SHARDS // 2))
    stores.wait(lambda: len(store.finished()) >= 2, "the first shards")
    # One of them may have finished these before the other was there.
    workers = stores.wait(lambda: len(found := stores.children(child.pid, "spawn_main")) == 2 and found, "two workers")
    return child, workers


def test_a_killed_worker_is_replaced_and_every_picture_scored_once(store, stores, slow):
    child, workers = begun(store, stores, slow)
    assert len(store.finished()) < SHARDS
    stores.kill(workers[0])
    store.release()
    out, err = child.communicate(timeout=300)
    assert child.returncode == 0, err
    assert "scored 200, failed 0" in out
    every_picture_once(store)


def test_a_killed_command_goes_on_where_it_was(store, stores, slow):
    child, workers = begun(store, stores, slow)
    child.kill()
    child.wait()
    store.release()
    stores.wait(lambda: all(map(stores.gone, workers)), "the workers' end")
    before = {path: path.stat().st_ino for path in store.finished()}
    assert 2 <= len(before) < SHARDS
    code, _, err = store.run(slow, "--workers", 2, "--pictures-per-shard", 10)
    assert code == 0, err
    assert f"{len(before)} of {SHARDS} shards are finished" in err
    assert {path: path.stat().st_ino for path in before} == before
    every_picture_once(store)


def test_an_interrupted_command_says_how_it_goes_on(store, stores, slow):
    child, workers = begun(store, stores, slow)
    os.kill(child.pid, signal.SIGINT)
    out, err = child.communicate(timeout=300)
    assert child.returncode == 130
    assert "shards finished; the same command goes on" in err
    assert len((out + err).splitlines()) == 1
    assert all(map(stores.gone, workers))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_ends_it_cleanly_and_room_lets_it_go_on(store, small_disk, workers):
    store.fill(store.folder / "parts", 200)
    store.out = small_disk.path / "out"
    small_disk.fill(left=60_000)
    words = (store.folder / "parts", "--workers", workers, "--pictures-per-shard", 10)
    code, out, err = store.run(*words)
    assert code == 2, (out, err)
    assert "make room and run the same command again to go on" in err
    assert len((out + err).splitlines()) == 1
    assert len(store.finished()) < 20
    assert not list(store.out.rglob("*.part"))
    small_disk.free()
    code, out, err = store.run(*words)
    assert code == 0, err
    every_picture_once(store)
