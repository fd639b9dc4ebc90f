"""`wordsight run` as a process: what it prints, writes and ends with."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
DRIVER = Path(__file__).with_name("run_driver.py")


def wordsight(*words, cwd, **env):
    return subprocess.run(
        [sys.executable, str(DRIVER), *map(str, words)],
        cwd=cwd, capture_output=True, text=True, timeout=60, env={**os.environ, "COLUMNS": "100", **env},
    )  # fmt: skip


def picture(path, grey, shape=(40, 40)):
    path.parent.mkdir(parents=True, exist_ok=True)
    good, data = cv2.imencode(".png", np.full((*shape, 3), grey, np.uint8))
    assert good
    path.write_bytes(data.tobytes())


def video(path, frames=10):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 64))
    rng = np.random.default_rng(0)
    for _ in range(frames):
        writer.write(rng.integers(0, 255, (64, 64, 3), np.uint8))
    writer.release()


def lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


@pytest.fixture
def parts(tmp_path):
    for number, grey in enumerate((0, 51, 255)):
        picture(tmp_path / "parts" / f"p{number}.png", grey)
    return tmp_path


def test_folder_is_scored_in_order_with_decisions(parts):
    done = wordsight("run", "m.onnx", "parts", "--jsonl", "o.jsonl", "--threshold", "0.4", cwd=parts)
    assert done.returncode == 0, done.stderr
    found = lines(parts / "o.jsonl")
    assert [line["source"] for line in found] == [os.path.join("parts", f"p{number}.png") for number in range(3)]
    assert [line["score"] for line in found] == pytest.approx([0, 0.4, 2], abs=1e-6)
    assert [line["decision"] for line in found] == ["good", "defect", "defect"]
    assert "scored 3, failed 0, 1 good, 2 defect" in done.stdout
    assert "a stand-in for tests" in done.stdout
    assert done.stderr == ""


def test_without_threshold_nothing_is_decided(parts):
    assert wordsight("run", "m.onnx", "parts", "--jsonl", "o.jsonl", cwd=parts).returncode == 0
    assert [line["decision"] for line in lines(parts / "o.jsonl")] == [None] * 3


@pytest.mark.parametrize("batch", [1, 2, 32])
def test_batches_keep_order_and_bad_files_stop_nothing(parts, batch):
    (parts / "parts" / "p1.png").write_bytes(b"broken")
    picture(parts / "parts" / "p10.png", 102)
    done = wordsight("run", "m.onnx", "parts", "--jsonl", "o.jsonl", "--errors", "e.jsonl", "--batch", batch, cwd=parts)
    assert done.returncode == 1
    assert [line["score"] for line in lines(parts / "o.jsonl")] == pytest.approx([0, 2, 0.8], abs=1e-6)
    (failure,) = lines(parts / "e.jsonl")
    assert failure["source"] == os.path.join("parts", "p1.png")
    assert "p1.png" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("run",),
        ("run", "m.onnx"),
        ("run", "m.onnx", "empty"),
        ("run", "m.onnx", "none*.png"),
        ("run", "m.onnx", "missing.png"),
        ("run", "m.onnx", "text.txt"),
        ("run", "m.onnx", "97"),
        ("run", "m.onnx", "parts", "empty"),
        ("run", "m.onnx", "parts", "--threshold", "2.5"),
        ("run", "m.onnx", "parts", "--threshold", "-0.1"),
        ("run", "m.onnx", "parts", "--threshold", "nan"),
        ("run", "m.onnx", "parts", "--batch", "0"),
        ("run", "m.onnx", "parts", "--jsonl", "missing/o.jsonl"),
        ("run", "m.onnx", "parts", "--jsonl", "parts"),
        ("run", "m.onnx", "parts", "--annotate", "parts"),
        ("run", "m.onnx", "parts", "--annotate", "text.txt"),
        ("run", "m.onnx", "parts", "--jsonl", "parts/p0.png"),
        ("run", "m.onnx", "parts", "--jsonl", "m.onnx"),
        ("run", "m.onnx", "parts", "--jsonl", "o", "--errors", "o"),
        ("run", "m.onnx", "parts", "--demo"),
        ("run", "m.onnx", "parts", "--nonsense"),
    ],
)
def test_wrong_use_is_short_and_leaves_nothing(parts, words):
    (parts / "empty").mkdir()
    (parts / "text.txt").write_text("hello")
    (parts / "m.onnx").write_text("model")
    before = {path: path.read_bytes() for path in parts.rglob("*") if path.is_file()}
    done = wordsight(*words, cwd=parts)
    assert done.returncode == 2
    assert 1 <= len((done.stdout + done.stderr).splitlines()) <= 8
    assert "Traceback" not in done.stderr
    assert {path: path.read_bytes() for path in parts.rglob("*") if path.is_file()} == before


def test_absent_camera_is_one_line(parts):
    done = wordsight("run", "m.onnx", "97", cwd=parts)
    assert len((done.stdout + done.stderr).splitlines()) == 1
    assert "no camera" in done.stderr


def test_unseen_share_is_stated_and_warned_of_once_a_size(tmp_path):
    for number in range(3):
        picture(tmp_path / f"{number}.png", 9, (1080, 1920))
    done = wordsight("run", "m.onnx", ".", cwd=tmp_path)
    assert done.returncode == 0
    assert "56% of 1920x1080" in done.stdout
    assert done.stderr.count("1920x1080") == 1


def test_video_cut_in_the_middle_keeps_its_scored_frames(tmp_path):
    video(tmp_path / "v.avi", 20)
    whole = (tmp_path / "v.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) * 6 // 10])
    done = wordsight("run", "m.onnx", "cut.avi", "--jsonl", "o.jsonl", cwd=tmp_path)
    assert done.returncode == 1
    found = lines(tmp_path / "o.jsonl")
    assert [line["frame"] for line in found] == list(range(len(found)))
    assert 5 <= len(found) < 13
    assert "ends in the middle" in done.stderr


def test_annotated_pictures_and_video_are_written(parts):
    video(parts / "v.avi")
    done = wordsight("run", "m.onnx", "parts", "v.avi", "--annotate", "out", cwd=parts)
    assert done.returncode == 0, done.stderr
    written = sorted(path.name for path in (parts / "out").iterdir())
    assert written[:3] == ["p0.jpg", "p1.jpg", "p2.jpg"]
    assert Path(written[3]).stem == "v"


def test_show_without_a_window_is_exit_three(parts):
    done = wordsight("run", "m.onnx", "parts", "--show", cwd=parts, DISPLAY="", WAYLAND_DISPLAY="")
    assert done.returncode == 3
    assert len((done.stdout + done.stderr).splitlines()) == 1


def test_interrupt_leaves_whole_lines_and_a_summary(parts):
    video(parts / "v.avi", 200)
    command = [sys.executable, str(DRIVER), "run", "m.onnx", "v.avi", "--jsonl", "o.jsonl", "--batch", "1"]
    process = subprocess.Popen(
        command, cwd=parts, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "DRIVER_DELAY_S": "0.05"},
    )  # fmt: skip
    target = parts / "o.jsonl"
    deadline = time.monotonic() + 30
    while (not target.exists() or target.read_bytes().count(b"\n") < 3) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    found = lines(target)
    assert 3 <= len(found) < 200
    assert f"scored {len(found)}" in out
    assert "interrupted" in err
    assert "Traceback" not in err


def test_full_disk_is_one_line(parts):
    done = wordsight("run", "m.onnx", "parts", "--jsonl", "/dev/full", cwd=parts)
    assert done.returncode == 2
    assert "no space left" in done.stderr
    assert len((done.stdout + done.stderr).splitlines()) == 1


def test_credentials_appear_nowhere(parts):
    done = wordsight("run", "m.onnx", "rtsp://u:s3cret@127.0.0.1:9/x", "--errors", "e.jsonl", cwd=parts)
    assert done.returncode == 2
    assert "s3cret" not in done.stdout + done.stderr + (parts / "e.jsonl").read_text()


def test_info_tells_what_is_inside(tmp_path):
    done = wordsight("info", "m.onnx", "--json", "i.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in (
        "56% of 1920x1080",
        "75% of 1280x960",
        "a stand-in for tests",
        "MIT",
        "not run",
        "0" * 64,
        "a bad photo",
    ):
        assert words in done.stdout
    assert json.loads((tmp_path / "i.json").read_text())["head"]["seeds"] == [0, 1]
    printed = wordsight("info", "m.onnx", "--json", "-", cwd=tmp_path)
    assert json.loads(printed.stdout)["encoder"]["note"] == "a stand-in for tests"
