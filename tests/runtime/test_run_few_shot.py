"""`wordsight run` and `Model` with references: s_img beside the other scores, and the sum with it.

The embedding of `tiny_model` is the mean colour of a frame, so that distances are angles between colours.
"""

import json

import numpy as np
import pytest

from wordsight.runtime import few_shot
from wordsight.runtime.few_shot import FewShot
from wordsight.runtime.model import Model
from wordsight.runtime.references import ReferencesError
from wordsight.runtime.references_file import read_references

pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")

BLUE, GREEN, RED = (204, 0, 0), (0, 204, 0), (0, 0, 204)
SIDE = 8


def plain(colour):
    return np.full((SIDE, SIDE, 3), colour, np.uint8)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def line(tmp_path, tiny_model, save_picture, wordsight):
    """A folder with tiny.onnx, its references blue and green beside it, and parts/ with blue, green and red."""
    for number, colour in enumerate((BLUE, GREEN, RED)):
        save_picture(tmp_path / "parts" / f"p{number}.png", plain(colour))
    done = wordsight("reference", "add", "tiny.onnx", "parts/p0.png", "parts/p1.png", cwd=tmp_path)
    assert done.code == 0, done.err
    return tmp_path


def test_references_beside_the_model_are_taken_in(line, wordsight):
    done = wordsight("run", "tiny.onnx", "parts", "--jsonl", "o.jsonl", "--threshold", "1.4")
    assert done.code == 0, done.err
    found = lines(line / "o.jsonl")
    # s_pr is blue / 255, s_fnn green / 255; red is at a right angle to both references: (1 - 0) / 2.
    assert [row["s_img"] for row in found] == pytest.approx([0, 0, 0.5], abs=1e-6)
    assert [row["score"] for row in found] == pytest.approx([0.8, 0.8, 0.5], abs=1e-6)
    assert "s_img" in done.out
    told = "score = s_pr + s_fnn + s_img; s_img by embedding from 2 references of tiny.onnx.references.safetensors"
    assert told in done.out


def test_weight_and_shots_and_another_file(line, wordsight):
    (line / "tiny.onnx.references.safetensors").rename(line / "r")
    words = ("--references", "r", "--shots", "1", "--weight-img", "2.5", "--threshold", "4.5")
    done = wordsight("run", "tiny.onnx", "parts", "--jsonl", "o.jsonl", *words)
    assert done.code == 0, done.err
    found = lines(line / "o.jsonl")
    assert [row["s_img"] for row in found] == pytest.approx([0, 0.5, 0.5], abs=1e-6)  # from blue alone
    assert [row["score"] for row in found] == pytest.approx([0.8, 0.8 + 1.25, 1.25], abs=1e-6)
    assert [row["decision"] for row in found] == ["good"] * 3
    assert "score = s_pr + s_fnn + 2.5 s_img; s_img by embedding from 1 reference of r" in done.out
    refused = wordsight("run", "tiny.onnx", "parts", *words[:-1], "4.6")
    assert refused.code == 2
    assert "expected 0 to 4.5" in refused.err


def test_left_aside_nothing_is_as_if_there_were_none(line, wordsight):
    assert wordsight("run", "tiny.onnx", "parts", "--jsonl", "a.jsonl", "--no-references").code == 0
    (line / "tiny.onnx.references.safetensors").unlink()
    done = wordsight("run", "tiny.onnx", "parts", "--jsonl", "b.jsonl")
    assert "s_img" not in done.out
    bare = [
        [{k: v for k, v in row.items() if k != "timestamp"} for row in lines(line / f)] for f in ("a.jsonl", "b.jsonl")
    ]
    assert bare[0] == bare[1]
    assert "s_img" not in bare[0][0]
    assert [row["score"] for row in bare[0]] == pytest.approx([0.8, 0.8, 0], abs=1e-6)


