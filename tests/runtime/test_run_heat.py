"""`wordsight run` with a model that gives heat maps: regions in the lines, maps over the pictures.

The model is the 4 x 4 grid of `onnx_writer`: the heat of a cell is (mean blue + mean green) / 255, 0 to 2.
"""

import json

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")

CYAN = (255, 255, 0)
SIDE = 80  # pixels of a frame's shorter side: 20 to a cell


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def grid(tmp_path, onnx_writer):
    """Write grid.onnx with a fit: (fit) -> its folder."""

    def write(fit="squash"):
        spec = onnx_writer.InputSpec(size=onnx_writer.SIZE, fit=fit, mean=(0.5,) * 3, std=(0.25,) * 3)
        parts = onnx_writer.grid_model_parts(("heatmap",), input=spec)
        (tmp_path / "grid.onnx").write_bytes(b"".join(parts))
        return tmp_path

    return write


def spotted(height, width, top, left, side=20):
    """A black frame with a square in the colour that the model takes for heat."""
    frame = np.zeros((height, width, 3), np.uint8)
    frame[top : top + side, left : left + side] = CYAN
    return frame


def test_a_region_in_a_line_is_where_the_picture_was_painted(grid, save_picture, wordsight):
    folder = grid()
    save_picture(folder / "in" / "a.png", spotted(SIDE, SIDE, 20, 40))
    save_picture(folder / "in" / "b.png", np.zeros((SIDE, SIDE, 3), np.uint8))
    done = wordsight("run", "grid.onnx", "in", "--jsonl", "o.jsonl", "--region-level", "1", cwd=folder)
    assert done.code == 0, done.err
    marked, clean = lines(folder / "o.jsonl")
    assert clean["regions"] == []
    (region,) = marked["regions"]
    assert set(region) == {"box", "area", "peak", "peak_at"}
    x, y, width, height = region["box"]
    # One hot cell: half its height is reached half a cell from its centre along the axes, 10 pixels each way.
    assert (x, y, width, height) == pytest.approx((40, 20, 20, 20), abs=2)
    # Shrunk to 8 x 8 the square is 2 x 2 pixels of 222 with 19 beside them: the next cells have 9.5 / 222 of the peak.
    # (1 - a u)(1 - a v), a = 1 - 9.5 / 222, reaches the share c of the peak over 4 (1 - c + c ln c) / a**2 of a cell.
    peak, slope = 2 * 222 / 255, 1 - 9.5 / 222
    share = 1 / peak
    assert region["area"] == pytest.approx(4 * 400 * (1 - share + share * np.log(share)) / slope**2, rel=0.02)
    assert region["peak"] == pytest.approx(peak * (1 - slope * 0.025) ** 2, abs=1e-3)  # the nearest pixel's centre
    assert region["peak_at"] == pytest.approx([49.5, 29.5], abs=1)
    assert "regions: where the heat map is 1 or more, of 2" in done.out


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
@pytest.mark.parametrize(("height", "width"), [(80, 120), (120, 80)])
def test_whatever_the_fit_the_peak_lies_in_what_was_painted(grid, save_picture, wordsight, fit, height, width):
    folder = grid(fit)
    top, left = (height - 30) // 2 + 7, (width - 30) // 2 - 8
    save_picture(folder / "a.png", spotted(height, width, top, left, 30))
    done = wordsight("run", "grid.onnx", "a.png", "--jsonl", "o.jsonl", "--region-level", "0.5", cwd=folder)
    assert done.code == 0, done.err
    region, *others = lines(folder / "o.jsonl")[0]["regions"]
    assert not others
    x, y, w, h = region["box"]
    assert left <= region["peak_at"][0] < left + 30
    assert top <= region["peak_at"][1] < top + 30
    assert x <= left + 15 < x + w
    assert y <= top + 15 < y + h
    assert 0 <= x < x + w <= width
    assert 0 <= y < y + h <= height


