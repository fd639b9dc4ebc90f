"""`wordsight run` on inputs that are odd but valid, each scored by its rule, and on bad ones, each told in one line.

The model's score is (mean blue + mean green) / 255 of an 8x8 frame: see `tiny_model`.
"""

import json
import os
import struct
import sys
import zlib

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")


@pytest.fixture
def scored(tmp_path, tiny_model, wordsight):
    """Run the command on one file and return its only line and what was printed."""

    def score(path):
        done = wordsight("run", tiny_model, path, "--jsonl", tmp_path / "o.jsonl")
        assert done.code == 0, done.err
        (line,) = map(json.loads, (tmp_path / "o.jsonl").read_text().splitlines())
        return line, done

    return score


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def tiff(array, photometric):
    """An uncompressed TIFF of (H, W, C) uint8, written by hand: OpenCV writes neither CMYK nor orientations."""
    height, width, channels = array.shape
    tags = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, channels, 8 if channels < 2 else 0), (259, 3, 1, 1),
        (262, 3, 1, photometric), (273, 4, 1, 0), (277, 3, 1, channels), (278, 3, 1, height), (279, 4, 1, array.size),
    ]  # fmt: skip
    at = 8 + 2 + 12 * len(tags) + 4
    places = {258: at, 273: at + 2 * channels}
    entries = b"".join(struct.pack("<HHII", tag, kind, n, places.get(tag, v)) for tag, kind, n, v in tags)
    bits = struct.pack(f"<{channels}H", *[8] * channels)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + bits + array.tobytes()


def test_grey(tmp_path, save_picture, scored, noise):
    line, _ = scored(save_picture(tmp_path / "grey.png", noise[..., 0]))
    assert line["s_pr"] == line["s_fnn"] == pytest.approx(noise[..., 0].mean() / 255, abs=1e-6)


def test_16_bit_is_divided_by_257(tmp_path, save_picture, scored):
    deep = np.random.default_rng(1).integers(0, 65536, (8, 8, 3), dtype=np.uint16)
    line, _ = scored(save_picture(tmp_path / "deep.png", deep))
    assert line["s_pr"] == pytest.approx(np.round(deep[..., 0] / 257).mean() / 255, abs=1e-6)
    assert line["s_fnn"] == pytest.approx(np.round(deep[..., 1] / 257).mean() / 255, abs=1e-6)


def test_alpha_is_dropped(tmp_path, save_picture, scored, noise):
    alpha = np.zeros((8, 8, 1), np.uint8)
    line, _ = scored(save_picture(tmp_path / "clear.png", np.concatenate([noise, alpha], axis=2)))
    assert line["s_pr"] == pytest.approx(noise[..., 0].mean() / 255, abs=1e-6)


def test_cmyk(tmp_path, scored):
    ink = np.random.default_rng(2).integers(0, 256, (8, 8, 4), dtype=np.uint8)
    (tmp_path / "print.tif").write_bytes(tiff(ink, photometric=5))
    line, _ = scored(tmp_path / "print.tif")
    magenta, yellow, black = (255 - ink[..., i].astype(float) for i in (1, 2, 3))
    assert line["s_pr"] == pytest.approx((yellow * black / 255).mean() / 255, abs=1 / 255)  # blue is what yellow leaves
    assert line["s_fnn"] == pytest.approx((magenta * black / 255).mean() / 255, abs=1 / 255)


