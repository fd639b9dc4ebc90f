"""The listing of an archive: sorted whatever the order, read shard by shard, and what two of them differ in."""

import os
import random

import pytest

pytestmark = pytest.mark.scale("pyarrow")
listing = pytest.importorskip("wordsight.runtime.archive.listing", reason="pip install 'wordsight[archive]'")
Entry = listing.Entry


def entries(count):
    found = [Entry(f"/p/{number:05d}ä.jpg", number, number * 1000, f"tag{number}") for number in range(count - 2)]
    odd = Entry("/p/\\xff.jpg", 5, path=b"/p/\xff.jpg")
    return [*found, odd, Entry("cam/1.png", 7, None, None, b"/p/x.parquet", 3)]


@pytest.mark.parametrize("run", [7, 1000])
def test_it_is_sorted_whatever_the_order_and_however_little_fits_in_memory(tmp_path, monkeypatch, run):
    monkeypatch.setattr(listing, "RUN", run)
    monkeypatch.setattr(listing, "_FAN", 3)  # runs of runs of runs
    known = entries(500)
    shuffled = random.Random(0).sample(known, len(known))
    with listing.Listing(tmp_path) as gathered:
        for entry in shuffled:
            gathered.add(entry)
        name, digest = gathered.write(tmp_path, 64)
    assert sorted(os.listdir(tmp_path)) == [name]
    place = tmp_path / name
    known.sort(key=lambda entry: entry.place)
    assert list(listing.read_all(place)) == known
    assert listing.read_shard(place, 3) == known[192:256]
    assert len(listing.read_shard(place, 7)) == 500 - 7 * 64
    assert digest == listing.file_sha256(place)
    assert name == f"listing.{digest[:16]}.arrow"


def test_it_is_the_same_file_for_the_same_pictures(tmp_path):
    digests = set()
    for order in (1, 2):
        with listing.Listing(tmp_path) as gathered:
            for entry in random.Random(order).sample(entries(50), 50):
                gathered.add(entry)
            digests.add(gathered.write(tmp_path, 10)[1])
    assert len(digests) == 1


def test_what_two_of_them_differ_in():
    old = [Entry("/a", 1, 10, "x"), Entry("/b", 1, 10), Entry("/c", 1), Entry("/e", 1, 10, "y")]
    assert listing.difference(old, old) is None
    again = [old[0]._replace(modified=99), *old[1:]]  # the same etag: the same content, put there again
    assert listing.difference(old, again) is None
    new = [old[0]._replace(etag="z"), old[1]._replace(modified=11), Entry("/d", 1), old[3]]
    told = "1 added, 1 gone, 2 changed, first: /a: its etag was x, is z"
    assert listing.difference(old, new) == told
    assert listing.difference(old, old[:1]) == "0 added, 3 gone, 0 changed, first: /b is gone"
    assert listing.difference(old[:1], old) == "3 added, 0 gone, 0 changed, first: /b is new"


def test_a_store_of_another_kind_and_a_name_that_is_no_text(store, wordsight):
    fsspec = pytest.importorskip("fsspec", reason="pip install 'wordsight[archive]'")
    memory = fsspec.filesystem("memory")
    for number in range(30):
        memory.pipe_file(f"/parts-of-a-test/{number % 2}/{number:02d}.bmp", store.picture(number))
        store.know(f"memory://parts-of-a-test/{number % 2}/{number:02d}.bmp", number)
    memory.pipe_file("/parts-of-a-test/notes.txt", b"no picture")
    try:
        ended = wordsight(*store.words("memory://parts-of-a-test", "--workers", 1, "--pictures-per-shard", 8))
        assert ended.code == 0, ended.err
        assert "passed over 1" in ended.out
        store.check()
    finally:
        memory.rm("/parts-of-a-test", recursive=True)

    parts = store.folder / "parts"
    parts.mkdir()
    with open(os.fsencode(parts) + b"/\xff.bmp", "wb") as file:
        file.write(store.picture(3))
    store.out = store.folder / "odd"
    ended = wordsight(*store.words(parts, "--workers", 1))
    assert ended.code == 0, ended.err
    assert [row["source"] for row in store.rows()] == [f"{parts}/\\xff.bmp"]
