"""`wordsight reference`: normal frames to a file beside the model, and scores from it, all with tiny real models."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from wordsight.runtime.few_shot import s_img
from wordsight.runtime.model import Model
from wordsight.runtime.reference_builder import ReferenceBuilder
from wordsight.runtime.references import ReferencesError
from wordsight.runtime.references_file import read_references

pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")

BLUE, GREEN, RED = (200, 0, 0), (0, 200, 0), (0, 0, 200)
SIDE = 8


def plain(colour):
    return np.full((SIDE, SIDE, 3), colour, np.uint8)


@pytest.fixture
def colours(tmp_path, tiny_model, save_picture):
    """A folder with tiny.onnx, and blue.png and green.png in good/."""
    save_picture(tmp_path / "good" / "blue.png", plain(BLUE))
    save_picture(tmp_path / "good" / "green.png", plain(GREEN))
    return tmp_path


def test_normal_frames_become_references_beside_the_model(colours, tiny_model, wordsight):
    done = wordsight("reference", "add", "tiny.onnx", "good", cwd=colours)
    assert done.code == 0, done.err
    assert "added 2, 2 references" in done.out
    with Model(tiny_model) as model:
        references = read_references(colours / "tiny.onnx.references.safetensors", for_model=model)
        purple = np.array(BLUE, np.uint8) + np.array(RED, np.uint8)
        found = s_img(model.score([plain(BLUE), plain(GREEN), plain(RED), plain(purple)]), references)
    # Its embedding is the mean colour: the same, the same, a right angle to both, 45 degrees to blue.
    np.testing.assert_allclose(found, [0, 0, 0.5, (1 - np.sqrt(0.5)) / 2], atol=1e-6)
    assert references.origin.model_sha256 == hashlib.sha256(tiny_model.read_bytes()).hexdigest()
    assert [frame.name for frame in references.frames] == ["blue.png", "green.png"]
    assert [frame.sha256 for frame in references.frames] == [
        hashlib.sha256(b"8,8;" + plain(colour).tobytes()).hexdigest() for colour in (BLUE, GREEN)
    ]
    raw = (colours / "tiny.onnx.references.safetensors").read_bytes()
    assert str(colours).encode() not in raw


def test_add_again_appends_and_skips_what_is_there(colours, wordsight, save_picture):
    assert wordsight("reference", "add", "tiny.onnx", "good/blue.png", cwd=colours).code == 0
    save_picture(colours / "copy.bmp", plain(BLUE), kind=".bmp")
    done = wordsight("reference", "add", "tiny.onnx", "copy.bmp", "good", "good/green.png", cwd=colours)
    assert done.code == 0, done.err
    assert "added 1, 2 references" in done.out
    assert "skipped 3 that are there already: copy.bmp, blue.png, green.png" in done.out
    path = colours / "tiny.onnx.references.safetensors"
    assert [frame.name for frame in read_references(path).frames] == ["blue.png", "green.png"]
    before = path.stat()
    done = wordsight("reference", "add", "tiny.onnx", "good")
    assert done.code == 0
    assert "nothing added" in done.out
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert "added 1, 1 references" in wordsight("reference", "add", "tiny.onnx", "good/green.png", "--replace").out
    assert [frame.name for frame in read_references(path).frames] == ["green.png"]


def test_every_frame_of_a_video_counts(colours, wordsight, save_video):
    save_video(colours / "v.avi", [50, 100, 150, 100])
    done = wordsight("reference", "add", "tiny.onnx", "v.avi", "-o", "r", cwd=colours)
    assert "added 3, 3 references" in done.out, done.err
    assert [(f.name, f.frame) for f in read_references(colours / "r").frames] == [("v.avi", i) for i in range(3)]


def test_show_tells_where_they_came_from_without_an_engine(colours, wordsight, monkeypatch):
    wordsight("reference", "add", "tiny.onnx", "good", "-o", "r", cwd=colours)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "cv2", None)
    done = wordsight("reference", "show", "r", "--json", "s.json")
    assert done.code == 0, done.err
    sha256 = hashlib.sha256((colours / "tiny.onnx").read_bytes()).hexdigest()
    for words in ("references  2, 24 B in memory", sha256, "test, weights mini, 3-d", "8 px, fit crop", "blue.png"):
        assert words in done.out
    facts = json.loads((colours / "s.json").read_text())
    assert facts["origin"]["model_sha256"] == sha256
    assert facts["outputs"] == {"embedding": [3]}
    assert [frame["name"] for frame in facts["frames"]] == ["blue.png", "green.png"]
    assert json.loads(wordsight("reference", "show", "r", "--json", "-").out) == facts


def test_a_name_that_is_no_utf_8_survives(colours, wordsight):
    odd = os.fsdecode(b"t\xe4il\n1.png")
    (colours / odd).write_bytes((colours / "good" / "blue.png").read_bytes())
    done = wordsight("reference", "add", "tiny.onnx", odd, "-o", "r", cwd=colours)
    assert done.code == 0, done.err
    done = wordsight("reference", "show", "r", "--json", "s.json")
    assert done.code == 0, done.err
    assert done.lines[-1].endswith("il 1.png")
    assert json.loads((colours / "s.json").read_text())["frames"][0]["name"] == odd
    assert [frame.name for frame in read_references(colours / "r").frames] == [odd]


def test_references_of_another_file_are_refused_and_stay(colours, wordsight, onnx_writer):
    wordsight("reference", "add", "tiny.onnx", "good/blue.png", "-o", "r", cwd=colours)
    before = (colours / "r").read_bytes()
    changes = {"created": "2026-11-25T06:00:00Z"}
    (colours / "b.onnx").write_bytes(b"".join(onnx_writer.model_parts(onnx_writer.manifest(**changes).to_json())))
    done = wordsight("reference", "add", "b.onnx", "good/green.png", "-o", "r")
    assert done.code == 2
    assert len(done.lines) == 1
    for name in ("tiny.onnx", "b.onnx"):
        assert hashlib.sha256((colours / name).read_bytes()).hexdigest() in done.err
    assert (colours / "r").read_bytes() == before
    assert wordsight("reference", "add", "b.onnx", "good/green.png", "-o", "r", "--replace").code == 0


def test_pictures_that_cannot_be_read_are_told_and_the_rest_is_done(colours, wordsight):
    (colours / "good" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = wordsight("reference", "add", "tiny.onnx", "good", *(f"absent{i}.png" for i in range(9)), cwd=colours)
    assert done.code == 1
    assert "broken.png" in done.err
    assert "and 6 more could not be read" in done.err
    assert "added 2" in done.out
    assert len(done.lines) <= 8


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["tiny.onnx", "absent.png"], "no such picture"),
        (["tiny.onnx", "empty"], "empty"),
        (["tiny.onnx", "good/*.tif"], "nothing matches"),
        (["tiny.onnx", "0"], "live source"),
        (["tiny.onnx", "rtsp://user:secret@cam/1"], "live source"),
        (["absent.onnx", "good"], "absent.onnx"),
        (["good/blue.png", "good"], "blue.png"),
        (["tiny.onnx", "good", "-o", "no/such/r"], "no such folder"),
        (["tiny.onnx", "good", "-o", "good"], "is a folder"),
        (["tiny.onnx", "good", "-o", "tiny.onnx"], "is the model or one of the frames"),
        (["tiny.onnx", "good", "-o", "good/blue.png"], "is the model or one of the frames"),
        (["tiny.onnx", "good", "-o", "text"], "holds no references"),
        (["tiny.onnx", "good", "--backend", "abacus"], "expected a backend of auto, ort"),
        (["tiny.onnx", "black.png"], "black.png: the model's embedding is zero or not finite"),
        (["tiny.onnx"], "Missing argument"),
    ],
)
def test_wrong_use_is_one_line_and_writes_nothing(colours, wordsight, save_picture, words, says):
    (colours / "empty").mkdir()
    (colours / "text").write_text("hello, references")
    save_picture(colours / "black.png", plain((0, 0, 0)))
    before = {path: path.read_bytes() for path in colours.rglob("*") if path.is_file()}
    done = wordsight("reference", "add", *words, cwd=colours)
    assert done.code == 2
    assert says in done.err
    assert "secret" not in done.err
    assert len(done.lines) == 1, done.lines
    assert {path: path.read_bytes() for path in colours.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["absent", "tiny.onnx", "good"])
def test_show_of_something_else_is_one_line(colours, wordsight, name):
    done = wordsight("reference", "show", name, cwd=colours)
    assert done.code == 2
    assert len(done.lines) == 1
    assert name in done.err


def test_too_many_are_refused_and_nothing_is_written(colours, wordsight, save_video, monkeypatch):
    from wordsight.runtime import reference_builder

    monkeypatch.setattr(reference_builder, "MAX_BYTES", 24)
    wordsight("reference", "add", "tiny.onnx", "good", cwd=colours)
    path = colours / "tiny.onnx.references.safetensors"
    before = path.read_bytes()
    save_video(colours / "v.avi", [50])
    done = wordsight("reference", "add", "tiny.onnx", "v.avi")
    assert done.code == 2
    assert "expected at most 2 references of this model (12 bytes each, 24 in all), got 3" in done.err
    assert path.read_bytes() == before


def test_a_full_disk_leaves_the_old_references(colours, process, wordsight):
    wordsight("reference", "add", "tiny.onnx", "good/blue.png", cwd=colours)
    path = colours / "tiny.onnx.references.safetensors"
    before = path.read_bytes()
    child = process("reference", "add", "tiny.onnx", "good", cwd=colours, file_bytes=500)
    out, err = child.communicate(timeout=180)
    assert child.returncode == 2, (out, err)
    assert "file too large" in err
    assert len((out + err).splitlines()) == 1
    assert path.read_bytes() == before
    assert not list(colours.glob(".wordsight-*"))


def test_an_interrupt_leaves_the_old_references(colours, wordsight, monkeypatch):
    wordsight("reference", "add", "tiny.onnx", "good/blue.png", cwd=colours)
    path = colours / "tiny.onnx.references.safetensors"
    before = path.read_bytes()
    original = ReferenceBuilder.add

    def add(self, frame, name, index=0):
        added = original(self, frame, name, index)
        if name == "green.png":
            raise KeyboardInterrupt
        return added

    monkeypatch.setattr(ReferenceBuilder, "add", add)
    done = wordsight("reference", "add", "tiny.onnx", "good", "--batch", "1")
    assert done.code == 130
    assert done.lines == ["wordsight: interrupted"]
    assert path.read_bytes() == before
    assert not list(colours.glob(".wordsight-*"))


def test_reading_for_another_model_is_refused_before_the_numbers_are(colours, wordsight, onnx_writer):
    wordsight("reference", "add", "tiny.onnx", "good", "-o", "r", cwd=colours)
    text = onnx_writer.manifest(
        input=onnx_writer.InputSpec(size=8, fit="squash", mean=(0,) * 3, std=(1,) * 3)
    ).to_json()
    (colours / "b.onnx").write_bytes(b"".join(onnx_writer.model_parts(text)))
    whole = (colours / "r").read_bytes()
    (colours / "r").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with Model(colours / "b.onnx") as model, pytest.raises(ReferencesError, match="fit crop, the model has squash"):
        read_references(colours / "r", for_model=model)


def test_it_works_where_the_training_stack_is_absent(colours, tiny_model):
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'torchvision', 'open_clip', 'onnx', 'safetensors')))\n"
        "from wordsight.runtime.cli import main; main(['reference', 'add', 'tiny.onnx', 'good'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=colours, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(read_references(colours / "tiny.onnx.references.safetensors")) == 2


@pytest.mark.parametrize("words", [["reference", "--help"], ["reference", "add", "--help"]])
def test_help_loads_nothing_heavy(words):
    code = (
        "import sys; from wordsight.runtime.cli import main\n"
        f"try: main({words!r})\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print('loaded:', *({'torch', 'cv2', 'onnxruntime', 'numpy', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1].split() == ["loaded:"], done.stderr
