"""One way in: recognise how a folder is laid out, read its classes, refuse pictures that are in train and in test."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from wordsight.benchmarks.data import leaks as leaks_
from wordsight.benchmarks.data.errors import LayoutError
from wordsight.benchmarks.data.mvtec import class_folders, read_class, read_classes
from wordsight.benchmarks.data.published import PUBLISHED
from wordsight.benchmarks.data.sample import Dataset
from wordsight.benchmarks.data.sewer import LISTS, read_sewer
from wordsight.benchmarks.data.visa import SPLIT, read_visa
from wordsight.runtime.errors import SettingError

Layout = Literal["mvtec-ad", "visa", "sewer-ml", "folder", "classes"]
"""Three published sets, one class in MVTec's layout, and a folder of such classes."""
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
Leaks = Literal["refuse", "drop"]

_OWN = {
    "folder": "DIR/test/{good,<kind>}/*; DIR/train/good/* and DIR/ground_truth/<kind>/*_mask.png may be absent",
    "classes": "DIR/<class>/, each as folder",
}


def open_dataset(path: Path, layout: Layout | Literal["auto"] = "auto", leaks: Leaks = "refuse") -> list[Dataset]:
    """The classes of a data set, sorted by name; no picture is decoded.

    Args:
        path: A folder; for VisA and Sewer-ML the csv itself will do as well.
        layout: "auto" recognises it from what is in the folder.
        leaks: Of a picture that is in train and in test alike: "refuse" the whole set, or "drop" it from train (it is
            then in `Dataset.leaked`).

    Raises:
        LayoutError: `path` is missing, empty, or laid out otherwise; says what is expected, and who publishes the set.
        OneLabelError: A class with good test pictures only, or defective ones only.
        ListError: A csv lacks columns, holds another value than it may, or names absent files.
        LeakError: As said under `leaks`.
        SettingError: There is no layout of that name.
    """
    if layout != "auto" and layout not in LAYOUTS:
        raise SettingError(f"expected a layout of auto, {', '.join(LAYOUTS)}; got {layout}")
    chosen = recognise(path) if layout == "auto" else layout
    if not path.exists():
        raise LayoutError(_expected(chosen, path, "there is no such folder"))
    datasets = _READERS[chosen](path)
    if leaks == "drop":
        return [leaks_.without_leaks(dataset) for dataset in datasets]
    leaks_.refuse_leaks(datasets)
    return datasets


def recognise(path: Path) -> Layout:
    """Which layout a folder or a csv has, by the names in it.

    Raises:
        LayoutError: None of them; lists them all, each with what it looks like.
    """
    if path.is_file() and path.suffix.lower() == ".csv":
        return "sewer-ml" if path.name.lower().startswith("sewerml") else "visa"
    if path.is_dir():
        if (path / SPLIT).is_file():
            return "visa"
        if any((path / name).is_file() for name in LISTS):
            return "sewer-ml"
        if (path / "test").is_dir() or (path / "train").is_dir():
            return "folder"
        names = {folder.name for folder in class_folders(path)}
        if names:
            return "mvtec-ad" if names == set(PUBLISHED["mvtec-ad"].classes) else "classes"
    found = "it is empty" if path.is_dir() and not any(path.iterdir()) else "none of them"
    if not path.exists():
        found = "there is no such folder"
    known = [f"{name}: {published.layout}" for name, published in PUBLISHED.items()]
    known += [f"{name}: {layout}" for name, layout in _OWN.items()]
    raise LayoutError(f"expected a data set at {path}, but {found}; a set is one of\n" + "\n".join(known))


def _read_mvtec_ad(path: Path) -> list[Dataset]:
    classes = PUBLISHED["mvtec-ad"].classes
    absent = [name for name in classes if not (path / name).is_dir()]
    if absent:
        raise LayoutError(_expected("mvtec-ad", path, f"it lacks {', '.join(absent)}"))
    return [replace(read_class(path / name), collection="mvtec-ad") for name in classes]


def _read_visa(path: Path) -> list[Dataset]:
    classes = set(PUBLISHED["visa"].classes)
    split = path / SPLIT if path.is_dir() else path
    if split.is_file():
        datasets = read_visa(split)
    elif classes <= {folder.name for folder in class_folders(path)}:
        # What the publisher's own script makes of it: the same pictures in MVTec's layout.
        datasets = [dataset for dataset in read_classes(path) if dataset.name in classes]
    else:
        raise LayoutError(_expected("visa", path, f"there is no {split}"))
    # Another set may be listed in the same way; it must not fill a row of the published one.
    whole = {dataset.name for dataset in datasets} == classes
    return [replace(dataset, collection="visa" if whole else "") for dataset in datasets]


def _read_sewer_ml(path: Path) -> list[Dataset]:
    candidates = [path / name for name in LISTS] if path.is_dir() else [path]
    listing = next((candidate for candidate in candidates if candidate.is_file()), None)
    if listing is None:
        raise LayoutError(_expected("sewer-ml", path, f"there is no {candidates[0]}"))
    return [replace(dataset, collection="sewer-ml") for dataset in read_sewer(listing)]


def _read_classes(path: Path) -> list[Dataset]:
    datasets = read_classes(path)
    whole = {dataset.name for dataset in datasets} == set(PUBLISHED["visa"].classes)
    return [replace(dataset, collection="visa") for dataset in datasets] if whole else datasets


def _expected(layout: Layout, path: Path, found: str) -> str:
    published = PUBLISHED.get(layout)
    if published is None:
        return f"expected {_OWN[layout]} at {path}, but {found}"
    return f"expected {published.title} at {path} ({published.layout}), but {found}. {published.how_to_get()}"


_READERS: dict[Layout, Callable[[Path], list[Dataset]]] = {
    "mvtec-ad": _read_mvtec_ad,
    "visa": _read_visa,
    "sewer-ml": _read_sewer_ml,
    "folder": lambda path: [read_class(path)],
    "classes": _read_classes,
}
