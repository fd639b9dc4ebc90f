"""`wordsight archive --engine ray` on a real local cluster of two workers; what is killed in it, and what it leaves."""

import pytest

pytestmark = pytest.mark.scale("pyarrow", "ray")
SHARDS = 20


def begun(store, stores, parts):
    """A run on Ray in its middle until `store.release`: its process, and its workers'."""
    store.fill_slowly(parts, 10 * SHARDS)
    words = ("--engine", "ray", "--workers", 2, "--pictures-per-shard", 10)
    child = store.start(parts, *words, **store.held(SHARDS // 2))
    stores.wait(lambda: len(store.finished()) >= 2 or child.poll() is not None, "the first shards", 300)
    assert child.poll() is None, child.communicate()
    # One of them may have finished these before the other was there.
    workers = stores.wait(
        lambda: len(found := stores.children(child.pid, "ray::MapWorker")) == 2 and found, "two workers", 300
    )
    assert len(store.finished()) < SHARDS
    return child, workers


def test_every_picture_is_scored_once_though_a_worker_is_killed(store, stores):
    child, workers = begun(store, stores, store.folder / "parts")
    stores.kill(workers[0])
    store.release()
    out, err = child.communicate(timeout=300)
    assert child.returncode == 0, err
    assert "scored 200, failed 0" in out
    assert "ray" not in err.lower()
    left = [path.name for path in store.out.rglob(".wordsight-*")]
    assert not [name for name in left if name.count("-") > 1], "of counts how often a shard was begun"
    assert len(left) <= 1  # killed within a write: a later run removes what is old
    store.check()


def test_a_killed_driver_takes_its_cluster_along_and_the_run_goes_on_without_ray(store, stores):
    parts = store.folder / "parts"
    child, workers = begun(store, stores, parts)
    others = [pid for word in ("gcs_server", "raylet/raylet") for pid in stores.children(child.pid, word)]
    assert len(others) >= 2
    child.kill()
    store.release()
    stores.wait(lambda: all(map(stores.gone, [*workers, *others])), "the cluster's end", 120)
    before = {path: path.stat().st_ino for path in store.finished()}
    assert len(before) < SHARDS
    code, _, err = store.run(parts, "--engine", "local", "--workers", 1)
    assert code == 0, err
    assert {path: path.stat().st_ino for path in before} == before
    store.check()


def test_no_cluster_at_an_address_is_told_in_one_line(store):
    store.fill(store.folder / "parts", 3)
    code, out, err = store.run(store.folder / "parts", "--address", "127.0.0.1:1")
    assert (code, len((out + err).splitlines())) == (2, 1), (out, err)
    assert "no Ray cluster at 127.0.0.1:1" in err
    assert not store.finished()
