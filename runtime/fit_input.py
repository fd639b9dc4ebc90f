"""A frame as an exported file takes it: fitted here, or, of a file that resizes in its graph, as the camera gave it."""

import dataclasses

from wordsight.runtime.errors import FrameError
from wordsight.runtime.manifest_input import InputSpec
from wordsight.runtime.preprocess import Frame, check_frame, fit_frame
from wordsight.runtime.sources.frame import Failure, Item
from wordsight.runtime.sources.frame import Frame as SourceFrame


def check_input(image: Frame, spec: InputSpec) -> Frame:
    """Return `image` if a file can be given it.

    Args:
        image: (H, W, 3) uint8 BGR.
        spec: what the file takes.

    Raises:
        FrameError: it is no such frame, or of another size than the one that the file's graph resizes.
    """
    height, width = check_frame(image).shape[:2]
    if spec.frame and (height, width) != spec.frame:
        raise FrameError(
            f"expected a frame of {spec.frame[1]}x{spec.frame[0]} pixels, the one size that this model resizes in its "
            f"graph, got {width}x{height}; set the camera to it, or export again with --frame {width}x{height} or "
            "--resize host"
        )
    return image


def fit_input(image: Frame, spec: InputSpec) -> Frame:
    """Bring a frame to what a file takes, (*spec.shape, 3) uint8 BGR.

    Args:
        image: (H, W, 3) uint8 BGR.
        spec: what the file takes.

    Returns:
        The frame fitted as the file says; `image` itself where its graph does that.

    Raises:
        FrameError: as `check_input`.
    """
    check_input(image, spec)
    return image if spec.frame else fit_frame(image, spec.size, spec.fit, spec.camera)


def as_host(spec: InputSpec) -> InputSpec:
    """What a file takes that is the same but for its resize, which the runtime does."""
    return dataclasses.replace(spec, frame=())


def covered(image: Frame, rows: int, columns: int) -> Frame:
    """A made-up picture in the size of a camera: enlarged or shrunk until it covers (rows, columns), its centre."""
    side = max(rows, columns)
    top, left = (side - rows) // 2, (side - columns) // 2
    return fit_frame(image, side)[top : top + rows, left : left + columns]


def admitted(item: Item, spec: InputSpec) -> Item:
    """A source's item as it came, or the failure that a frame is which the file cannot be given."""
    if not isinstance(item, SourceFrame):
        return item
    try:
        check_input(item.image, spec)
    except FrameError as error:
        return Failure(item.source, str(error), type(error).__name__, item.index)
    return item
