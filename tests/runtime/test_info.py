"""`wordsight info`: what an exported file says about itself, without an engine."""

import json
import sys

import pytest


@pytest.fixture
def model(tmp_path, onnx_writer):
    text = onnx_writer.manifest(head=onnx_writer.HeadSpec(sha256="b" * 64, seeds=(0, 7))).to_json()
    path = tmp_path / "m.onnx"
    path.write_bytes(b"".join(onnx_writer.model_parts(text)))
    return path


def test_it_tells_what_is_inside_without_an_engine(model, wordsight, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "cv2", None)
    done = wordsight("info", model)
    assert done.code == 0, done.err
    for words in (
        "m.onnx", "56% of 1920x1080", "75% of 1280x960", "means of colours", "MIT", "not run", "a" * 64, "b" * 64,
        "seeds 0, 7", "a photo of a damaged object", "s_pr [N]", "embedding [N, 3]", "lr 0.001",
    ):  # fmt: skip
        assert words in done.out


def test_hashes_stay_on_one_line_of_a_plain_terminal(model, wordsight, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert sum("a" * 64 in line or "b" * 64 in line for line in wordsight("info", model).lines) == 2


def test_the_manifest_as_json(model, tmp_path, wordsight):
    done = wordsight("info", model, "--json", tmp_path / "i.json")
    assert done.code == 0
    written = json.loads((tmp_path / "i.json").read_text())
    assert written["head"]["seeds"] == [0, 7]
    assert json.loads(wordsight("info", model, "--json", "-").out) == written


@pytest.mark.parametrize("place", ["missing/i.json", "."])
def test_a_place_that_cannot_be_written_is_refused(model, tmp_path, place, wordsight):
    done = wordsight("info", model, "--json", place, cwd=tmp_path)
    assert done.code == 2
    assert len(done.lines) == 1


def test_what_is_no_model_is_one_line(tmp_path, wordsight):
    (tmp_path / "a.onnx").write_text("hello")
    for words in ("a.onnx", "absent.onnx", "."):
        done = wordsight("info", words, cwd=tmp_path)
        assert done.code == 2
        assert len(done.lines) == 1
        assert words in done.err


def test_what_a_frame_costs_and_what_boards_could_do_at_most(tmp_path, onnx_writer, wordsight):
    from wordsight.runtime.manifest import CostSpec

    def told(**options):
        path = tmp_path / "m.onnx"
        path.write_bytes(b"".join(onnx_writer.model_parts(onnx_writer.manifest(**options).to_json())))
        return wordsight("info", path).out

    cost = CostSpec(parameters=117_210_000, flops=54_760_000_000, bytes=468_840_000)
    out = told(cost=cost)
    assert "117 M parameters (469 MB), 54.8 GFLOP a frame" in out
    assert "Orin Nano 8GB Super 305" in out  # 16.7 TFLOPS over 54.76 GFLOP
    assert "AGX Orin 64GB 778" in out
    assert "fp16 peaks" in out
    assert "AGX Orin 64GB 1,558" in told(cost=cost, precision="int8")
    uncounted = told(cost=CostSpec(parameters=5_000_000, bytes=20_000_000))
    assert "operations not counted" in uncounted
    assert "at most" not in uncounted
    assert "parameters" not in told()  # a file from before anybody counted


def test_a_cost_below_zero_is_no_manifest(onnx_writer):
    from wordsight.runtime.errors import ManifestInvalid
    from wordsight.runtime.manifest import Manifest

    data = json.loads(onnx_writer.manifest().to_json())
    data["cost"]["flops"] = -1
    with pytest.raises(ManifestInvalid, match=r"cost\.flops"):
        Manifest.from_json(json.dumps(data))
    del data["cost"]
    assert Manifest.from_json(json.dumps(data)).cost.flops == 0
