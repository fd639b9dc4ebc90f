import tracemalloc

import numpy as np
import pytest

from wordsight.runtime import preprocess
from wordsight.runtime.errors import FrameError, MissingPart, SettingError
from wordsight.runtime.fits import seen_share
from wordsight.runtime.preprocess import WEIGHT_BITS, fit_frame, resampling_weights


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (37, 91), (500, 20), (240, 240)])
def test_a_plain_frame_stays_plain(shape, fit):
    frame = np.full((*shape, 3), (10, 130, 255), np.uint8)
    fitted = fit_frame(frame, 48, fit)
    assert fitted.shape == (48, 48, 3)
    assert fitted.dtype == np.uint8
    seen = fitted[fitted.any(axis=2)]
    assert (seen == (10, 130, 255)).all()
    if fit != "pad" or shape[0] == shape[1]:
        assert len(seen) == 48 * 48


def test_a_frame_of_the_right_size_is_handed_back():
    frame = np.zeros((48, 48, 3), np.uint8)
    assert fit_frame(frame, 48) is frame


def keys(x, a=-0.5):
    """Keys' kernel as his paper of 1981 writes it."""
    x = abs(x)
    if x < 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


@pytest.mark.parametrize(("length", "size"), [(100, 24), (7, 24), (24, 23)])
def test_a_ramp_is_resampled_by_the_textbook_sum(length, size):
    line = np.random.default_rng(length).integers(0, 256, length)
    frame = np.broadcast_to(line[None, :, None], (length, length, 3)).astype(np.uint8)
    scale = length / size
    stretch = max(1.0, scale)
    expected = []
    for i in range(size):
        centre = (i + 0.5) * scale
        weights = np.array([keys((j + 0.5 - centre) / stretch) for j in range(length)])
        expected.append(np.clip((weights * line).sum() / weights.sum(), 0, 255))
    ours = fit_frame(frame, size)
    assert np.abs(ours[size // 2, :, 0] - expected).max() <= 0.75  # half a level for each rounding, less in the second


@pytest.mark.parametrize("shape", [(3, 20_000), (20_000, 3)])
def test_the_middle_of_an_extreme_frame_is_scored_in_little_memory(shape):
    frame = np.zeros((*shape, 3), np.uint8)
    middle = tuple(slice(side // 2 - 4, side // 2 + 4) if side > 100 else slice(None) for side in shape)
    frame[middle] = 200
    tracemalloc.start()
    fitted = fit_frame(frame, 240)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (fitted == 200).all()
    assert peak < 32e6  # the resized whole would be 1.6 million pixels long: 1.1 GB


def test_crop_takes_the_centre_and_pad_keeps_everything():
    frame = np.zeros((60, 180, 3), np.uint8)
    frame[:, 60:120] = 255
    assert (fit_frame(frame, 60, "crop") == 255).all()
    padded = fit_frame(frame, 60, "pad")
    assert padded[:20].max() == padded[40:].max() == 0
    assert padded[30, 30].min() == 255


@pytest.mark.parametrize("shape", [(90, 160), (160, 90), (1, 300), (300, 1), (20, 31)])
def test_without_opencv_the_same_frame_comes_out(shape, monkeypatch):
    def absent():
        raise MissingPart("OpenCV is not installed", "pip install 'wordsight[runtime]'")

    frame = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    with_it = fit_frame(frame, 48, "pad")
    monkeypatch.setattr(preprocess, "load_cv2", absent)
    assert (fit_frame(frame, 48, "pad") == with_it).all()


def test_the_frame_may_be_a_view():
    frame = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    for view in (frame[::-1, ::2], frame[:, :, ::-1], frame.transpose(1, 0, 2)):
        np.testing.assert_array_equal(fit_frame(view, 32), fit_frame(view.copy(), 32))


@pytest.mark.parametrize(
    ("height", "width", "fit", "share"),
    [(1080, 1920, "crop", 0.5625), (480, 480, "crop", 1), (20_000, 3, "crop", 0.00015), (1080, 1920, "pad", 1),
     (1080, 1920, "squash", 1)],
)  # fmt: skip
def test_seen_share(height, width, fit, share):
    assert seen_share(height, width, 240, fit) == pytest.approx(share)


@pytest.mark.parametrize(
    ("height", "width", "share"),
    [(1080, 1920, 1), (2160, 3840, 1), (27, 48, 1), (480, 640, 0.75), (640, 480, 0.75 * 9 / 16), (1080, 2160, 8 / 9)],
)
def test_tiles_see_all_of_their_cameras_aspect_and_the_centre_of_others(height, width, share):
    assert seen_share(height, width, 240, "tiles", (1080, 1920)) == pytest.approx(share, abs=1e-2)
    frame = np.zeros((height, width, 3), np.uint8)
    assert fit_frame(frame, 24, "tiles", (1080, 1920)).shape == (24, 43, 3)
    if share == 1:
        assert seen_share(height, width, 240, "tiles", (1080, 1920)) == 1


def test_a_frame_that_is_wide_enough_already_is_handed_back():
    frame = np.zeros((24, 43, 3), np.uint8)
    assert fit_frame(frame, 24, "tiles", (1080, 1920)) is frame


@pytest.mark.parametrize(("length", "size"), [(137, 96), (10, 3), (3, 10)])
def test_the_resampling_matrix_is_the_textbook_sum(length, size):
    matrix = resampling_weights(length, size)
    assert matrix.shape == (size, length)
    assert (matrix == np.round(matrix)).all()
    scale = length / size
    for i, row in enumerate(matrix / 2**WEIGHT_BITS):
        weights = np.array([keys((j + 0.5 - (i + 0.5) * scale) / max(1.0, scale)) for j in range(length)])
        np.testing.assert_allclose(row, weights / weights.sum(), atol=2**-21)


def test_wrong_input_is_refused():
    with pytest.raises(SettingError, match="crop, squash, pad or tiles"):
        fit_frame(np.zeros((9, 9, 3), np.uint8), 8, "stretch")
    with pytest.raises(SettingError, match="takes a camera's"):
        fit_frame(np.zeros((9, 9, 3), np.uint8), 8, "tiles")
    with pytest.raises(SettingError, match="takes no camera"):
        fit_frame(np.zeros((9, 9, 3), np.uint8), 8, "pad", (9, 16))
    with pytest.raises(FrameError, match="float64"):
        fit_frame(np.zeros((9, 9, 3)), 8)
