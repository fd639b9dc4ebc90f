"""`wordsight report`: what the page and the figures say of archives that a test wrote, beside all rows at once."""

import base64
import importlib.util
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.scale("pyarrow")
pytest.importorskip("pyarrow", reason="pip install 'wordsight[archive]'")
cv2 = pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")

_PLACE = importlib.util.spec_from_file_location("archive_writer", Path(__file__).with_name("archive_writer.py"))
writer = importlib.util.module_from_spec(_PLACE)
_PLACE.loader.exec_module(writer)

DAY = 86_400
BEGIN = 1_790_000_000
"""A day of 2026, in seconds since 1970."""


class Page(HTMLParser):
    """What a browser would load, and what a reader would read."""

    def __init__(self, path):
        super().__init__()
        self.sources, self.text, self.pictures = [], "", []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.sources += [attributes[name] for name in ("src", "href", "srcset", "data", "action") if name in attributes]
        if tag == "img":
            self.pictures.append(attributes)
        if tag in ("script", "link", "iframe", "object"):
            self.sources.append(tag)

    def handle_data(self, data):
        self.text += data


def figures(path):
    return {figure["name"]: figure for figure in json.loads(path.read_text())["figures"]}


@pytest.fixture
def archive(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def decided(archive):
    """Four shards of five, with decisions; the scores of all, and what could not be read."""
    rng = np.random.default_rng(1)
    scores = [rng.gamma(2, 0.15, 400).astype(np.float32) for _ in range(4)]
    writer.write_run(archive, 5, 2000, threshold=1.0, unsure=0.7)
    for number, values in enumerate(scores):
        writer.write_shard(
            archive, number, {
                "score": values,
                "decision": ["defect" if value > 1 else "unsure" if value > 0.7 else "good" for value in values],
                "modified": BEGIN + rng.random(400) * 10 * DAY,
            },
            unreadable=[(f"/parts/t{number}.jpg", f"/parts/t{number}.jpg is truncated: it ends too early")] * number
            + [(f"/parts/e{number}.jpg", "empty")],
            groups=150,
        )  # fmt: skip
    return np.concatenate(scores)


def test_counts_and_quantiles_are_those_of_all_rows(archive, decided, wordsight):
    done = wordsight("report", archive, "--top", 0, "--json", archive / "f.json")
    assert done.code == 0, done.err
    found = figures(archive / "f.json")
    told = {"pictures": 2000, "scored": 1600, "unreadable": 10, "shards": 5, "shards.done": 4, "not_finite": 0}
    assert {name: found[name]["value"] for name in told} == told
    for share in (50, 90, 99, 99.9):
        figure = found[f"score.below_{share:g}%"]
        true = float(np.quantile(decided, share / 100, method="inverted_cdf"))
        assert figure["low"] <= true < figure["high"]
        assert figure["high"] - figure["low"] == 2**-10
    assert found["score.highest"]["value"] == float(decided.max())
    counts = {"defect": (decided > 1).sum(), "unsure": ((decided > 0.7) & (decided <= 1)).sum()}
    counts["good"] = 1600 - sum(counts.values())
    assert {name: found[f"decision.{name}"]["value"] for name in counts} == counts


def test_the_page_says_what_was_not_scored_and_why(archive, decided, wordsight):
    assert wordsight("report", archive, "--top", 0).code == 0
    page = Page(archive / "report.html")
    assert "Not scored: 10" in page.text
    assert re.search(r"6 ?truncated: it ends too early ?/parts/t1.jpg", page.text)
    assert re.search(r"4 ?empty ?/parts/e0.jpg, /parts/e1.jpg, /parts/e2.jpg", page.text)
    assert "defect from 1.000" in page.text
    assert "unsure from 0.700" in page.text


def test_a_run_that_goes_on_tells_how_far_it_is(archive, decided, wordsight):
    done = wordsight("report", archive, "--top", 0)
    assert "4 of 5 shards are finished" in done.out
    page = Page(archive / "report.html")
    assert "4 of 5 shards are finished" in page.text
    assert re.search(r"390 ?still to come, of 2,000", page.text)


def test_without_a_threshold_nothing_is_called_anything(archive, wordsight):
    writer.write_run(archive, 1, 200)
    writer.write_shard(archive, 0, {"score": np.linspace(0, 2, 200)})
    assert wordsight("report", archive, "--top", 0, "--json", archive / "f.json").code == 0
    assert figures(archive / "f.json")["decision.good"]["reason"].startswith("nothing was decided")
    assert "nothing was decided" in Page(archive / "report.html").text


def test_no_finished_shard_is_an_empty_page(archive, wordsight):
    writer.write_run(archive, 3, 300)
    done = wordsight("report", archive, "--json", archive / "f.json")
    assert done.code == 0, done.err
    assert "No picture is scored yet." in Page(archive / "report.html").text
    assert figures(archive / "f.json")["score.highest"]["reason"] == "no picture is scored yet"


def test_scores_that_are_no_numbers_are_counted_and_left_out(archive, wordsight):
    writer.write_run(archive, 1, 100)
    scores = np.linspace(0, 1, 100)
    scores[[3, 50]] = np.nan, np.inf
    writer.write_shard(archive, 0, {"score": scores})
    assert wordsight("report", archive, "--top", 0, "--json", archive / "f.json").code == 0
    found = figures(archive / "f.json")
    assert (found["not_finite"]["value"], found["score.highest"]["value"]) == (2, 1)
    assert found["alike.looked_at"]["value"] == 98
    assert "2 scores are not finite" in Page(archive / "report.html").text


@pytest.fixture
def pictures(archive, save_picture):
    """Ten pictures that score 1.0, 0.9 ... 0.1, and an archive of them; the model is not there."""
    rng = np.random.default_rng(2)
    paths = [
        save_picture(
            archive.parent / "parts" / f"{n}.png", cv2.resize(rng.integers(0, 255, (4, 6, 3), np.uint8), (500, 300))
        )
        for n in range(10)
    ]
    writer.write_run(archive, 1, 10)
    writer.write_listing(archive, paths)
    rows = {"score": 1 - np.arange(10) / 10, "source": [str(path) for path in paths], "embedding": np.eye(10)}
    writer.write_shard(archive, 0, rows)
    return paths


def test_the_contact_sheet_holds_the_pictures_themselves(archive, pictures, wordsight):
    assert wordsight("report", archive, "--top", 4).code == 0
    page = Page(archive / "report.html")
    assert [picture["alt"] for picture in page.pictures] == ["0.png", "1.png", "2.png", "3.png"]
    for picture, path in zip(page.pictures, pictures, strict=False):
        shown = cv2.imdecode(np.frombuffer(base64.b64decode(picture["src"].partition(",")[2]), np.uint8), 1)
        assert shown.shape == (144, 240, 3)
        true = cv2.resize(cv2.imread(str(path)), (240, 144), interpolation=cv2.INTER_AREA)
        assert np.abs(shown.astype(int) - true).mean() < 3
    assert all(source.startswith("data:image/") for source in page.sources)
    assert "default-src 'none'" in (archive / "report.html").read_text()


def test_a_picture_that_is_gone_or_changed_is_said(archive, pictures, wordsight, save_picture):
    pictures[1].unlink()
    save_picture(pictures[2], 0)
    done = wordsight("report", archive, "--json", archive / "f.json")
    assert done.code == 1
    assert f"wordsight: {pictures[1]}: gone" in done.err
    assert f"wordsight: {pictures[2]}: changed since it was listed: its size was" in done.err
    assert len(done.lines) <= 8
    page = Page(archive / "report.html")
    assert page.text.count("cannot be shown: gone") == 1
    assert page.text.count("cannot be shown: changed since it was listed") == 1
    found = figures(archive / "f.json")
    assert (found["sheet.shown"]["value"], found["sheet.gone"]["value"]) == (8, 2)


def test_without_its_listing_nothing_is_shown(archive, pictures, wordsight):
    (archive / "listing.arrow").unlink()
    done = wordsight("report", archive, "--json", archive / "f.json")
    assert done.code == 1
    assert len(done.lines) <= 8
    assert figures(archive / "f.json")["sheet.gone"]["value"] == 10


def test_names_are_texts_whatever_they_hold(archive, wordsight):
    evil = '/parts/"><script>alert(1)</script>.png'
    writer.write_run(archive, 1, 2, model="<b>m</b>.onnx")
    writer.write_shard(archive, 0, {"score": [0.5], "source": [evil]}, unreadable=[(evil, "<i>no</i> picture")])
    assert wordsight("report", archive).code == 1
    text = (archive / "report.html").read_text()
    assert "<script" not in text
    assert "<i>no" not in text
    assert "<b>m<" not in text


@pytest.fixture
def heat(archive, onnx_writer, save_picture):
    """A model of tiny pictures and an archive of two of them; the second one is dark but for a corner."""
    model = archive.parent / "grid.onnx"
    model.write_bytes(b"".join(onnx_writer.grid_model_parts(more=("heatmap",))))
    corner = np.zeros((8, 8, 3), np.uint8)
    corner[:2, 6:] = (255, 255, 0)
    paths = [save_picture(archive.parent / "parts" / "grey.png", 128, (8, 8))]
    paths.append(save_picture(archive.parent / "parts" / "corner.png", corner))
    from wordsight.runtime.files import file_sha256

    sha256 = file_sha256(model)
    writer.write_run(archive, 1, 2, model_sha256=sha256)
    writer.write_listing(archive, paths)
    rows = {"score": [1.0, 0.125], "source": [str(path) for path in paths]}
    writer.write_shard(archive, 0, rows, model_sha256=sha256)
    return model


def test_heat_maps_lie_where_the_model_sees_the_defect(archive, heat, wordsight):
    pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")
    done = wordsight("report", archive, "--model", heat, "--backend", "ort-cpu", "--json", archive / "f.json")
    assert done.code == 0, done.err
    assert figures(archive / "f.json")["sheet.heat_maps"]["value"] == 2
    shown = Page(archive / "report.html").pictures[3]
    assert shown["alt"] == "heat map of corner.png"
    drawn = cv2.imdecode(np.frombuffer(base64.b64decode(shown["src"].partition(",")[2]), np.uint8), 1).astype(float)
    middle = drawn.shape[0] // 2
    assert drawn[:middle, middle:].mean() > 20 + drawn[middle:, :middle].mean()


def test_a_model_without_heat_maps_says_so_and_loads_no_engine(archive, onnx_writer, wordsight):
    from wordsight.runtime.files import file_sha256

    model = archive.parent / "plain.onnx"
    archive.parent.mkdir(exist_ok=True)
    model.write_bytes(b"".join(onnx_writer.model_parts()))
    writer.write_run(archive, 1, 1, model_sha256=file_sha256(model))
    writer.write_shard(archive, 0, {"score": []}, model_sha256=file_sha256(model))
    assert wordsight("report", archive, "--model", model, "--backend", "no such engine").code == 0


REFUSED = {
    "no folder": (lambda out: out.rename(out.with_name("moved")), "no such folder"),
    "no run": (lambda out: (out / "run.json").unlink(), "it has no run.json"),
    "run damaged": (lambda out: (out / "run.json").write_text('{"schema": 1'), "run.json is damaged"),
    "run of a later version": (lambda out: writer.write_run(out, 2, 20, schema=2), "expected schema 1, got 2"),
    "run without a setting": (lambda out: (out / "run.json").write_text('{"schema": 1, "gate": null}'), "is damaged"),
    "shard of another model": (
        lambda out: writer.write_shard(out, 1, {"score": [1]}, model_sha256="d" * 64), "00001.parquet is of another"
    ),
    "shard of a later version": (
        lambda out: writer.write_shard(out, 1, {"score": [1]}, schema=2), "expected schema 1, got 2"
    ),
    "shard under another's name": (
        lambda out: writer.write_shard(out, 1, {"score": [1]}, shard=0), "is another shard: expected shard 1, got 0"
    ),
    "shard of a longer run": (lambda out: writer.write_shard(out, 7, {"score": [1]}), "this one has 2 shards, 0 to 1"),
    "shard with fewer rows than it says": (
        lambda out: writer.write_shard(out, 1, {"score": [1]}, count=2), "expected count 1, got 2"
    ),
    "shard of another listing": (
        lambda out: writer.write_shard(out, 1, {"score": [1]}, listing_sha256="e" * 64), "is of another listing"
    ),
    "shard truncated": (lambda out: _truncate(out / "shards" / "shard-00000.parquet"), "is damaged"),
    "shard of a stranger": (lambda out: _stranger(out / "shards" / "shard-00000.parquet"), "is damaged or no shard"),
    "shard without a column": (lambda out: _drop(out / "shards" / "shard-00000.parquet", "s_fnn"), "a column s_fnn"),
    "unknown decision": (
        lambda out: writer.write_shard(out, 1, {"score": [1], "decision": ["bad"]}), "got 'bad'"
    ),
    "list of failures gone": (
        lambda out: (out / "shards" / "shard-00000.unreadable.jsonl").unlink(), "expected 1 lines, as its"
    ),
    "list of failures damaged": (
        lambda out: (out / "shards" / "shard-00000.unreadable.jsonl").write_text("{"), "line 1: expected an object"
    ),
    "embeddings of two lengths": (
        lambda out: writer.write_shard(out, 1, {"score": [1], "embedding": np.ones((1, 5))}), "3 in shard 0 and 5 in"
    ),
}  # fmt: skip


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-40])