# What an upright picture is made of a stored one, by the EXIF standard's table of orientations.
UPRIGHT = {
    1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
    5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2), 8: lambda a: np.rot90(a, 1),
}  # fmt: skip


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_applied(tmp_path, save_picture, scored, orientation):
    from wordsight.runtime import read_picture

    corners = np.zeros((32, 64, 3), np.uint8)
    corners[:16, :32], corners[16:, :32], corners[:16, 32:] = (200, 0, 0), (0, 200, 0), (90, 90, 90)
    path = save_picture(tmp_path / "o.jpg", corners, kind=".jpg")
    entry = struct.pack(">HHIHH", 0x112, 3, 1, orientation, 0)
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
    whole = path.read_bytes()
    path.write_bytes(whole[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + whole[2:])
    upright = UPRIGHT[orientation](corners)
    read = read_picture(path)
    assert read.shape == upright.shape
    assert np.abs(read.astype(int) - upright).mean() < 6  # JPEG; any other orientation is off by more than 50
    _, done = scored(path)
    assert f"50% of {upright.shape[1]}x{upright.shape[0]}" in done.out


def test_one_pixel(tmp_path, save_picture, scored):
    line, _ = scored(save_picture(tmp_path / "dot.png", np.full((1, 1, 3), (51, 102, 7), np.uint8)))
    assert line["score"] == pytest.approx((51 + 102) / 255, abs=1e-6)


@pytest.mark.parametrize("shape", [(20_000, 3), (3, 20_000)])
def test_a_line_of_pixels_is_cropped_to_its_middle(tmp_path, save_picture, scored, shape):
    array = np.zeros((*shape, 3), np.uint8)
    array[tuple(slice(side // 2 - 6, side // 2 + 6) if side > 100 else slice(None) for side in shape)] = 51
    line, done = scored(save_picture(tmp_path / "line.png", array))
    assert line["score"] == pytest.approx(0.4, abs=1e-6)
    assert f"under 1% of {shape[1]}x{shape[0]}" in done.out


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is measured in Linux's units")
def test_a_line_of_pixels_costs_little_memory(tmp_path, onnx_writer, save_picture, process):
    model = tmp_path / "m.onnx"  # 240 px, as the encoders have: the whole line, resized, would take 1.1 GB
    model.write_bytes(b"".join(onnx_writer.model_parts(size=240)))
    kib = []
    for name, shape in (("dot.png", (1, 1)), ("line.png", (20_000, 3))):
        picture = save_picture(tmp_path / name, 9, shape)
        child = process("run", model, picture, "--backend", "ort-cpu", cwd=tmp_path)  # the same engine in both
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0
        kib.append(usage.ru_maxrss)
    assert kib[1] - kib[0] < 64 * 1024


def png_claiming(side):
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"x")) + chunk(b"IEND", b"")


def cut_jpeg():
    data = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))[1].tobytes()
    return data[: len(data) // 2]


SUN_RASTER, SUN_REST = b"\x59\xa6\x6a\x95", struct.pack(">IIIII", 24, 3, 1, 0, 0)
BAD = {
    "missing": (None, "no such picture"),
    "empty": (b"", "empty"),
    "text": (b"hello, I am text", "not a picture"),
    "truncated": (cut_jpeg(), "truncated"),
    "claims 2^30 a side": (png_claiming(2**30), "claims 1073741824x1073741824"),
    "claims 2^30 a side as text": (b"P6\n1073741824 1073741824\n255\nx", "claims 1073741824x1073741824"),
    "claims 2^30 a side where only OpenCV looks": (SUN_RASTER + struct.pack(">II", 2**30, 2**30) + SUN_REST, "claims"),
    "claims more memory than a small board has": (b"P6\n30000 30000\n255\nx", "claims"),
}


@pytest.mark.parametrize(("content", "says"), BAD.values(), ids=BAD)
def test_a_bad_picture_is_one_line(tmp_path, tiny_model, wordsight, content, says):
    if content is not None:
        (tmp_path / "bad.png").write_bytes(content)
    done = wordsight("run", tiny_model, "bad.png", "--jsonl", "o.jsonl", cwd=tmp_path)
    assert done.code == 2
    (line,) = done.lines
    assert line.startswith("wordsight: bad.png: ")
    assert says in line
    assert line.count("bad.png") == 1
    assert not (tmp_path / "o.jsonl").exists()


def test_what_is_not_there_and_bears_no_pictures_name_may_have_been_a_folder(tmp_path, tiny_model, wordsight):
    done = wordsight("run", tiny_model, "parts/", cwd=tmp_path)
    assert (done.code, done.lines) == (2, ["wordsight: parts: no such file or folder"])


@pytest.mark.parametrize("content", [c for c, _ in BAD.values() if c is not None], ids=[k for k in BAD if k[0] != "m"])
def test_a_folder_with_a_bad_picture_scores_the_others(tmp_path, tiny_model, save_picture, wordsight, content):
    for name, grey in (("a.png", 51), ("c.png", 102)):
        save_picture(tmp_path / "in" / name, grey)
    (tmp_path / "in" / "b.png").write_bytes(content)
    done = wordsight("run", tiny_model, "in", "--jsonl", "o.jsonl", cwd=tmp_path)
    assert done.code == 1
    found = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [line["score"] for line in found] == pytest.approx([0.4, 0.8], abs=1e-6)
    assert os.path.join("in", "b.png") in done.err
    assert len(done.lines) <= 8


def test_a_video_that_ends_in_the_middle_keeps_its_whole_frames(tmp_path, tiny_model, save_video, wordsight):
    whole = save_video(tmp_path / "v.avi", range(0, 240, 8)).read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) * 6 // 10])
    done = wordsight("run", tiny_model, "cut.avi", "--jsonl", "o.jsonl", "--annotate", "out", cwd=tmp_path)
    assert done.code == 1
    assert len(done.lines) <= 8
    found = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in found] == list(range(len(found)))
    assert 5 <= len(found) < 20
    assert [line["score"] for line in found] == pytest.approx([2 * 8 * i / 255 for i in range(len(found))], abs=0.03)
    assert "ends in the middle" in done.err


def test_bad_models_are_one_line_and_nothing_is_written(tmp_path, onnx_writer, save_picture, wordsight):
    w = onnx_writer
    save_picture(tmp_path / "a.png", 9)
    parts, whole = w.model_parts(), b"".join(w.model_parts())
    tensor = w.message(8, "hidden") + w.message(13, w.message(1, "location"), w.message(2, "w.bin"))
    attribute = w.message(5, w.message(5, tensor))
    bad = {
        "no manifest": (b"".join(w.model_parts("")), "without a Wordsight manifest"),
        "newer schema": (b"".join(parts[:-1]) + w.entry("wordsight", '{"schema": 99}'), "schema 99"),
        "broken manifest": (b"".join(parts[:-1]) + w.entry("wordsight", '{"schema": 1}'), "is missing"),
        "truncated": (whole[: len(whole) * 2 // 3], "truncated"),
        "external": (whole + w.message(7, w.message(5, tensor)), "'hidden' in another file"),
        "external in an attribute": (whole + w.message(7, w.message(1, attribute)), "'hidden' in another file"),
        "external in a subgraph": (
            whole + w.message(7, w.message(1, w.message(5, w.message(6, w.message(5, tensor))))),
            "'hidden' in another file",
        ),
        "external in a function": (whole + w.message(25, w.message(7, attribute)), "'hidden' in another file"),
        "empty": (b"", "empty"),
        "a pickle": (b"\x80\x04\x95abc", "pickle"),
        "a picture": ((tmp_path / "a.png").read_bytes(), "PNG"),
    }
    for name, (content, says) in bad.items():
        (tmp_path / "m.onnx").write_bytes(content)
        for words in (("run", "m.onnx", "a.png", "--jsonl", "o.jsonl"), ("info", "m.onnx")):
            done = wordsight(*words, cwd=tmp_path)
            assert done.code == 2, name
            assert len(done.lines) == 1, name
            assert says in done.err, name
            assert "m.onnx" in done.err, name
    assert not (tmp_path / "o.jsonl").exists()
