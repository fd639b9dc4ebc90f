"""`read_picture` beside Pillow, for what OpenCV cannot write."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from wordsight.runtime.pictures import read_picture


@pytest.fixture
def picture():
    """A smooth RGB picture of 67x101 and values over the whole range."""
    small = np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((101, 67), Image.Resampling.BICUBIC)


def theirs(path):
    return np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))[:, :, ::-1].astype(int)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
def test_plain_files_agree(tmp_path, picture, kind):
    path = tmp_path / "picture.dat"
    picture.save(path, kind)
    assert np.abs(read_picture(path) - theirs(path)).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_the_exif_orientation_is_applied(tmp_path, picture, kind, orientation):
    path = tmp_path / "picture"
    exif = Image.Exif()
    exif[0x112] = orientation
    picture.save(path, kind, exif=exif)
    ours = read_picture(path)
    assert ours.shape[:2] == ((67, 101) if orientation < 5 else (101, 67))
    assert np.abs(ours - theirs(path)).max() <= 1


@pytest.mark.parametrize(("mode", "kind"), [("L", "PNG"), ("LA", "PNG"), ("1", "PNG"), ("L", "TIFF"), ("1", "TIFF")])
def test_grey_becomes_three_equal_channels(tmp_path, picture, mode, kind):
    path = tmp_path / "picture"
    picture.convert(mode).save(path, kind)
    ours = read_picture(path)
    assert np.abs(ours - theirs(path)).max() == 0
    assert np.ptp(ours, axis=2).max() == 0


def test_a_palette_is_looked_up(tmp_path, picture):
    path = tmp_path / "picture"
    picture.quantize(16).save(path, "PNG")
    assert np.abs(read_picture(path) - theirs(path)).max() == 0


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True, "exact": True})])
def test_alpha_is_dropped_and_the_colours_stay(tmp_path, picture, kind, options):
    path = tmp_path / "picture"
    alpha = np.random.default_rng(1).integers(0, 256, (67, 101), dtype=np.uint8)
    picture.putalpha(Image.fromarray(alpha))
    picture.save(path, kind, **options)
    assert np.abs(read_picture(path) - theirs(path)).max() == 0


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_agrees_within_one_level(tmp_path, picture, kind):
    path = tmp_path / "picture"
    picture.convert("CMYK").save(path, kind)
    assert np.abs(read_picture(path) - theirs(path)).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_is_divided_by_257_and_rounded(tmp_path, kind):
    path = tmp_path / "picture"
    deep = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(deep).save(path, kind)
    expected = np.round(deep / 257).astype(int)
    assert np.abs(read_picture(path) - expected[..., None]).max() == 0


def test_a_progressive_jpeg_cut_anywhere_is_refused(tmp_path, picture):
    from wordsight.runtime.errors import PictureError

    path = tmp_path / "picture"
    picture.save(path, "JPEG", progressive=True)
    whole = path.read_bytes()
    for cut in range(1, len(whole), 37):
        path.write_bytes(whole[:cut])
        with pytest.raises(PictureError):
            read_picture(path)
