"""MVTec's layout: one class, or a folder of classes.

A class is a folder with

    DIR/train/good/*            good pictures, for detectors that are fitted on good pictures; may be absent
    DIR/test/good/*             label 0
    DIR/test/<kind>/*           label 1
    DIR/ground_truth/<kind>/*   masks: the picture's stem, or stem + "_mask", .png; may be absent
"""

from pathlib import Path

from wordsight.benchmarks.data.errors import LayoutError, OneLabelError
from wordsight.benchmarks.data.sample import Dataset, Sample

LAYOUT = "DIR/test/good with good pictures and DIR/test/<kind of defect> with defective ones"
_NOT_PICTURES = {".txt", ".md", ".csv", ".json", ".xml", ".db", ".ini"}
"""Suffixes of notes that data sets leave between pictures; everything else is tried, and reported if it fails."""


def read_class(folder: Path) -> Dataset:
    """The pictures of a folder in MVTec's layout, sorted by path.

    Raises:
        LayoutError: The folder is missing, or has no folder `test` with pictures below it.
        OneLabelError: There are good pictures only, or defective ones only.
    """
    if not folder.is_dir():
        raise LayoutError(f"expected a folder in MVTec's layout ({LAYOUT}), got {folder}, which is not a folder")
    kinds = sorted(p.name for p in (folder / "test").glob("*") if p.is_dir() and _files(p))
    if not kinds:
        found = "no pictures below test" if (folder / "test").is_dir() else "no folder named test"
        raise LayoutError(f"expected {LAYOUT}, got {folder} with {found}")
    if "good" not in kinds or len(kinds) < 2:
        raise OneLabelError(f"expected {LAYOUT}, got {folder} with pictures in test/{{{','.join(kinds[:6])}}} only")
    test = [
        Sample(
            str(path.relative_to(folder)), int(kind != "good"), kind, path=path,
            mask_path=None if kind == "good" else _mask(folder / "ground_truth" / kind, path.stem),
        )
        for kind in kinds for path in _files(folder / "test" / kind)
    ]  # fmt: skip
    fit = [Sample(str(p.relative_to(folder)), 0, "good", path=p) for p in _files(folder / "train" / "good")]
    name = folder.resolve().name
    return Dataset(name, test, fit, object_word=name.replace("_", " "))


def class_folders(root: Path) -> list[Path]:
    """The folders below `root` that hold a class, sorted; those with neither `test` nor `train` are none."""
    return sorted(
        p for p in root.iterdir()
        if p.is_dir() and not p.name.startswith(".") and ((p / "test").is_dir() or (p / "train").is_dir())
    )  # fmt: skip


def read_classes(root: Path) -> list[Dataset]:
    """Every class below `root`, sorted by name. Raises what `read_class` raises, and LayoutError without a class."""
    folders = class_folders(root)
    if not folders:
        raise LayoutError(f"expected folders in MVTec's layout below {root} (each {LAYOUT}), got none")
    return [read_class(folder) for folder in folders]


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        p for p in folder.iterdir()
        if p.is_file() and not p.name.startswith(".") and p.suffix.lower() not in _NOT_PICTURES
    )  # fmt: skip


def _mask(folder: Path, stem: str) -> Path | None:
    candidates = (folder / f"{stem}_mask.png", folder / f"{stem}.png")
    return next((path for path in candidates if path.is_file()), None)
