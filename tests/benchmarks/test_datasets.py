"""One class in MVTec's layout, faults included; its masks; and the generator's held-out nouns."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from wordsight.benchmarks import datasets

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def _png(path, value=None, size=(6, 8)):
    # Grey level from the name, unless told: no two pictures of a set are the same by accident.
    path.parent.mkdir(parents=True, exist_ok=True)
    value = sum(map(ord, path.as_posix()[-30:])) % 250 if value is None else value
    assert cv2.imwrite(str(path), np.full((*size, 3), value, np.uint8))


@pytest.fixture
def folder(tmp_path):
    for grey, name in enumerate(("train/good/a", "test/good/b", "test/good/c", "test/crack/d", "test/hole/e")):
        _png(tmp_path / f"{name}.png", grey)
    _png(tmp_path / "ground_truth/crack/d_mask.png", 255)
    _png(tmp_path / "ground_truth/hole/e.png", 255)
    return tmp_path


def test_labels_kinds_and_masks(folder):
    (folder / "test/crack/notes.txt").write_text("not a picture")
    (folder / "test/crack/.hidden").write_text("nor this")
    found = datasets.read_folder(folder)
    assert [(s.name, s.label, s.kind) for s in found.test] == [
        ("test/crack/d.png", 1, "crack"),
        ("test/good/b.png", 0, "good"),
        ("test/good/c.png", 0, "good"),
        ("test/hole/e.png", 1, "hole"),
    ]
    assert [s.mask_path.name if s.mask_path else None for s in found.test] == ["d_mask.png", None, None, "e.png"]
    assert [s.path.name for s in found.fit] == ["a.png"]


def test_train_and_masks_may_be_absent(tmp_path):
    _png(tmp_path / "test/good/a.png")
    _png(tmp_path / "test/bad/b.png")
    found = datasets.read_folder(tmp_path)
    assert found.fit == []
    assert found.test[0].load_mask() is None


@pytest.mark.parametrize(
    ("files", "error", "says"),
    [
        ([], datasets.LayoutError, "no folder named test"),
        (["picture.png"], datasets.LayoutError, "no folder named test"),
        (["test/picture.png"], datasets.LayoutError, "no pictures below test"),
        (["test/good/a.png"], datasets.OneLabelError, "{good} only"),
        (["test/crack/a.png", "test/hole/b.png"], datasets.OneLabelError, "{crack,hole} only"),
    ],
)
def test_another_layout_is_named(tmp_path, files, error, says):
    for name in files:
        _png(tmp_path / name)
    with pytest.raises(datasets.LayoutError, match=says) as caught:
        datasets.read_folder(tmp_path)
    assert type(caught.value) is error
    assert "DIR/test/good" in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(datasets.LayoutError, match="nowhere"):
        datasets.read_folder(tmp_path / "nowhere")


def test_a_mask_is_where_the_file_is_bright(folder):
    mask = np.zeros((6, 8), np.uint8)
    mask[2:4, 1:5] = 200
    mask[0, 0] = 100  # a shade from scaling or JPEG is no defect
    cv2.imwrite(str(folder / "ground_truth/crack/d_mask.png"), mask)
    crack, good, *_ = datasets.read_folder(folder).test
    assert crack.load_mask().sum() == 8
    np.testing.assert_array_equal(crack.load_mask((6, 8)), mask == 200)
    np.testing.assert_array_equal(crack.pixel_truth(), mask == 200)
    assert good.load_mask() is None
    assert good.pixel_truth().shape == (6, 8)
    assert not good.pixel_truth().any()


def test_a_mask_of_another_size_names_both(folder):
    _png(folder / "ground_truth/crack/d_mask.png", 255, size=(6, 9))
    crack = datasets.read_folder(folder).test[0]
    with pytest.raises(
        datasets.MaskError, match=r"8x6 pixels, as test/crack/d\.png has; got 9x6 .*d_mask\.png"
    ) as caught:
        crack.load_mask()
    assert caught.value.exit_code == 2
    with pytest.raises(datasets.MaskError, match="4x3"):
        crack.load_mask((3, 4))


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n\x00\x00"])
def test_an_unreadable_mask_names_file_and_picture(folder, content):
    (folder / "ground_truth/crack/d_mask.png").write_bytes(content)
    crack = datasets.read_folder(folder).test[0]
    with pytest.raises(datasets.MaskError, match=r"readable mask of test/crack/d\.png: .*d_mask\.png"):
        crack.load_mask()


def test_a_mask_deleted_after_reading_the_folder_is_an_error(folder):
    crack = datasets.read_folder(folder).test[0]
    crack.mask_path.unlink()
    with pytest.raises(datasets.MaskError, match="no such picture"):
        crack.pixel_truth()


def test_pixel_figures_need_the_mask_of_every_defective_picture(folder):
    (folder / "ground_truth/crack/d_mask.png").unlink()
    crack = datasets.read_folder(folder).test[0]
    with pytest.raises(
        datasets.MaskError, match=r"mask of the defective picture test/crack/d\.png \(crack\), got none"
    ):
        crack.pixel_truth()


def test_a_mask_in_memory_is_checked_as_well():
    frame, mask = np.zeros((4, 5, 3), np.uint8), np.ones((4, 4), bool)
    with pytest.raises(datasets.MaskError, match=r"5x4 .* got 4x4"):
        datasets.Sample("x", 1, "hole", frame=frame, mask=mask).load_mask()


def test_held_out_pictures_are_balanced_and_disjoint_from_those_fitted():
    found = datasets.held_out(40)
    assert sorted(s.label for s in found.test) == [0] * 20 + [1] * 20
    assert len({s.noun for s in found.test}) == 10
    assert {s.noun for s in found.fit} == {s.noun for s in found.test}
    assert all(s.label == 0 for s in found.fit)
    seen = {s.load().tobytes() for s in found.test}
    assert not seen & {s.load().tobytes() for s in found.fit}
    assert all((s.load_mask() is not None) == bool(s.label) for s in found.test)


@pytest.mark.parametrize(("name", "good", "bad", "fit"), [("magnetic_tile", 300, 392, 652), ("pcb", 250, 250, 300)])
def test_real_sets_are_read_whole(name, good, bad, fit):
    if not (SHARED / name).is_dir():
        pytest.skip(f"needs the pictures in {SHARED / name}")
    found = datasets.read_folder(SHARED / name)
    labels = [s.label for s in found.test]
    assert (labels.count(0), labels.count(1), len(found.fit)) == (good, bad, fit)
    every_tenth = found.test[::10]
    marked = [s.pixel_truth(s.load().shape[:2]).mean() for s in every_tenth if s.label]
    assert 0 < np.median(marked) < 0.2
