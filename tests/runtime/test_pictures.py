import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest

from wordsight.runtime.errors import MissingPart, PictureError
from wordsight.runtime.opencv import silenced
from wordsight.runtime.pictures import read_picture


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (61, 83, 3), dtype=np.uint8)


@pytest.fixture
def save(tmp_path):
    def write(array, suffix=".png", keep=slice(None), extra=b""):
        good, data = cv2.imencode(suffix, array)
        assert good
        path = tmp_path / "picture.txt"  # the name says nothing
        path.write_bytes(data.tobytes()[keep] + extra)
        return path

    return write


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".ppm"])
def test_lossless_files_come_back_as_they_were(save, picture, suffix):
    np.testing.assert_array_equal(read_picture(save(picture, suffix)), picture)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bit_is_divided_by_257_and_rounded(save, suffix):
    deep = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    read = read_picture(save(deep, suffix))
    np.testing.assert_array_equal(read[..., 0], np.round(deep / 257).astype(np.uint8))
    np.testing.assert_array_equal(read[..., 0], read[..., 2])


def test_grey_alpha_and_tiny(save, picture):
    np.testing.assert_array_equal(read_picture(save(picture[..., 0])), np.repeat(picture[..., :1], 3, 2))
    alpha = np.random.default_rng(1).integers(0, 256, (61, 83, 1), dtype=np.uint8)
    np.testing.assert_array_equal(read_picture(save(np.concatenate([picture, alpha], 2))), picture)
    assert read_picture(save(picture[:1, :1])).shape == (1, 1, 3)
    assert read_picture(save(np.zeros((20_000, 3, 3), np.uint8))).shape == (20_000, 3, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tiff", ".webp"])
def test_a_file_cut_anywhere_is_refused_and_trailing_bytes_are_not(save, picture, suffix):
    whole = save(picture, suffix)
    size = whole.stat().st_size
    for cut in sorted({*range(2, size, max(1, size // 60)), size - 1, size - 2, size - 3, size - 10}):
        with pytest.raises(PictureError):
            read_picture(save(picture, suffix, slice(cut)))
    assert read_picture(save(picture, suffix, extra=b"written by a camera")).shape == picture.shape


def test_a_late_cut_is_called_truncated(save, picture):
    for suffix in (".jpg", ".png", ".bmp", ".webp", ".tiff"):
        with pytest.raises(PictureError, match="truncated") as caught:
            read_picture(save(picture, suffix, slice(-2)))
        assert caught.value.reason == "truncated"


def png_claiming(side):
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"x")) + chunk(b"IEND", b"")


def test_a_header_that_claims_too_much_is_refused_before_decoding(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    path = tmp_path / "bomb.png"
    path.write_bytes(png_claiming(2**30))
    with pytest.raises(PictureError, match="1073741824x1073741824") as caught:
        read_picture(path)
    assert caught.value.reason == "too large"
    bitmap = bytearray(cv2.imencode(".bmp", np.zeros((2, 2, 3), np.uint8))[1].tobytes())
    bitmap[18:26] = struct.pack("<ii", 2**30, 2**30)
    path.write_bytes(bitmap)
    with pytest.raises(PictureError, match="claims"):
        read_picture(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "missing"), (b"", "empty"), (b"hello, I am text", "unreadable"), (b"\0" * 5000, "unreadable"),
     (b"\xff\xd8\xff", "truncated"), (b"\x89PNG\r\n\x1a\n", "truncated"), (b"BM", "truncated"),
     (b"II*\0", "truncated"), (b"MM\0*\xff\xff\xff\xff", "truncated")],
)  # fmt: skip
def test_what_is_no_picture_is_refused_with_its_reason(tmp_path, content, reason):
    path = tmp_path / "picture.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PictureError, match=r"picture\.png") as caught:
        read_picture(path)
    assert caught.value.reason == reason


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(PictureError, match="is a folder"):
        read_picture(tmp_path)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff", ".bmp", ".webp"])
def test_damaged_bytes_never_raise_anything_else(save, picture, suffix, capfd):
    whole = save(picture, suffix).read_bytes()
    path = save(picture, suffix)
    rng = np.random.default_rng(0)
    for _ in range(150):
        data = bytearray(whole)
        for at in rng.integers(0, min(len(data), 300), 4):
            data[at] = rng.integers(256)
        path.write_bytes(data)
        try:
            read = read_picture(path)
        except PictureError:
            continue
        assert read.dtype == np.uint8
        assert read.ndim == 3
    assert capfd.readouterr().err.count("ERROR:0@") == 0  # OpenCV's own log would bury our one line


def test_without_opencv_the_line_that_installs_it_is_told(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingPart, match=r"wordsight\[runtime\]"):
        read_picture(tmp_path)


@pytest.mark.parametrize("header", [b"P6\n61 83\n255\n", b"P6 # a comment\n61\n# and one more\n83 255\n"])
def test_a_portable_map_with_comments_is_held_to_its_length(tmp_path, header):
    pixels = np.random.default_rng(0).integers(0, 256, (83, 61, 3), dtype=np.uint8)
    path = tmp_path / "p.ppm"
    path.write_bytes(header + pixels.tobytes())
    np.testing.assert_array_equal(read_picture(path), pixels[..., ::-1])
    path.write_bytes(header + pixels.tobytes()[:-1])
    with pytest.raises(PictureError, match="truncated"):
        read_picture(path)


def test_opencv_itself_is_bounded_where_no_header_is_read_here(tmp_path):
    # In a process of its own: OpenCV asks for its limit once.
    path = tmp_path / "large.ras"
    path.write_bytes(b"\x59\xa6\x6a\x95" + struct.pack(">IIIIIII", 30_000, 30_000, 24, 3, 1, 0, 0))
    code = f"from wordsight.runtime import read_picture; read_picture({str(path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"claims more than {2**28} pixels" in done.stderr


class _Log:
    def __init__(self):
        self.level, self.levels = 3, []

    def getLogLevel(self):
        return self.level

    def setLogLevel(self, level):
        self.level = level
        self.levels.append(level)


def test_the_log_of_any_opencv_is_quiet_for_a_while():
    from types import SimpleNamespace

    log = _Log()
    four = SimpleNamespace(getLogLevel=log.getLogLevel, setLogLevel=log.setLogLevel, utils=SimpleNamespace())
    five = SimpleNamespace(utils=SimpleNamespace(logging=log))
    for version in (four, five):
        with silenced(version):
            assert log.level == 0
        assert log.level == 3
    assert log.levels == [0, 3, 0, 3]
    with silenced(SimpleNamespace()):  # an old one without such functions
        pass
