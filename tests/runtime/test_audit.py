"""`wordsight audit`: the page, the lines and the figures of a folder of pictures, with tiny real models."""

import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from wordsight.runtime.audit_cli import audit
from wordsight.runtime.model import Model
from wordsight.runtime.mutual import Tokens, by_neighbours

cv2 = pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")

SIDE = 8
COUNT = 12
ODD = 5


@pytest.fixture
def parts(tmp_path, onnx_writer, tiny_model, save_picture):
    """A folder with grid.onnx, tiny.onnx, and parts/ with copies of one noisy picture; the sixth has a spot."""
    (tmp_path / "grid.onnx").write_bytes(b"".join(onnx_writer.grid_model_parts()))
    rng = np.random.default_rng(0)
    plain = rng.integers(60, 200, (SIDE, SIDE, 3))
    for number in range(COUNT):
        frame = plain + rng.integers(-3, 4, plain.shape)
        if number == ODD:
            frame[2:4, 4:6] = (0, 0, 255)
        save_picture(
            tmp_path / "parts" / ("bad" if number == ODD else "good") / f"{number}.png", frame.astype(np.uint8)
        )
    return tmp_path


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


class Reader(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.sources, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("model", ["grid.onnx", "tiny.onnx"])
def test_the_odd_one_comes_first(parts, wordsight, model):
    words = ("--jsonl", "a.jsonl", "--json", "f.json", "--labels-from-folders")
    done = wordsight("audit", "parts", "--model", model, "-o", "a.html", *words, cwd=parts)
    assert done.code == 0, done.err
    found = lines(parts / "a.jsonl")
    assert found[0]["source"].endswith(f"bad/{ODD}.png")
    assert [line["rank"] for line in found] == list(range(1, COUNT + 1))
    mutual = [line["mutual"] for line in found]
    assert mutual == sorted(mutual, reverse=True)
    assert sorted(line["rank_by_score"] for line in found) == list(range(1, COUNT + 1))
    by_score = sorted(found, key=lambda line: line["rank_by_score"])
    assert [line["score"] for line in by_score] == sorted((line["score"] for line in found), reverse=True)
    figures = {figure["name"]: figure for figure in json.loads((parts / "f.json").read_text())["figures"]}
    assert figures["pictures"]["value"] == COUNT
    assert figures["auroc.mutual"]["value"] == 1.0
    assert figures["mutual.highest"]["value"] == mutual[0]
    assert "auroc.mutual 1.0000" in done.out
    assert ("16 patches each" in done.out) == (model == "grid.onnx")
    assert ("by embeddings alone" in done.out) == (model == "tiny.onnx")


def test_scores_are_those_of_the_model_and_of_the_formulas(parts, wordsight):
    assert (
        wordsight("audit", "parts", "--model", "grid.onnx", "-o", "a.html", "--jsonl", "a.jsonl", cwd=parts).code == 0
    )
    found = sorted(lines(parts / "a.jsonl"), key=lambda line: int(re.search(r"(\d+)\.png", line["source"])[1]))
    frames = [cv2.imread(line["source"]) for line in found]
    with Model("grid.onnx") as model:
        scores = model.score(frames)
    assert [line["score"] for line in found] == pytest.approx(scores.score.tolist(), abs=1e-6)
    unit = scores.patches / np.linalg.norm(scores.patches, axis=-1, keepdims=True)
    near = (1 - np.einsum("imd,jnd->imjn", unit, unit).max(axis=3)) / 2
    own = [max(np.sort(np.delete(near[i, m], i))[:3].mean() for m in range(16)) for i in range(COUNT)]
    assert [line["mutual_own"] for line in found] == pytest.approx(own, abs=1e-6)
    again = by_neighbours(np.array(own, np.float32), scores.embedding)
    assert [line["mutual"] for line in found] == pytest.approx(again.tolist(), abs=1e-6)


def test_the_page_is_one_file_and_shows_where_the_odd_patch_is(parts, wordsight):
    done = wordsight("audit", "parts", "--model", "grid.onnx", "-o", "a.html", "--top", "3", cwd=parts)
    assert done.code == 0, done.err
    text = (parts / "a.html").read_text(encoding="utf-8")
    read = Reader(text)
    assert read.tags.count("img") == 6
    assert all(source.startswith("data:image/") for source in read.sources)
    assert not {"script", "link", "iframe", "form"} & set(read.tags)
    assert not re.search(r"https?:|url\(|@import", re.sub(r"base64,[A-Za-z0-9+/=]+", "", text))
    assert "prefers-color-scheme: dark" in text
    assert read.tags.count("tr") == COUNT + 1
    pictures = [cv2.imdecode(np.frombuffer(base64.b64decode(s.split(",")[1]), np.uint8), 1) for s in read.sources[:2]]
    change = np.abs(pictures[1].astype(int) - pictures[0]).sum(axis=2)
    row, column = np.mean((change > 0.7 * change.max()).nonzero(), axis=1) / change.shape
    assert (row, column) == pytest.approx((1.5 / 4, 2.5 / 4), abs=0.05)  # of 4 x 4 cells, the second row, third column


def test_without_patches_the_page_says_so_and_shows_the_detectors_map(parts, onnx_writer, wordsight):
    (parts / "heat.onnx").write_bytes(b"".join(onnx_writer.grid_model_parts(("heatmap",))))
    for model, pictures in (("heat.onnx", 2 * COUNT), ("tiny.onnx", COUNT)):
        assert wordsight("audit", "parts", "--model", model, "-o", "a.html", cwd=parts).code == 0
        read = Reader((parts / "a.html").read_text(encoding="utf-8"))
        assert "by their embeddings alone" in read.text
        assert read.tags.count("img") == pictures
        assert ("the detector's heat map" in read.text) == (model == "heat.onnx")


def test_pictures_that_cannot_be_read_are_counted_listed_and_exit_one(parts, wordsight):
    for number in range(6):
        (parts / "parts" / f"<b>{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = wordsight("audit", "parts", "--model", "grid.onnx", "-o", "a.html", "--json", "f.json", cwd=parts)
    assert done.code == 1
    assert len(done.lines) <= 8
    assert "12 pictures compared, 16 patches each, 6 could not be read" in done.out
    read = Reader((parts / "a.html").read_text(encoding="utf-8"))
    assert "Not read: 6" in read.text
    assert "<b>5.png" in read.text  # as text, not as a tag
    figures = {figure["name"]: figure for figure in json.loads((parts / "f.json").read_text())["figures"]}
    assert figures["unreadable"]["value"] == 6


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("few", "--model", "grid.onnx", "-o", "a.html"), "expected 8 or more, got 7 (1 could not be read)"),
        (("empty", "--model", "grid.onnx", "-o", "a.html"), "empty"),
        (("0", "--model", "grid.onnx", "-o", "a.html"), "live source"),
        (("parts", "--model", "absent.onnx", "-o", "a.html"), "absent.onnx"),
        (("parts", "--model", "grid.onnx", "-o", "no/a.html"), "no such folder"),
        (("parts", "--model", "grid.onnx", "-o", "parts"), "is a folder"),
        (("parts", "--model", "grid.onnx", "-o", "grid.onnx"), "two outputs have the same name, or that of the model"),
        (("parts", "--model", "grid.onnx", "-o", "parts/good/1.png"), "or of a picture"),
        (("parts", "--model", "grid.onnx", "-o", "a", "--jsonl", "a"), "two outputs have the same name"),
        (("parts", "--model", "grid.onnx", "-o", "a", "--top", "0"), "--top"),
        (("parts", "--model", "grid.onnx"), "Missing option"),
        (("parts", "-o", "a"), "Missing option"),
    ],
)
def test_wrong_use_is_one_line_and_writes_nothing(parts, wordsight, save_picture, words, says):
    (parts / "empty").mkdir()
    for number in range(7):
        save_picture(parts / "few" / f"{number}.png", 100 + number)
    (parts / "few" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    before = {path: path.read_bytes() for path in parts.rglob("*") if path.is_file()}
    done = wordsight("audit", *words, cwd=parts)
    assert done.code == 2
    assert says in done.err
    assert len(done.lines) == 1, done.lines
    assert {path: path.read_bytes() for path in parts.rglob("*") if path.is_file()} == before


def test_more_pictures_than_can_be_compared_are_refused(parts, wordsight, monkeypatch):
    monkeypatch.setattr("wordsight.runtime.audit.MOST", 10)
    done = wordsight("audit", "parts", "--model", "grid.onnx", "-o", "a.html", cwd=parts)
    assert done.code == 2
    assert "at most 10 pictures" in done.err
    assert not (parts / "a.html").exists()


def test_tokens_that_are_too_many_for_the_memory_give_the_same_page(parts, wordsight, monkeypatch):
    words = ("audit", "parts", "--model", "grid.onnx", "-o", "a.html", "--jsonl", "a.jsonl")
    assert wordsight(*words, cwd=parts).code == 0
    before = lines(parts / "a.jsonl")
    made = []

    def small(folder):
        made.append(Tokens(folder, memory_bytes=1))
        return made[0]

    monkeypatch.setattr("wordsight.runtime.audit.Tokens", small)
    assert wordsight(*words, cwd=parts).code == 0
    assert made[0].spilled
    assert lines(parts / "a.jsonl") == before
    assert sorted(path.name for path in parts.iterdir()) == ["a.html", "a.jsonl", "grid.onnx", "parts", "tiny.onnx"]


def test_one_kind_of_folder_gives_no_auroc_but_a_reason(parts, wordsight):
    (parts / "parts" / "bad").rename(parts / "good")
    words = ("--labels-from-folders", "--json", "f.json")
    done = wordsight("audit", "parts", "--model", "grid.onnx", "-o", "a.html", *words, cwd=parts)
    assert done.code == 0, done.err
    figures = {figure["name"]: figure for figure in json.loads((parts / "f.json").read_text())["figures"]}
    assert figures["auroc.mutual"]["value"] is None
    assert "folders named good" in figures["auroc.mutual"]["reason"]


def test_the_help_has_an_example(wordsight):
    assert "Example: wordsight audit" in (audit.__doc__ or "")
    assert wordsight("audit", "--help").code == 0
