"""Csv files that name what is not there, and pictures that are in train and in test alike."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from wordsight.benchmarks import datasets
from wordsight.benchmarks.data import leaks

HEADER = "object,split,label,image,mask"
ROWS = ("nut,train,normal,a.png,", "nut,test,normal,b.png,", "nut,test,anomaly,c.png,m.png")


def _picture(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8))


@pytest.fixture
def split(tmp_path):
    for seed, name in enumerate(("a", "b", "c", "m")):
        _picture(tmp_path / f"{name}.png", seed)
    (tmp_path / "split_csv").mkdir()
    path = tmp_path / "split_csv" / "1cls.csv"
    path.write_text("\n".join((HEADER, *ROWS)))
    assert len(datasets.open_dataset(tmp_path)) == 1  # each test below spoils one thing of it
    return path


def _error(path, kind=datasets.ListError):
    with pytest.raises(kind) as caught:
        datasets.open_dataset(path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_absent_files_are_counted_and_the_first_are_named(split):
    many = [f"nut,train,normal,gone/{i:03d}.png," for i in range(20)]
    split.write_text("\n".join((HEADER, *ROWS, *many)))
    message = _error(split)
    assert "names 24 files, 20 of them are not there; the first: gone/000.png, gone/001.png, gone/002.png, …" in message


def test_an_absent_mask_is_an_absent_file(split):
    (split.parent.parent / "m.png").unlink()
    assert "names 4 files, 1 of them are not there; the first: m.png" in _error(split)


def test_missing_columns_are_named_beside_those_there(split):
    split.write_text("object,split,label,picture\nnut,train,normal,a.png\n")
    message = _error(split)
    assert "got object,split,label,picture: image,mask missing" in message


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "got no line"),
        (HEADER.encode(), "its first line only"),
        (b"\xff\xfe\x00broken\n1\n", "UTF-8"),
        (f"{HEADER}\nnut,train,normal\n".encode(), "expected 5 fields in"),
        (f"{HEADER}\nnut,train,normal,a.png,,,\n".encode(), "line 2"),
        (f"{HEADER}\nnut,val,normal,a.png,\n".encode(), "train or test in column split"),
        (f"{HEADER}\nnut,train,normal,a.png,\nnut,test,bad,b.png,\n".encode(), "line 3; got 'bad'"),
        ("\n".join((HEADER, *ROWS, ROWS[1])).encode(), "got b.png twice"),
        (f"{HEADER}\nnut,train,normal,,\n{ROWS[1]}\n{ROWS[2]}".encode(), "1 of them are not there"),
    ],
)
def test_a_csv_that_is_none(split, content, says):
    split.write_bytes(content)
    assert says in _error(split)


def test_a_byte_order_mark_and_windows_lines_are_no_fault(split):
    split.write_bytes(b"\xef\xbb\xbf" + "\r\n".join((HEADER, *ROWS)).encode())
    assert [len(d.test) for d in datasets.open_dataset(split)] == [2]


def test_a_class_of_the_csv_with_one_label_is_named(split):
    split.write_text("\n".join((HEADER, *ROWS, "bolt,test,normal,a.png,")))
    assert "test pictures of bolt" in _error(split, datasets.OneLabelError)
    split.write_text("\n".join((HEADER, *ROWS, "bolt,train,normal,a.png,")))
    assert "0 good and 0 defective" in _error(split, datasets.OneLabelError)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Filename,WaterLevel\n1.png,5\n", "the column Defect, or columns of codes (RB,"),
        ("Name,Defect\n1.png,1\n", "Filename missing"),
        ("Filename,Defect\n1.png,2\n", "0 or 1 in column Defect"),
        (
            "Filename,Defect\n1.png,1\n2.png,0\n3.png,0\n",
            "names 3 files, 2 of them are not there; the first: 2.png, 3.png",
        ),
        ("Filename,Defect\n1.png,1\n1.png,0\n", "1.png twice"),
    ],
)
def test_faults_of_sewer_mls_csv(tmp_path, text, says):
    _picture(tmp_path / "Val/1.png", 0)
    listing = tmp_path / "SewerML_Val.csv"
    listing.write_text(text)
    assert says in _error(listing)


def test_sewer_ml_with_defects_only(tmp_path):
    _picture(tmp_path / "1.png", 0)
    (tmp_path / "SewerML_Val.csv").write_text("Filename,Defect\n1.png,1\n")
    with pytest.raises(datasets.OneLabelError, match="0 good and 1 defective"):
        datasets.open_dataset(tmp_path)


@pytest.fixture
def leaky(tmp_path):
    for seed, name in enumerate(("train/good/a", "train/good/b", "test/good/c", "test/crack/d")):
        _picture(tmp_path / f"{name}.png", seed)
    shutil.copy(tmp_path / "train/good/b.png", tmp_path / "test/good/renamed.png")
    return tmp_path


def test_a_leak_lists_the_files(leaky):
    for open_it in (datasets.open_dataset, datasets.read_folder):
        with pytest.raises(datasets.LeakError, match=r"train/good/b\.png is also test/good/renamed\.png") as caught:
            open_it(leaky)
        assert caught.value.pairs == [("train/good/b.png", "test/good/renamed.png")]
        assert caught.value.exit_code == 2


def test_many_leaks_fit_the_screen_and_the_error_keeps_them_all(leaky):
    for seed in range(10, 20):
        _picture(leaky / f"train/good/{seed}.png", seed)
        shutil.copy(leaky / f"train/good/{seed}.png", leaky / f"test/crack/x{seed}.png")
    with pytest.raises(datasets.LeakError, match="11 pictures") as caught:
        datasets.open_dataset(leaky)
    assert len(str(caught.value).splitlines()) <= 6
    assert str(caught.value).endswith("and 7 more")
    assert len(caught.value.pairs) == 11


def test_leaks_can_be_dropped_from_train_and_are_told(leaky):
    (found,) = datasets.open_dataset(leaky, leaks="drop")
    assert [s.name for s in found.fit] == ["train/good/a.png"]
    assert [s.name for s in found.leaked] == ["train/good/b.png"]
    assert len(found.test) == 3
    assert datasets.find_leaks(found) == []


def test_a_picture_that_visas_csv_puts_in_both_splits_is_a_leak(split):
    split.write_text("\n".join((HEADER, *ROWS, "nut,test,normal,a.png,")))
    with pytest.raises(datasets.LeakError, match=r"nut: a\.png is also a\.png"):
        datasets.open_dataset(split)


def test_equal_size_and_equal_ends_are_not_yet_equal_pictures(tmp_path, monkeypatch):
    files = {"train/good/a": b"1" * 20_000, "test/good/b": b"1" * 9_999 + b"2" + b"1" * 10_000, "test/crack/c": b"3"}
    for name, content in files.items():
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    read = []
    monkeypatch.setattr(leaks, "_whole", lambda path, whole=leaks._whole: read.append(path.name) or whole(path))
    assert datasets.open_dataset(tmp_path)[0].leaked == []
    assert sorted(read) == ["a.png", "b.png"]  # of another size: never opened


def test_only_files_of_equal_size_are_opened(leaky, monkeypatch):
    (leaky / "test/good/renamed.png").write_bytes((leaky / "train/good/b.png").read_bytes() + b"longer")
    opened = []
    sizes = {path.stat().st_size for path in leaky.rglob("train/good/*.png")}
    monkeypatch.setattr(leaks, "_ends", lambda path, ends=leaks._ends: opened.append(path) or ends(path))
    datasets.open_dataset(leaky)
    assert all(path.stat().st_size in sizes for path in opened)
    assert Path(leaky / "test/good/renamed.png") not in opened
