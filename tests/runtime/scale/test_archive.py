"""`wordsight archive` on this machine's folders and Parquet files: what it scores, takes up again and refuses."""

import io
import json
import os

import numpy as np
import pytest

from wordsight.runtime.model import Model
from wordsight.runtime.pictures import read_picture

pytestmark = pytest.mark.scale("pyarrow")


@pytest.fixture
def parts(store):
    """Sixty pictures in two folders."""
    store.fill(store.folder / "parts" / "a", 40)
    store.fill(store.folder / "parts" / "b", 20, first=40)
    return store.folder / "parts"


def test_scores_are_those_of_the_model(store, parts, save_picture, wordsight):
    rng = np.random.default_rng(0)
    shapes = [(30, 50), (200, 90), (8, 8), (64, 64)]
    odd = [save_picture(parts / "odd" / f"{at}.png", rng.integers(0, 256, (*shape, 3), np.uint8))
           for at, shape in enumerate(shapes)]  # fmt: skip
    ended = wordsight(*store.words(parts, "--workers", 1, "--pictures-per-shard", 25, "--threshold", 1.0))
    assert ended.code == 0, ended.err
    rows = {row["source"]: row for row in store.rows()}
    assert sorted(rows) == sorted([*store.colours, *map(str, odd)])
    with Model(store.model, "ort-cpu") as model:
        pictures = [read_picture(path) for path in sorted(rows)]
        known = model.score(pictures)
    for at, (source, picture) in enumerate(zip(sorted(rows), pictures, strict=True)):
        row, state = rows[source], os.stat(source)
        assert (row["height"], row["width"]) == picture.shape[:2]
        assert row["size"] == state.st_size
        assert int(row["modified"].timestamp() * 1e6) == pytest.approx(state.st_mtime_ns // 1000, abs=1)
        assert row["decision"] == ("defect" if known.score[at] >= 1 else "good")
        for name in ("score", "s_pr", "s_fnn", "embedding"):
            np.testing.assert_allclose(row[name], getattr(known, name)[at], rtol=1e-6, atol=1e-6)


def test_a_shard_says_what_it_is(store, parts, wordsight):
    import pyarrow
    import pyarrow.parquet

    assert wordsight(*store.words(parts, "--workers", 1, "--pictures-per-shard", 25)).code == 0
    run = json.loads((store.out / "run.json").read_text("utf-8"))
    assert (run["schema"], run["pictures"], run["shards"], run["model"]) == (1, 60, 3, "tiny.onnx")
    assert [path.name for path in store.finished()] == [f"shard-0000{n}.parquet" for n in range(3)]
    schema = pyarrow.parquet.read_schema(store.finished()[1])
    facts = json.loads(schema.metadata[b"wordsight"])
    assert facts == {
        "schema": 1, "model_sha256": run["model_sha256"], "listing_sha256": run["listing_sha256"], "shard": 1,
        "first": sorted(store.colours)[25], "last": sorted(store.colours)[49], "count": 25, "unreadable": 0,
    }  # fmt: skip
    kinds = {"source": "string", "decision": "string", "width": "int32", "height": "int32", "size": "int64",
             **dict.fromkeys(("score", "s_pr", "s_fnn"), "float"),
             **dict.fromkeys(("modified", "scored"), "timestamp[us, tz=UTC]")}  # fmt: skip
    assert {name: str(schema.field(name).type) for name in kinds} == kinds
    assert schema.field("embedding").type == pyarrow.list_(pyarrow.float32(), 3)


def test_what_cannot_be_read_is_listed_and_what_is_no_picture_passed_over(store, parts, wordsight):
    (parts / "a" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (parts / "b" / "empty.jpg").touch()
    (parts / "b" / "nowhere.jpg").symlink_to(parts / "not there")
    (parts / "README.txt").write_text("no picture")
    os.mkfifo(parts / "pipe.jpg")
    (parts / ".hidden.bmp").write_bytes(store.picture(1))
    ended = wordsight(*store.words(parts, "--workers", 1, "--pictures-per-shard", 25))
    assert ended.code == 1
    assert len(ended.lines) <= 8
    assert "scored 60, failed 3, passed over 2" in ended.out
    told = {os.path.basename(item["source"]): item["reason"] for item in store.unread()}
    assert sorted(told) == ["cut.png", "empty.jpg", "nowhere.jpg"]
    assert told["empty.jpg"] == "empty"
    assert told["nowhere.jpg"] == "gone"
    store.check()


def test_a_finished_shard_is_left_alone_and_a_missing_one_made_anew(store, parts, wordsight):
    words = store.words(parts, "--workers", 1, "--pictures-per-shard", 25)
    assert wordsight(*words).code == 0
    before = {path.name: (path.stat().st_ino, path.read_bytes()) for path in store.finished()}
    store.finished()[1].unlink()
    again = wordsight(*words)
    assert again.code == 0, again.err
    assert "2 of 3 shards are finished" in again.err
    after = {path.name: (path.stat().st_ino, path.read_bytes()) for path in store.finished()}
    for name in ("shard-00000.parquet", "shard-00002.parquet"):
        assert after[name] == before[name]
    store.check()


def test_jobs_of_an_array_do_each_their_part(store, parts, wordsight):
    for job in (2, 0, 1):
        ended = wordsight(*store.words(parts, "--workers", 1, "--pictures-per-shard", 10, "--shard", f"{job}/3"))
        assert ended.code == 0, ended.err
        assert "2 shards of 6" in ended.out
    store.check()
    for wrong in ("3/3", "1", "-1/3", "a/b", "0/0"):
        ended = wordsight(*store.words(parts, "--shard", wrong))
        assert (ended.code, len(ended.lines)) == (2, 1), ended.lines


def _as_bytes(store, numbers):
    return {"image": [store.picture(number) for number in numbers], "source": [f"cam/{n}.bmp" for n in numbers]}


def _as_structs(store, numbers):
    return {"image": [{"bytes": store.picture(n), "path": f"cam/{n}.bmp"} for n in numbers]}


@pytest.mark.parametrize("made", [_as_bytes, _as_structs], ids=["bytes", "structs"])
def test_pictures_in_parquet(store, made, wordsight):
    import pyarrow
    import pyarrow.parquet

    place = store.folder / "data"
    place.mkdir()
    for part in range(2):
        numbers = range(part * 35, part * 35 + 35)
        table = pyarrow.table(made(store, numbers))
        pyarrow.parquet.write_table(table, place / f"part-{part}.parquet", row_group_size=8)
        for number in numbers:
            store.know(f"cam/{number}.bmp", number)
    ended = wordsight(*store.words(place, "--workers", 1, "--pictures-per-shard", 15))
    assert ended.code == 0, ended.err
    rows = store.rows()
    assert [row["source"] for row in rows] == [f"cam/{number}.bmp" for number in range(70)]  # the order of the rows
    for row in rows:
        assert (row["s_pr"], row["s_fnn"]) == pytest.approx(store.colours[row["source"]], abs=2e-6)
        assert row["size"] == len(store.picture(0))


def test_parquet_without_names_or_without_pictures(store, wordsight):
    import pyarrow
    import pyarrow.parquet

    file = store.folder / "data.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"photo": [store.picture(1), None, b"no picture"]}), file)
    refused = wordsight(*store.words(file))
    assert (refused.code, len(refused.lines)) == (2, 1)
    assert "expected a column 'image' of pictures, got photo; name it with --column" in refused.err
    ended = wordsight(*store.words(file, "--column", "photo", "--workers", 1))
    assert ended.code == 1, ended.err
    assert [row["source"] for row in store.rows()] == [f"{file}#0"]
    assert [item["source"] for item in store.unread()] == [f"{file}#1", f"{file}#2"]


def refused(wordsight, store, source, *options, told):
    """The command is refused in one line, and changes nothing."""
    before = {path: path.read_bytes() for path in sorted(store.out.rglob("*")) if path.is_file()}
    ended = wordsight(*store.words(source, *options))
    assert (ended.code, len(ended.lines)) == (2, 1), ended.lines
    assert told in ended.err
    assert {path: path.read_bytes() for path in sorted(store.out.rglob("*")) if path.is_file()} == before


def test_a_run_goes_on_only_with_what_it_was_begun_with(store, parts, onnx_writer, wordsight):
    assert wordsight(*store.words(parts, "--workers", 1, "--pictures-per-shard", 25)).code == 0
    refused(wordsight, store, parts, "--threshold", 1.2, told="--threshold was none, is 1.2")
    refused(wordsight, store, parts / "a", told="SOURCE was")
    refused(wordsight, store, parts, "--pictures-per-shard", 30, told="its shards are of 25 pictures, not 30")

    mine, store.model = store.model, store.folder / "other.onnx"
    store.model.write_bytes(
        b"".join(onnx_writer.model_parts(onnx_writer.manifest(created="2026-01-01T00:00:00Z").to_json()))
    )
    refused(wordsight, store, parts, told="is of another model: tiny.onnx")
    store.model = mine

    changed = parts / "b" / "part-00050.bmp"
    changed.write_bytes(store.picture(50, side=25))
    (parts / "a" / "new.bmp").write_bytes(store.picture(1))
    (parts / "a" / "part-00003.bmp").unlink()
    refused(wordsight, store, parts, told="1 added, 1 gone, 1 changed, first:")


def test_shards_and_folders_of_others_are_refused(store, parts, wordsight):
    import pyarrow.parquet

    words = store.words(parts, "--workers", 1, "--pictures-per-shard", 25)
    assert wordsight(*words).code == 0
    shard = store.finished()[1]
    good = shard.read_bytes()
    table = pyarrow.parquet.read_table(shard)
    facts = {**json.loads(table.schema.metadata[b"wordsight"]), "model_sha256": "f" * 64}
    out = io.BytesIO()
    pyarrow.parquet.write_table(table.replace_schema_metadata({b"wordsight": json.dumps(facts)}), out)
    for content, told in ((out.getvalue(), "is of another model"), (good[:200], "is damaged or no shard")):
        shard.write_bytes(content)
        refused(wordsight, store, parts, told=told)
    shard.write_bytes(good)
    assert wordsight(*words).code == 0

    listing = next(store.out.glob("listing.*"))
    kept = listing.read_bytes()
    listing.write_bytes(kept[:-40])
    refused(wordsight, store, parts, told="is gone or damaged")
    listing.write_bytes(kept)

    (store.out / "run.json").rename(store.folder / "run.json")
    refused(wordsight, store, parts, told="it holds shards and no run.json")
    store.out = store.folder / "thesis"
    store.out.mkdir()
    (store.out / "chapter.txt").write_text("mine")
    refused(wordsight, store, parts, told="it holds chapter.txt and no run.json")
    assert os.listdir(store.out) == ["chapter.txt"]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("nowhere", "no such file or folder"),
        ("nothing/*.jpg", "no picture in"),
        ("ftp://me:secret@host/parts", "ftp://***@host/parts holds credentials"),
        ("s3://bucket/parts?token=secret", "holds credentials"),
        ("zip://x::s3://bucket/a.zip", "got a chain of them"),
        ("nosuch://bucket/a", "expected s3://"),
    ],
)
def test_sources_that_are_none(store, source, told, wordsight):
    ended = wordsight(*store.words(source), cwd=store.folder)
    assert (ended.code, len(ended.lines)) == (2, 1), ended.lines
    assert told in ended.err
    assert "secret" not in ended.err


def test_the_results_in_the_source_are_no_source(store, parts, wordsight):
    store.out = parts / "out"
    for _ in range(2):
        assert wordsight(*store.words(parts, "--workers", 1)).code == 0
    store.check()
