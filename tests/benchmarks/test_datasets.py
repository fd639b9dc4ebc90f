"""Reading MVTec's layout, faults included, and the generator's held-out nouns."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from wordsight.benchmarks import datasets

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def _png(path, value=9):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((6, 8, 3), value, np.uint8))


@pytest.fixture
def folder(tmp_path):
    for name in ("train/good/a", "test/good/b", "test/good/c", "test/crack/d", "test/hole/e"):
        _png(tmp_path / f"{name}.png")
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
    ("files", "says"),
    [
        ([], "no folder named test"),
        (["test/good/a.png"], "only"),
        (["test/crack/a.png"], "only"),
        (["picture.png"], "no folder named test"),
    ],
)
def test_another_layout_is_named(tmp_path, files, says):
    for name in files:
        _png(tmp_path / name)
    with pytest.raises(datasets.LayoutError, match=says) as caught:
        datasets.read_folder(tmp_path)
    assert "DIR/test/good" in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(datasets.LayoutError, match="nowhere"):
        datasets.read_folder(tmp_path / "nowhere")


def test_held_out_pictures_are_balanced_and_disjoint_from_those_fitted():
    found = datasets.held_out(40)
    assert sorted(s.label for s in found.test) == [0] * 20 + [1] * 20
    assert len({s.noun for s in found.test}) == 10
    assert {s.noun for s in found.fit} == {s.noun for s in found.test}
    assert all(s.label == 0 for s in found.fit)
    seen = {s.load().tobytes() for s in found.test}
    assert not seen & {s.load().tobytes() for s in found.fit}
    assert all((s.load_mask() is not None) == bool(s.label) for s in found.test)


@pytest.mark.parametrize(("name", "good", "bad"), [("magnetic_tile", 300, 392), ("pcb", 250, 250)])
def test_real_sets_are_read_whole(name, good, bad):
    if not (SHARED / name).is_dir():
        pytest.skip(f"needs the pictures in {SHARED / name}")
    labels = [s.label for s in datasets.read_folder(SHARED / name).test]
    assert (labels.count(0), labels.count(1)) == (good, bad)
