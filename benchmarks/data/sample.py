"""One labelled picture with its mask, both read when asked; and one class of them."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordsight.benchmarks.data.errors import MaskError, OneLabelError
from wordsight.runtime.errors import PictureError


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
    mask_above: int = 127
    """Grey level of the mask file above which a pixel is part of the defect."""

    def load(self) -> NDArray[np.uint8]:
        """The picture, uint8 (H, W, 3) BGR. Raises PictureError where the file cannot be read."""
        if self.frame is not None:
            return self.frame
        from wordsight.runtime.pictures import read_picture

        assert self.path is not None
        return read_picture(self.path)

    def load_mask(self, size: tuple[int, int] | None = None) -> NDArray[np.bool_] | None:
        """Where the defect is, or None where nobody drew a mask.

        A mask that marks nothing is returned as it is: real sets have a few.

        Args:
            size: Height and width of the picture, where the caller has read it already; read again without it.

        Returns:
            bool (H, W) of the picture's size.

        Raises:
            MaskError: The mask cannot be read, or differs from the picture in size.
            PictureError: The picture itself cannot be read.
        """
        mask, where = self.mask, f"of {self.name}"
        if mask is None:
            if self.mask_path is None:
                return None
            mask, where = self._read_mask(self.mask_path), str(self.mask_path)
        height, width = size or self.load().shape[:2]
        if mask.shape != (height, width):
            raise MaskError(
                f"expected a mask of {width}x{height} pixels, as {self.name} has; "
                f"got {mask.shape[1]}x{mask.shape[0]} in the mask {where}"
            )
        return mask

    def pixel_truth(self, size: tuple[int, int] | None = None) -> NDArray[np.bool_]:
        """The same for pixel figures, which need a mask of every defective picture; a good one has no defect anywhere.

        Raises:
            MaskError: As `load_mask`, or this is a defective picture without a mask.
            PictureError: The picture itself cannot be read.
        """
        if not self.label:
            return np.zeros(size or self.load().shape[:2], np.bool_)
        mask = self.load_mask(size)
        if mask is None:
            raise MaskError(f"expected a mask of the defective picture {self.name} ({self.kind}), got none")
        return mask

    def _read_mask(self, path: Path) -> NDArray[np.bool_]:
        from wordsight.runtime.pictures import read_picture

        try:
            return np.asarray(read_picture(path).max(2) > self.mask_above)
        except PictureError as error:
            raise MaskError(f"expected a readable mask of {self.name}: {error}") from error


@dataclass(frozen=True)
class Dataset:
    """Pictures of one class to score, and good ones apart from them for what must be fitted on good pictures."""

    name: str
    test: list[Sample]
    fit: list[Sample]
    """Good pictures only; none of them is in `test`. May be empty."""
    object_word: str = ""
    """What a prompt calls the object, such as "metal nut"; empty where it is not known."""
    collection: str = ""
    """The published set it is a class of: a key of `published.PUBLISHED`; empty for any other folder."""
    leaked: list[Sample] = field(default_factory=list)
    """Good pictures of train that were taken out of `fit` because `test` has them too."""


def check_labels(name: str, test: list[Sample]) -> None:
    """Raises OneLabelError where the pictures of class `name` are not of both labels."""
    bad = sum(sample.label for sample in test)
    good = len(test) - bad
    if not good or not bad:
        missing = "defective" if good else "good"
        raise OneLabelError(
            f"expected good and defective test pictures of {name}, got {good} good and {bad} defective: "
            f"add {missing} ones"
        )
