"""Recognising the published layouts on sets drawn here, and what is said where one is missing or incomplete."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from wordsight.benchmarks import datasets
from wordsight.runtime.errors import SettingError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
MVTEC = datasets.PUBLISHED["mvtec-ad"].classes
VISA = datasets.PUBLISHED["visa"].classes
_drawn = iter(range(10**9))


def _picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.random.default_rng(next(_drawn)).integers(0, 256, (6, 8, 3), np.uint8))


def _mask(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((6, 8), np.uint8)
    mask[1:3, 2:6] = value
    assert cv2.imwrite(str(path), mask)


def mvtec_class(folder, kind="crack"):
    for name in ("train/good/000", "train/good/001", "test/good/000", f"test/{kind}/000"):
        _picture(folder / f"{name}.png")
    _mask(folder / f"ground_truth/{kind}/000_mask.png", 255)
    return folder


def visa(root, objects=VISA):
    lines = ["object,split,label,image,mask"]
    for name in objects:
        for split, label, image, mask in (
            ("train", "normal", "Normal/0000.JPG", ""),
            ("test", "normal", "Normal/0001.JPG", ""),
            ("test", "anomaly", "Anomaly/000.JPG", f"{name}/Data/Masks/Anomaly/000.png"),
        ):
            _picture(root / name / "Data" / "Images" / image)
            lines.append(f"{name},{split},{label},{name}/Data/Images/{image},{mask}")
        _mask(root / name / "Data/Masks/Anomaly/000.png", 3)
    (root / "split_csv").mkdir()
    (root / "split_csv/1cls.csv").write_text("\n".join(lines) + "\n")
    return root


CODES = "VA,RB,OB,PF,DE,FS,IS,RO,IN,AF,BE,FO,GR,PH,PB,OS,OP,OK,ND"


def sewer(root, listing="SewerML_Val.csv", pictures="Val"):
    # VA, water level, is set in a good picture: it is no defect.
    flags = {
        "00000001.png": ("VA", 0),
        "00000002.png": ("RB AF", 1),
        "00000003.png": ("ND", 0),
        "00000004.png": ("OK", 1),
    }
    lines = [f"Filename,WaterLevel,{CODES},Defect"]
    for name, (codes, defect) in flags.items():
        _picture(root / pictures / name)
        lines.append(",".join([name, "0", *(str(int(c in codes.split())) for c in CODES.split(",")), str(defect)]))
    (root / listing).parent.mkdir(parents=True, exist_ok=True)
    (root / listing).write_text("\n".join(lines) + "\n")
    return root


def test_mvtec_ad_is_its_fifteen_classes(tmp_path):
    for name in MVTEC:
        mvtec_class(tmp_path / name)
    (tmp_path / "license.txt").write_text("a note")
    assert datasets.recognise(tmp_path) == "mvtec-ad"
    found = datasets.open_dataset(tmp_path)
    assert [d.name for d in found] == list(MVTEC) == sorted(MVTEC)
    assert {d.collection for d in found} == {"mvtec-ad"}
    assert found[MVTEC.index("metal_nut")].object_word == "metal nut"
    assert [(len(d.test), len(d.fit), sum(s.label for s in d.test)) for d in found] == [(2, 2, 1)] * 15
    assert all(d.test[0].pixel_truth().sum() == 8 for d in found)


def test_mvtec_ad_with_a_class_missing_never_passes_for_the_whole(tmp_path):
    for name in MVTEC[1:]:
        mvtec_class(tmp_path / name)
    assert {d.collection for d in datasets.open_dataset(tmp_path)} == {""}
    with pytest.raises(datasets.LayoutError, match=r"it lacks bottle\. .*CC BY-NC-SA 4\.0.*nothing is downloaded"):
        datasets.open_dataset(tmp_path, "mvtec-ad")


def test_one_class_and_a_folder_of_classes(tmp_path):
    mvtec_class(tmp_path / "steel_plate")
    mvtec_class(tmp_path / "bolt", kind="hole")
    (tmp_path / "notes").mkdir()
    assert datasets.recognise(tmp_path) == "classes"
    assert [(d.name, d.object_word, d.collection) for d in datasets.open_dataset(tmp_path)] == [
        ("bolt", "bolt", ""),
        ("steel_plate", "steel plate", ""),
    ]
    assert datasets.recognise(tmp_path / "bolt") == "folder"
    assert [d.name for d in datasets.open_dataset(tmp_path / "bolt")] == ["bolt"]


def test_a_class_of_many_with_one_label_is_named(tmp_path):
    mvtec_class(tmp_path / "bolt")
    _picture(tmp_path / "nut/test/good/000.png")
    with pytest.raises(datasets.OneLabelError, match=r"nut with pictures in test/\{good\} only"):
        datasets.open_dataset(tmp_path)


def test_a_class_that_lost_its_test_folder_is_not_skipped(tmp_path):
    mvtec_class(tmp_path / "bolt")
    _picture(tmp_path / "nut/train/good/000.png")
    with pytest.raises(datasets.LayoutError, match="nut with no folder named test"):
        datasets.open_dataset(tmp_path)


def test_visa_by_its_split(tmp_path):
    visa(tmp_path)
    assert datasets.recognise(tmp_path) == "visa"
    found = datasets.open_dataset(tmp_path)
    assert [d.name for d in found] == list(VISA)
    assert {d.collection for d in found} == {"visa"}
    assert found[-1].object_word == "pipe fryum"
    for dataset in found:
        good, bad = dataset.test
        assert (good.label, bad.label, [s.name[-15:] for s in dataset.fit]) == (0, 1, ["Normal/0000.JPG"])
        assert bad.pixel_truth().sum() == 8  # its masks number the kinds: grey level 3 is a defect
    by_csv = datasets.open_dataset(tmp_path / "split_csv/1cls.csv")
    assert by_csv == found


def test_some_of_visa_is_not_visa(tmp_path):
    visa(tmp_path, VISA[:2])
    assert [(d.name, d.collection) for d in datasets.open_dataset(tmp_path)] == [("candle", ""), ("capsules", "")]


def test_visa_as_its_publishers_script_lays_it_out(tmp_path):
    for name in VISA:
        mvtec_class(tmp_path / name, kind="bad")
    assert {d.collection for d in datasets.open_dataset(tmp_path)} == {"visa"}
    assert [d.name for d in datasets.open_dataset(tmp_path, "visa")] == list(VISA)


def test_defective_pictures_of_train_are_used_nowhere(tmp_path):
    visa(tmp_path, ["candle"])
    _picture(tmp_path / "candle/Data/Images/Anomaly/001.JPG")
    split = tmp_path / "split_csv/2cls_fewshot.csv"
    text = (tmp_path / "split_csv/1cls.csv").read_text()
    split.write_text(text + "candle,train,anomaly,candle/Data/Images/Anomaly/001.JPG,\n")
    (found,) = datasets.open_dataset(split)
    assert (len(found.test), len(found.fit)) == (2, 1)


@pytest.mark.parametrize(
    ("listing", "pictures"),
    [
        ("SewerML_Val.csv", "Val"),
        ("SewerML_Val.csv", "valid00"),
        ("SewerML_Val.csv", "."),
        ("annotations/SewerML_Val.csv", "Val"),
    ],
)
def test_sewer_ml_in_the_ways_it_lies_about(tmp_path, listing, pictures):
    sewer(tmp_path, listing, pictures)
    _picture(tmp_path / "Train" / "00000001.png")  # another picture of the same name
    assert datasets.recognise(tmp_path) == "sewer-ml"
    (found,) = datasets.open_dataset(tmp_path)
    assert [(s.name, s.label, s.kind) for s in found.test] == [
        ("00000001.png", 0, "good"),
        ("00000002.png", 1, "RB+AF"),
        ("00000003.png", 0, "good"),
        ("00000004.png", 1, "OK"),
    ]
    assert (found.name, found.collection, found.object_word, found.fit) == ("sewer-ml", "sewer-ml", "", [])
    assert {s.path.parent for s in found.test} == {tmp_path / pictures}
    assert datasets.open_dataset(tmp_path / listing) == [found]


def test_sewer_ml_without_the_column_defect_goes_by_the_codes(tmp_path):
    listing = sewer(tmp_path) / "SewerML_Val.csv"
    listing.write_text("\n".join(line.rpartition(",")[0] for line in listing.read_text().splitlines()))
    (found,) = datasets.open_dataset(tmp_path)
    assert [s.label for s in found.test] == [0, 1, 0, 1]


@pytest.mark.parametrize("layout", ["mvtec-ad", "visa", "sewer-ml"])
@pytest.mark.parametrize("there", [False, True])
def test_a_missing_set_says_layout_licence_and_publisher(tmp_path, layout, there):
    path = tmp_path / "set"
    if there:
        path.mkdir()
    published = datasets.PUBLISHED[layout]
    with pytest.raises(datasets.LayoutError) as caught:
        datasets.open_dataset(path, layout)
    message = str(caught.value)
    for part in (
        str(path),
        published.title,
        published.layout,
        published.licence,
        published.source,
        "nothing is downloaded",
    ):
        assert part in message
    assert "\n" not in message
    assert len(message) < 1000  # longer lines are cut where they are printed
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("make", "says"), [(None, "no such folder"), ("", "it is empty"), ("other/file.png", "none of")]
)
def test_what_is_not_recognised_lists_what_is(tmp_path, make, says):
    path = tmp_path / "set"
    if make is not None:
        path.mkdir()
    if make:
        _picture(path / make)
    with pytest.raises(datasets.LayoutError, match=says) as caught:
        datasets.open_dataset(path)
    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines[1:]] == list(datasets.LAYOUTS)
    assert len(lines) <= 6  # more are cut where they are printed
    assert str(path) in lines[0]


@pytest.mark.parametrize("layout", ["folder", "classes"])
def test_a_layout_that_was_asked_for_is_not_replaced_by_another(tmp_path, layout):
    visa(tmp_path, ["candle"])
    with pytest.raises(datasets.LayoutError, match="test"):
        datasets.open_dataset(tmp_path, layout)


def test_an_unknown_layout_is_a_wrong_setting(tmp_path):
    with pytest.raises(SettingError, match="auto, mvtec-ad, visa, sewer-ml, folder, classes; got coco"):
        datasets.open_dataset(tmp_path, "coco")


def test_the_real_sets_open_as_two_classes():
    if not SHARED.is_dir():
        pytest.skip(f"needs the pictures in {SHARED}")
    found = datasets.open_dataset(SHARED)
    assert [(d.name, len(d.test), len(d.fit), d.collection) for d in found] == [
        ("magnetic_tile", 692, 652, ""),
        ("pcb", 500, 300, ""),
    ]
