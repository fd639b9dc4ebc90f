"""Labelled pictures to measure on: a folder in MVTec's layout, or the held-out nouns of the generator.

The layout, of which `train` and `ground_truth` may be absent:

    DIR/train/good/*            good pictures, for detectors that are fitted on good pictures
    DIR/test/good/*             label 0
    DIR/test/<kind>/*           label 1
    DIR/ground_truth/<kind>/*   masks: the picture's stem, or stem + "_mask", .png
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.errors import SourceError

_LAYOUT = "DIR/test/good with good pictures and DIR/test/<kind of defect> with defective ones"
_NOT_PICTURES = {".txt", ".md", ".csv", ".json", ".xml", ".db", ".ini"}
"""Suffixes of notes that data sets leave between pictures; everything else is tried, and reported if it fails."""


class LayoutError(SourceError):
    """A folder is not laid out as MVTec's sets are."""


@dataclass(frozen=True)
class Sample:
    """One picture and the truth about it; it lies on disk or in memory."""

    name: str
    """What reports call it: the path, or noun and number."""
    label: int
    """0 good, 1 defective."""
    kind: str
    """The kind of defect; "good" for good pictures."""
    noun: str = ""
    """What is shown, where that is known."""
    path: Path | None = None
    frame: NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)
    mask: NDArray[np.bool_] | None = field(default=None, repr=False, compare=False)
    mask_path: Path | None = None

    def load(self) -> NDArray[np.uint8]:
        """The picture, uint8 (H, W, 3) BGR. Raises PictureError where the file cannot be read."""
        if self.frame is not None:
            return self.frame
        from wordsight.runtime.pictures import read_picture

        assert self.path is not None
        return read_picture(self.path)

    def load_mask(self) -> NDArray[np.bool_] | None:
        """Where the defect is, bool (H, W) of the mask's own size, or None where that is not known."""
        if self.mask is not None or self.mask_path is None:
            return self.mask
        from wordsight.runtime.pictures import read_picture

        return np.asarray(read_picture(self.mask_path).max(2) > 127)


@dataclass(frozen=True)
class Dataset:
    """Pictures to score, and good ones apart from them for what must be fitted on good pictures."""

    name: str
    test: list[Sample]
    fit: list[Sample]
    """Good pictures only; none of them is in `test`. May be empty."""


def read_folder(folder: Path) -> Dataset:
    """The pictures of a folder in MVTec's layout, sorted by path.

    Raises:
        LayoutError: The folder is missing, or has no `test/good` and one other folder in `test` with files in them.
    """
    if not folder.is_dir():
        raise LayoutError(f"expected a folder in MVTec's layout ({_LAYOUT}), got {folder}, which is not a folder")
    kinds = sorted(p.name for p in (folder / "test").glob("*") if p.is_dir() and _files(p))
    if "good" not in kinds or len(kinds) < 2:
        raise LayoutError(f"expected {_LAYOUT}, got {folder} with {_found(folder, kinds)}")
    test = [
        Sample(
            str(path.relative_to(folder)), int(kind != "good"), kind, path=path,
            mask_path=None if kind == "good" else _mask(folder / "ground_truth" / kind, path.stem),
        )
        for kind in kinds for path in _files(folder / "test" / kind)
    ]  # fmt: skip
    fit = [Sample(str(p.relative_to(folder)), 0, "good", path=p) for p in _files(folder / "train" / "good")]
    return Dataset(folder.resolve().name, test, fit)


def held_out(count: int, seed: int = 0) -> Dataset:
    """`count` pictures of the nouns that `mini` never saw, and half as many good ones of other scenes to fit on."""
    from wordsight.train.mini import held_out as draw

    test = [
        Sample(f"{p.noun} {i:05d}", p.label, p.kind or "good", p.noun, frame=p.image, mask=p.mask if p.label else None)
        for i, p in enumerate(draw(count, seed))
    ]
    # Another seed is another set of scenes: no picture of `fit` is a twin of one of `test`.
    fit = [
        Sample(f"{p.noun} fit {i:05d}", 0, "good", p.noun, frame=p.image)
        for i, p in enumerate(draw(count, seed + 500_009))
        if p.label == 0
    ]
    return Dataset(f"held-out nouns of the generator, seed {seed}", test, fit)


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


def _found(folder: Path, kinds: list[str]) -> str:
    if not (folder / "test").is_dir():
        return "no folder named test"
    return "no pictures below test" if not kinds else "pictures in test/{" + ",".join(kinds[:6]) + "} only"
