"""Picture files of any kind to uint8 BGR, each odd input by a stated rule, and never half a picture.

OpenCV decodes; the file's own header is read first (`headers.py`), because OpenCV hands out the upper half of a
truncated picture without a word and takes a claimed size at face value.
"""

import os
import stat

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.errors import PictureError
from wordsight.runtime.headers import read_header
from wordsight.runtime.opencv import MAX_PIXELS, load_cv2, silenced

_DEEP_ROWS = 256  # rows of a 16-bit picture that are divided at once: bounds the memory


def read_picture(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read a picture file, recognised by its content, never by its suffix.

    Grey becomes three equal channels; 16 bit is divided by 257 and rounded; alpha is dropped (the colours under it
    stay, except that OpenCV multiplies them by the alpha in a TIFF); a palette is looked up; CMYK is converted by
    OpenCV, within 1 grey level of Pillow; the EXIF orientation is applied. Of an animation or a file of several pages,
    the first picture counts.

    Args:
        path: JPEG, PNG, BMP, TIFF, WebP, or whatever else the OpenCV at hand reads.

    Returns:
        (H, W, 3) uint8 BGR.

    Raises:
        PictureError: missing, a folder, empty, truncated, not a picture, or larger than `MAX_PIXELS`; see `.reason`.
        MissingPart: OpenCV is not installed.
    """
    load_cv2()  # what is missing is told first
    return decoded(_bytes_of(path), os.fspath(path))


def decoded(data: bytes, path: str) -> NDArray[np.uint8]:
    """Return the picture that `data` holds as `read_picture` does, (H, W, 3) uint8 BGR; `path` names it in errors.

    Raises:
        PictureError, MissingPart: as `read_picture`.
    """
    cv2 = load_cv2()
    header = read_header(data)
    if header is not None:
        if header.width * header.height > MAX_PIXELS:
            raise PictureError(
                f"{path} claims {header.width}x{header.height} pixels; at most {MAX_PIXELS} in all are read",
                "too large",
            )
        if not header.whole:
            raise PictureError(f"{path} is truncated: the {header.kind} ends too early", "truncated")
    try:
        with silenced(cv2):
            # ANYDEPTH keeps 16 bit, so that the division below is ours; COLOR drops alpha and applies the orientation.
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:
        reason = " ".join(str(error.err).split())
        if "CV_IO_MAX_IMAGE" in reason:
            raise PictureError(f"{path} claims more than {MAX_PIXELS} pixels in all", "too large") from error
        raise PictureError(f"{path} cannot be decoded: {reason[:200]}") from error
    if picture is None:
        kind = f"a damaged {header.kind}" if header else "not a picture OpenCV can read"
        raise PictureError(f"{path} is {kind}")
    if picture.dtype == np.uint16:
        picture = _to_8_bit(picture)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise PictureError(f"{path} holds {picture.dtype} {picture.shape}; expected 8 or 16 bit, grey or colour")
    if header is not None and sorted(picture.shape[:2]) != sorted((header.height, header.width)):
        raise PictureError(f"{path} is a damaged {header.kind}: its header and its content differ in size")
    return np.asarray(picture, np.uint8)


def _to_8_bit(deep: NDArray[np.uint16]) -> NDArray[np.uint8]:
    shallow = np.empty(deep.shape, np.uint8)
    for row in range(0, len(deep), _DEEP_ROWS):
        part = deep[row : row + _DEEP_ROWS].astype(np.uint32)
        shallow[row : row + _DEEP_ROWS] = (part + 128) // 257
    return shallow


def _bytes_of(path: str | os.PathLike[str]) -> bytes:
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise PictureError(f"{path} is {'a folder' if stat.S_ISDIR(mode) else 'not a file'}; expected a picture")
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError as error:
        raise PictureError(f"no such picture: {path}", "missing") from error
    except OSError as error:
        raise PictureError(f"cannot read {path}: {error.strerror or error}") from error
    if not data:
        raise PictureError(f"{path} is empty", "empty")
    return data
