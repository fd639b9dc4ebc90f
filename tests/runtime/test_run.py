"""`wordsight run` on a real model file, in this process: what it prints, writes and ends with.

The model is `tiny_model`: s_pr is the mean blue of the 8x8 frame / 255, s_fnn its mean green / 255, score their sum. A
plain grey picture of level g therefore scores 2 g / 255, whatever its size.
"""

import json
import os
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")


def lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


@pytest.fixture
def parts(tmp_path, tiny_model, save_picture):
    """A folder with tiny.onnx and three plain pictures of grey 0, 51 and 255 in parts/."""
    for number, grey in enumerate((0, 51, 255)):
        save_picture(tmp_path / "parts" / f"p{number}.png", grey)
    return tmp_path


def test_scores_are_those_of_the_graph_computed_by_hand(tmp_path, tiny_model, save_picture, wordsight):
    frames = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    for number, frame in enumerate(frames):
        save_picture(tmp_path / "in" / f"{number}.png", frame)
    done = wordsight("run", tiny_model, "in", "--jsonl", "o.jsonl", cwd=tmp_path)
    assert done.code == 0, done.err
    found = lines(tmp_path / "o.jsonl")
    means = frames.mean(axis=(1, 2)) / 255  # blue, green, red
    assert [line["s_pr"] for line in found] == pytest.approx(means[:, 0], abs=1e-6)
    assert [line["s_fnn"] for line in found] == pytest.approx(means[:, 1], abs=1e-6)
    assert [line["score"] for line in found] == pytest.approx(means[:, 0] + means[:, 1], abs=1e-6)
    for line, mean in zip(found, means, strict=True):
        assert f"{mean[0] + mean[1]:.4f}" in done.out, line["source"]


def test_folder_is_scored_in_order_with_decisions(parts, wordsight):
    done = wordsight("run", "tiny.onnx", "parts", "--jsonl", "o.jsonl", "--threshold", "0.4", cwd=parts)
    assert done.code == 0, done.err
    found = lines(parts / "o.jsonl")
    assert [line["source"] for line in found] == [os.path.join("parts", f"p{number}.png") for number in range(3)]
    assert [line["score"] for line in found] == pytest.approx([0, 0.4, 2], abs=1e-6)
    assert [line["decision"] for line in found] == ["good", "defect", "defect"]
    assert "scored 3, failed 0, 1 good, 2 defect" in done.out
    assert "means of colours" in done.out
    assert done.err == ""


def test_without_threshold_nothing_is_decided(parts, wordsight):
    assert wordsight("run", "tiny.onnx", "parts", "--jsonl", "o.jsonl", cwd=parts).code == 0
    assert [line["decision"] for line in lines(parts / "o.jsonl")] == [None] * 3


def test_a_line_is_stamped_with_the_moment_in_utc(parts, wordsight):
    wordsight("run", "tiny.onnx", "parts/p0.png", "--jsonl", "o.jsonl", cwd=parts)
    (line,) = lines(parts / "o.jsonl")
    stamp = datetime.fromisoformat(line["timestamp"].replace("Z", "+00:00"))
    assert abs(datetime.now(stamp.tzinfo) - stamp) < timedelta(minutes=1)


@pytest.mark.parametrize("batch", [1, 2, 32])
def test_batches_keep_order_and_bad_files_stop_nothing(parts, batch, save_picture, wordsight):
    (parts / "parts" / "p1.png").write_bytes(b"broken")
    save_picture(parts / "parts" / "p10.png", 102)
    words = ("run", "tiny.onnx", "parts", "--jsonl", "o.jsonl", "--errors", "e.jsonl", "--batch", batch)
    done = wordsight(*words, cwd=parts)
    assert done.code == 1
    assert [line["score"] for line in lines(parts / "o.jsonl")] == pytest.approx([0, 2, 0.8], abs=1e-6)
    (failure,) = lines(parts / "e.jsonl")
    assert failure["source"] == os.path.join("parts", "p1.png")
    assert failure["error"] == "PictureError"
    assert "p1.png" in done.err


def test_a_run_with_failures_takes_eight_lines_and_keeps_the_highest_scores(parts, save_picture, save_video, wordsight):
    for number in range(20):
        (parts / "parts" / f"bad{number}.png").write_bytes(b"broken")
        save_picture(parts / "parts" / f"q{number}.png", 10 * number, (40, 30 + number))
    done = wordsight("run", "tiny.onnx", "parts", cwd=parts)
    assert done.code == 1
    assert len(done.lines) <= 8
    assert "p2.png" in done.out  # grey 255
    assert "2.0000" in done.out
    assert "and 18 more; --errors FILE keeps all" in done.err