def _stranger(path):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), path)


def _drop(path, column):
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.parquet.read_table(path).drop_columns([column]), path)


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_archive_is_refused_and_the_old_page_stays(archive, refused, case):
    writer.write_run(archive, 2, 20)
    writer.write_shard(archive, 0, {"score": np.arange(9) / 9}, unreadable=[("/a.png", "empty")])
    page = archive.parent / "report.html"
    page.write_text("old")
    change, told = REFUSED[case]
    change(archive)
    assert told in refused(2, "report", archive, "-o", page)


def test_wrong_use_is_refused(archive, heat, tiny_model, refused):
    assert "is not the model of" in refused(2, "report", archive, "--model", tiny_model)
    assert "--alike: expected a cosine" in refused(2, "report", archive, "--alike", 1.5)
    assert "no such folder" in refused(2, "report", archive, "-o", archive / "none" / "r.html")
    assert "same name" in refused(2, "report", archive, "-o", archive / "r", "--json", archive / "r")
    assert "is a folder" in refused(2, "report", archive, "-o", archive)


def colour(picture):
    """Blue, green and red of a picture of a page, on average."""
    return cv2.imdecode(np.frombuffer(base64.b64decode(picture["src"].partition(",")[2]), np.uint8), 1).mean((0, 1))


def test_what_wordsight_archive_writes_is_read(store, wordsight):
    parts = store.folder / "parts"
    store.fill(parts, 120)
    three = [251 * 245 + 20, 251 * 160 + 100, 251 * 3 + 250]  # of colours that are not alike
    for number in three:
        store.fill(parts, 1, first=number)
    (parts / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    ended = wordsight(*store.words(parts, "--workers", 1, "--pictures-per-shard", 42, "--threshold", 0.4))
    assert ended.code == 1, ended.err  # the broken one
    assert wordsight("report", store.out, "--top", 3, "--json", store.folder / "f.json").code == 0
    found, page = figures(store.folder / "f.json"), Page(store.out / "report.html")
    told = {"scored": 123, "unreadable": 1, "shards": 3, "shards.done": 3, "left": 0, "sheet.shown": 3}
    told["decision.defect"] = sum(sum(scores) >= 0.4 for scores in store.colours.values())
    assert {name: found[name]["value"] for name in told} == told
    assert found["score.highest"]["value"] == pytest.approx(265 / 255, abs=1e-6)
    assert [picture["alt"] for picture in page.pictures] == [f"part-{number:05d}.bmp" for number in three]
    assert [tuple(colour(picture).round()) for picture in page.pictures] == [(20, 245, 7), (100, 160, 7), (250, 3, 7)]
    store.finished()[1].unlink()
    assert wordsight("report", store.out, "--top", 0, "--json", store.folder / "f.json").code == 0
    assert "2 of 3 shards are finished" in Page(store.out / "report.html").text
    assert figures(store.folder / "f.json")["scored"]["value"] < 123


def test_rows_of_a_parquet_file_are_shown_though_they_share_a_name(store, wordsight):
    import pyarrow
    import pyarrow.parquet

    numbers = [251 * 3 + 250, 5, 251 * 160 + 100, 7, 251 * 245 + 20]
    rows = [{"bytes": store.picture(number), "path": "image.bmp"} for number in numbers]
    pyarrow.parquet.write_table(pyarrow.table({"image": rows}), store.folder / "parts.parquet")
    assert wordsight(*store.words(store.folder / "parts.parquet", "--workers", 1)).code == 0
    assert wordsight("report", store.out, "--top", 3).code == 0
    page = Page(store.out / "report.html")
    assert [tuple(colour(picture).round()) for picture in page.pictures] == [(20, 245, 7), (100, 160, 7), (250, 3, 7)]


def test_the_model_of_the_archive_is_held_against_its_hash(store, onnx_writer, wordsight, refused):
    store.fill(store.folder / "parts", 5)
    assert wordsight(*store.words(store.folder / "parts", "--workers", 1)).code == 0
    other = store.folder / "other.onnx"
    other.write_bytes(b"".join(onnx_writer.grid_model_parts(more=("heatmap",))))
    assert "is not the model of" in refused(2, "report", store.out, "--model", other)
    assert wordsight("report", store.out, "--model", store.model).code == 0