def test_anothers_references_are_refused_and_never_passed_over(line, onnx_writer, wordsight):
    other = onnx_writer.manifest(head=onnx_writer.HeadSpec(sha256="c" * 64, seeds=(1,))).to_json()
    (line / "tiny.onnx").write_bytes(b"".join(onnx_writer.model_parts(other)))
    for words in ((), ("--references", "tiny.onnx.references.safetensors")):
        done = wordsight("run", "tiny.onnx", "parts", "--jsonl", "o.jsonl", *words)
        assert done.code == 2
        assert len(done.lines) == 1
        assert "came from another model" in done.err
        assert "--replace" in done.err
        assert "--no-references" in done.err
    assert not (line / "o.jsonl").exists()
    assert wordsight("run", "tiny.onnx", "parts", "--no-references").code == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--shots", "3"), "expected k of at most 2, the references there are, got 3"),
        (("--shots", "0"), "expected k of at least 1"),
        (("--references", "absent"), "no references at absent"),
        (("--references", "parts/p0.png"), "holds no references"),
        (("--references", "parts"), "is no file"),
        (("--references", "r", "--no-references"), "got both"),
        (("--no-references", "--shots", "1"), "--shots needs references and --no-references was given"),
        (("--s-img", "association"), "patches, windows_2, windows_3 not found in tiny.onnx.references.safetensors"),
        (("--s-img", "nearest"), "association"),
        (("--weight-img", "-1"), "weight of s_img of 0 or more"),
        (("--weight-img", "nan"), "weight of s_img of 0 or more"),
        (("--jsonl", "tiny.onnx.references.safetensors"), "names the model, its references"),
    ],
)
def test_wrong_use_is_one_line_and_writes_nothing(line, words, says, wordsight):
    before = {path: path.read_bytes() for path in line.rglob("*") if path.is_file()}
    done = wordsight("run", "tiny.onnx", "parts", *words)
    assert done.code == 2
    assert says in done.err
    assert len(done.lines) == 1, done.lines
    assert {path: path.read_bytes() for path in line.rglob("*") if path.is_file()} == before


def test_options_about_references_need_some(line, wordsight):
    (line / "tiny.onnx.references.safetensors").unlink()
    done = wordsight("run", "tiny.onnx", "parts", "--weight-img", "2")
    assert done.code == 2
    assert "--weight-img needs references and there is no tiny.onnx.references.safetensors" in done.err


def test_a_run_with_failures_still_tells_how_the_score_is_summed(line, wordsight):
    (line / "parts" / "bad.png").write_bytes(b"broken")
    done = wordsight("run", "tiny.onnx", "parts")
    assert done.code == 1
    assert len(done.lines) <= 8
    assert "score = s_pr + s_fnn + s_img" in done.out


@pytest.mark.parametrize("method", ["embedding", "association"])
@pytest.mark.parametrize("object_name", [None, "screw"])
def test_the_model_gives_the_sums_of_few_shot(tmp_path, onnx_writer, wordsight, save_picture, method, object_name):
    path = tmp_path / "grid.onnx"
    path.write_bytes(b"".join(onnx_writer.grid_model_parts(score=onnx_writer.ScoreSpec(w_pr=0.5, w_fnn=2.0))))
    rng = np.random.default_rng(3)
    frames = rng.integers(1, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)
    for number in range(3):
        save_picture(tmp_path / f"{number}.png", rng.integers(1, 256, (SIDE, SIDE, 3), dtype=np.uint8))
    assert wordsight("reference", "add", path, "0.png", "1.png", "2.png", cwd=tmp_path).code == 0
    references = read_references(f"{path}.references.safetensors").first(2)
    with Model(path, object=object_name) as bare:
        alone = bare.score(frames)
        assert alone.s_img is None
        assert bare.top == 2.5
    if object_name is not None:
        np.testing.assert_allclose(alone.s_pr, frames[..., 2].mean(axis=(1, 2)) / 255, atol=1e-6)
    with Model(path, object=object_name, references=FewShot(references, method, 3.0)) as model:
        scores = model.score(frames)
        assert model.top == 5.5
        assert len(model.score([]).s_img) == 0
    distances = few_shot.s_img(alone, references, method)
    assert distances.max() > 0.001
    np.testing.assert_array_equal(scores.s_img, distances)
    by_hand = 0.5 * alone.s_pr + 2.0 * alone.s_fnn + 3.0 * distances
    np.testing.assert_allclose(scores.score, by_hand, atol=1e-6)


def test_a_model_takes_references_by_their_file(line):
    with Model(line / "tiny.onnx", references=line / "tiny.onnx.references.safetensors") as model:
        assert model.score([plain(RED)]).s_img == pytest.approx([0.5])


def test_a_model_refuses_what_it_cannot_compare_before_an_engine_is_loaded(line, monkeypatch):
    references = read_references(line / "tiny.onnx.references.safetensors")

    def never(*words):
        raise AssertionError("the engine was loaded")

    monkeypatch.setattr("wordsight.runtime.model.open_backend", never)
    with pytest.raises(ReferencesError, match="windows_2"):
        Model(line / "tiny.onnx", references=FewShot(references, "association"))
    with pytest.raises(ReferencesError, match="no references at"):
        Model(line / "tiny.onnx", references=line / "absent")