def test_a_run_without_failures_leaves_an_empty_errors_file(parts, wordsight):
    (parts / "e.jsonl").write_text("of the run before\n")
    assert wordsight("run", "tiny.onnx", "parts", "--errors", "e.jsonl", cwd=parts).code == 0
    assert (parts / "e.jsonl").read_bytes() == b""


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("tiny.onnx",),
        ("tiny.onnx", "empty"),
        ("tiny.onnx", "none*.png"),
        ("tiny.onnx", "missing.png"),
        ("tiny.onnx", "text.txt"),
        ("tiny.onnx", "97"),
        ("tiny.onnx", "parts", "empty"),
        ("tiny.onnx", "onvif://cam/main"),
        ("missing.onnx", "parts"),
        ("parts", "parts"),
        ("text.txt", "parts"),
        ("tiny.onnx", "parts", "--threshold", "2.5"),
        ("tiny.onnx", "parts", "--threshold", "-0.1"),
        ("tiny.onnx", "parts", "--threshold", "nan"),
        ("tiny.onnx", "parts", "--threshold", "high"),
        ("tiny.onnx", "parts", "--batch", "0"),
        ("tiny.onnx", "parts", "--batch", "9999"),
        ("tiny.onnx", "parts", "--backend", "abacus"),
        ("tiny.onnx", "parts", "--jsonl", "missing/o.jsonl"),
        ("tiny.onnx", "parts", "--jsonl", "parts"),
        ("tiny.onnx", "parts", "--errors", "missing/e.jsonl"),
        ("tiny.onnx", "parts", "--errors", "parts"),
        ("tiny.onnx", "parts", "--annotate", "parts"),
        ("tiny.onnx", "parts", "--annotate", "text.txt"),
        ("tiny.onnx", "parts", "--jsonl", "parts/p0.png"),
        ("tiny.onnx", "parts", "--jsonl", "tiny.onnx"),
        ("tiny.onnx", "parts", "--jsonl", "o", "--errors", "o"),
        ("tiny.onnx", "parts", "--demo"),
        ("tiny.onnx", "parts", "--nonsense"),
    ],
)
def test_wrong_use_is_short_and_leaves_nothing(parts, words, wordsight):
    (parts / "empty").mkdir()
    (parts / "text.txt").write_text("hello")
    before = {path: path.read_bytes() for path in parts.rglob("*") if path.is_file()}
    done = wordsight("run", *words, cwd=parts)
    assert done.code == 2
    assert 1 <= len(done.lines) <= 8
    assert done.lines[0].startswith("wordsight: ")
    assert "Traceback" not in done.err
    assert "internal error" not in done.err
    assert {path: path.read_bytes() for path in parts.rglob("*") if path.is_file()} == before


def test_absent_camera_is_one_line(parts, wordsight):
    done = wordsight("run", "tiny.onnx", "97", cwd=parts)
    assert len(done.lines) == 1
    assert "no camera" in done.err


def test_unseen_share_is_stated_and_warned_of_once_a_size(tmp_path, tiny_model, save_picture, wordsight):
    for number in range(3):
        save_picture(tmp_path / f"{number}.png", 9, (1080, 1920))
    done = wordsight("run", tiny_model, ".", cwd=tmp_path)
    assert done.code == 0
    assert "56% of 1920x1080" in done.out
    assert done.err.count("1920x1080") == 1


def test_annotated_pictures_and_video_are_written(parts, save_video, wordsight):
    save_video(parts / "v.avi", range(0, 200, 20))
    done = wordsight("run", "tiny.onnx", "parts", "v.avi", "--annotate", "out", "--jsonl", "o.jsonl", cwd=parts)
    assert done.code == 0, done.err
    *pictures, video = sorted((parts / "out").iterdir())
    assert [path.name for path in pictures] == ["p0.jpg", "p1.jpg", "p2.jpg"]
    assert video.stem == "v"
    capture = cv2.VideoCapture(str(video))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 10
    capture.release()
    found = [line for line in lines(parts / "o.jsonl") if line["source"] == "v.avi"]
    assert [line["frame"] for line in found] == list(range(10))
    # JPEG inside the video moves a plain grey by a level or two.
    assert [line["score"] for line in found] == pytest.approx([2 * g / 255 for g in range(0, 200, 20)], abs=0.03)


def test_show_without_a_window_is_exit_three(parts, wordsight, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    done = wordsight("run", "tiny.onnx", "parts", "--show", "--jsonl", "o.jsonl", cwd=parts)
    assert done.code == 3
    assert len(done.lines) == 1
    assert not (parts / "o.jsonl").exists()


def test_show_with_a_headless_opencv_names_the_line_that_installs_windows(parts, wordsight, monkeypatch):
    from wordsight.runtime import opencv

    monkeypatch.setattr(opencv, "_build", lambda: "  GUI:                           NONE\n")
    done = wordsight("run", "tiny.onnx", "parts", "--show", cwd=parts)
    assert done.code == 3
    assert "pip install 'wordsight[gui]'" in done.err


@pytest.mark.parametrize(
    "words",
    [
        ("tiny.onnx", "rtsp://u:s3cret@127.0.0.1:9/x"),
        ("tiny.onnx", "http://127.0.0.1:9/video?user=me&password=s3cret"),
        ("tiny.onnx", "onvif://u:s3cret@127.0.0.1:9/x"),
        ("rtsp://u:s3cret@127.0.0.1:9/x", "tiny.onnx"),
        ("tiny.onnx", "rtsp://u:s3cret@127.0.0.1:9/x", "--threshold", "rtsp://u:s3cret@127.0.0.1:9/x"),
        ("tiny.onnx", "rtsp://u:s3cret@127.0.0.1:9/x", "--nonsense"),
    ],
)
def test_credentials_appear_nowhere(parts, words, wordsight):
    done = wordsight("run", *words, "--errors", "e.jsonl", "--annotate", "out", cwd=parts)
    assert done.code == 2
    assert 1 <= len(done.lines) <= 8
    assert "s3cret" not in done.out + done.err
    for path in parts.rglob("*"):
        assert "s3cret" not in str(path)
        assert path.is_dir() or b"s3cret" not in path.read_bytes()
