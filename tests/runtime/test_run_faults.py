"""`wordsight run` when the disk fills up or the user has seen enough: lines stay whole, files are whole or absent."""

import json
import os
import signal
import time

import pytest

cv2 = pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")


def whole_lines(path):
    """The objects of a JSON lines file; fails when the last line is cut."""
    text = path.read_text()
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def parts(tmp_path, tiny_model, save_picture):
    for number in range(20):
        save_picture(tmp_path / "parts" / f"p{number}.png", 10 * number, (200, 200))
    return tmp_path


def end(child):
    out, err = child.communicate(timeout=180)
    assert "Traceback" not in err
    return child.returncode, out, err


def test_interrupt_leaves_whole_lines_and_a_summary(tmp_path, tiny_model, save_picture, process):
    large = save_picture(tmp_path / "large.png", 51, (1500, 2000))
    (tmp_path / "parts").mkdir()
    for number in range(5000):
        (tmp_path / "parts" / f"p{number}.png").symlink_to(large)
    child = process("run", tiny_model, "parts", "--jsonl", "o.jsonl", "--batch", "1", cwd=tmp_path)
    target = tmp_path / "o.jsonl"
    deadline = time.monotonic() + 120
    while (not target.exists() or target.read_bytes().count(b"\n") < 3) and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    code, out, err = end(child)
    assert code == 130
    found = whole_lines(target)
    assert 3 <= len(found) < 5000
    assert [line["score"] for line in found] == pytest.approx([0.4] * len(found), abs=1e-6)
    # The signal may fall between the line and the count.
    assert any(f"scored {count}," in out for count in (len(found), len(found) - 1))
    assert "interrupted" in err
    assert len((out + err).splitlines()) <= 8


def test_interrupt_finishes_the_annotated_video(tmp_path, tiny_model, save_video, wordsight, monkeypatch):
    from wordsight.runtime.sinks.pictures import AnnotatedPictures

    written = []

    def write(self, result):
        if len(written) == 5:
            raise KeyboardInterrupt
        written.append(result.score)
        original(self, result)

    original = AnnotatedPictures.write
    monkeypatch.setattr(AnnotatedPictures, "write", write)
    save_video(tmp_path / "v.avi", range(0, 200, 10))
    done = wordsight("run", tiny_model, "v.avi", "--annotate", "out", "--jsonl", "o.jsonl", cwd=tmp_path)
    assert done.code == 130
    (video,) = (tmp_path / "out").iterdir()
    capture = cv2.VideoCapture(str(video))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 5
    capture.release()
    assert len(whole_lines(tmp_path / "o.jsonl")) == 6  # lines are written first


@pytest.mark.parametrize("option", ["--jsonl", "--errors"])
def test_a_full_device_is_one_line(parts, option, wordsight):
    (parts / "parts" / "bad.png").write_bytes(b"broken")
    done = wordsight("run", "tiny.onnx", "parts", option, "/dev/full", cwd=parts)
    assert done.code == 2
    assert "/dev/full: no space left" in done.err
    assert len(done.lines) == 1


def test_a_disk_that_fills_up_leaves_whole_json_lines(parts, process):
    code, out, err = end(process("run", "tiny.onnx", "parts", "--jsonl", "o.jsonl", cwd=parts, file_bytes=1000))
    assert code == 2
    assert len((out + err).splitlines()) == 1
    assert "o.jsonl: file too large; the lines before this one are whole" in err
    found = whole_lines(parts / "o.jsonl")
    assert 3 <= len(found) < 20
    assert [line["score"] for line in found] == pytest.approx([20 * i / 255 for i in range(len(found))], abs=1e-6)


def test_a_disk_that_fills_up_leaves_whole_pictures(parts, process):
    code, out, err = end(process("run", "tiny.onnx", "parts", "--annotate", "out", cwd=parts, file_bytes=1000))
    assert code == 2
    assert len((out + err).splitlines()) == 1
    assert "p0.jpg: file too large" in err
    assert list((parts / "out").iterdir()) == []


def test_a_disk_that_fills_up_leaves_no_half_video(tmp_path, tiny_model, save_video, process):
    save_video(tmp_path / "v.avi", range(0, 250, 5), side=320)
    child = process("run", tiny_model, "v.avi", "--annotate", "out", cwd=tmp_path, file_bytes=20_000)
    code, out, err = end(child)
    assert code == 2
    assert len((out + err).splitlines()) == 1
    assert "did not reach the disk whole" in err
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("command", ["info", "doctor"])
def test_a_disk_that_fills_up_keeps_the_older_json(tmp_path, tiny_model, process, command):
    (tmp_path / "i.json").write_text("older")
    words = ("info", tiny_model) if command == "info" else ("doctor",)
    code, out, err = end(process(*words, "--json", "i.json", cwd=tmp_path, file_bytes=100))
    assert code == 2
    assert (out, err) == ("", "wordsight: i.json: file too large\n")
    assert (tmp_path / "i.json").read_text() == "older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["i.json", "tiny.onnx"]


def test_a_reader_that_leaves_early_is_no_error_of_ours(parts, process):
    read, written = os.pipe()
    os.close(read)
    child = process("run", "tiny.onnx", "parts", cwd=parts, stdout=written)
    os.close(written)
    assert child.wait(timeout=120) != 0
    assert len(child.stderr.read().splitlines()) <= 1