def test_of_a_named_object_the_run_says_whose_the_regions_are(tmp_path, onnx_writer, save_picture, wordsight):
    (tmp_path / "grid.onnx").write_bytes(b"".join(onnx_writer.grid_model_parts(("heatmap", "s_pr_objects"))))
    save_picture(tmp_path / "a.png", spotted(SIDE, SIDE, 20, 40))
    done = wordsight("run", "grid.onnx", "a.png", "--object", "screw", "--jsonl", "o.jsonl", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "regions: where the heat map, by the prompts of 'object', is 1.5 or more" in done.out


def test_without_a_heat_map_a_line_says_nothing_of_regions(tmp_path, tiny_model, save_picture, wordsight):
    save_picture(tmp_path / "a.png", 200)
    assert wordsight("run", tiny_model, "a.png", "--jsonl", "o.jsonl", cwd=tmp_path).code == 0
    assert "regions" not in lines(tmp_path / "o.jsonl")[0]


def test_overlay_draws_over_annotated_pictures_and_videos(grid, save_picture, save_video, wordsight):
    folder = grid("crop")
    save_picture(folder / "in" / "a.png", spotted(SIDE, 2 * SIDE, 20, 80))
    save_video(folder / "in" / "v.avi", [0, 250])
    for name, words in (("plain", ()), ("drawn", ("--overlay",))):
        done = wordsight("run", "grid.onnx", "in", "--annotate", name, *words, cwd=folder)
        assert done.code == 0, done.err
        assert ("regions: where the heat map is 1.5 or more, of 2" in done.out) == bool(words)
    plain, drawn = (cv2.imread(str(folder / name / "a.jpg")).astype(int) for name in ("plain", "drawn"))
    across = plain.shape[1] // 4  # the crop sees the half in the middle
    assert np.abs(plain - drawn)[:-44, across + 4 : -across - 4].max() > 60
    hot = drawn[60, 180]  # frame pixel (30, 90), drawn twice as large: much of inferno's yellow in the cyan
    assert hot[2] > 100
    assert hot[0] < 200
    capture = cv2.VideoCapture(str(next((folder / "drawn").glob("v.*"))))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 2
    capture.release()


def test_the_window_shows_what_annotated_pictures_show(monkeypatch):
    from datetime import datetime, timezone

    from wordsight.runtime.annotate import annotate
    from wordsight.runtime.fits import seen_place
    from wordsight.runtime.heat import Heat
    from wordsight.runtime.sinks import window
    from wordsight.runtime.sinks.result import Result
    from wordsight.runtime.sources import Frame

    shown = []
    monkeypatch.setattr(window, "check_window", lambda: None)
    monkeypatch.setattr(cv2, "namedWindow", lambda *words: None)
    monkeypatch.setattr(cv2, "imshow", lambda title, picture: shown.append(picture))
    monkeypatch.setattr(cv2, "waitKey", lambda milliseconds: -1)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *words: 1.0)
    frame = Frame(np.full((SIDE, SIDE, 3), 90, np.uint8), "a.png", 0, datetime.now(timezone.utc), "a.png")
    values = np.zeros((4, 4), np.float32)
    values[1, 2] = 2
    heat = Heat(values, seen_place(SIDE, SIDE, 8, "squash"), (SIDE, SIDE), 2.0, 1.5)
    result = Result(frame, 1.0, 0.5, 0.5, None, None, heat)
    for drawn in (False, True):
        window.Window(2.0, None, drawn).write(result)
    plain, heated = shown
    np.testing.assert_array_equal(plain, annotate(result, 2.0))
    np.testing.assert_array_equal(heated, annotate(result, 2.0, heat=True))
    assert (plain != heated).any()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--overlay",), "--annotate DIR or --show"),
        (("--region-level", "0"), "--region-level: expected above 0 and up to 2"),
        (("--region-level", "2.5"), "--region-level: expected above 0 and up to 2"),
        (("--region-level", "nan"), "--region-level: expected above 0 and up to 2"),
    ],
)
def test_wrong_use_is_one_line(grid, save_picture, wordsight, words, says):
    folder = grid()
    save_picture(folder / "a.png", 9)
    done = wordsight("run", "grid.onnx", "a.png", *words, cwd=folder)
    assert done.code == 2
    assert len(done.lines) == 1
    assert says in done.err


@pytest.mark.parametrize("words", [("--overlay", "--annotate", "out"), ("--region-level", "1")])
def test_a_model_without_a_heat_map_names_the_export_that_gives_one(
    tmp_path, tiny_model, save_picture, wordsight, words
):
    save_picture(tmp_path / "a.png", 9)
    done = wordsight("run", "tiny.onnx", "a.png", *words, cwd=tmp_path)
    assert done.code == 2
    assert done.lines == [
        "wordsight: tiny.onnx gives no heat map; make one that does: wordsight export HEAD -o MODEL --heatmap"
    ]
    assert not (tmp_path / "out").exists()
