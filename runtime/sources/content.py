"""What a file is, by its first bytes, and whether a video file was cut short, by its container's own sizes.

Names and suffixes are never asked, except to decide whether a file in a folder that is *not* a picture was meant to
be one.
"""

import os
import re
from pathlib import Path
from typing import BinaryIO, Literal

Kind = Literal["picture", "video"]

PICTURE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .bmp .dib .tif .tiff .webp .pbm .pgm .ppm .pnm .pam .pfm .jp2 .gif .avif .exr .hdr "
    ".heic .heif".split()
)
VIDEO_SUFFIXES = frozenset(".avi .mp4 .m4v .mov .mkv .webm .mpg .mpeg .ts .m2ts .flv .wmv .asf .ogv .3gp .y4m".split())

_HEAD_BYTES = 1024  # enough for five packets of an MPEG transport stream
_BITMAP_HEADERS = frozenset((12, 16, 40, 52, 56, 64, 108, 124))
_PICTURE_BRANDS = frozenset((b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"))
_QUICKTIME_BOXES = frozenset((b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"))
_PICTURE_STARTS = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"II*\0",  # TIFF, little endian; then big endian, then both BigTIFF
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
    b"GIF87a",
    b"GIF89a",
    b"\0\0\0\x0cjP  \r\n",  # JPEG 2000, as a file and as a bare codestream
    b"\xff\x4f\xff\x51",
    b"\x76\x2f\x31\x01",  # OpenEXR
    b"#?RADIANCE",
    b"#?RGBE",
    b"\x59\xa6\x6a\x95",  # Sun raster
)
_VIDEO_STARTS = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"\0\0\x01\xba",  # MPEG program stream
    b"\0\0\x01\xb3",  # MPEG video
    b"\0\0\0\x01",  # H.264, H.265 without a container
    b"FLV\x01",
    b"OggS",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
    b"DKIF",  # IVF
    b"YUV4MPEG2",
)
_PORTABLE_MAP = re.compile(rb"P(?:[1-6][\s#]+[\d#]|7\s+WIDTH|[Ff]\s+\d)")  # PBM, PGM, PPM, PAM, PFM


def kind_of(head: bytes) -> Kind | None:
    """Return what the first bytes of a file say it is; None when they are neither a picture's nor a video's."""
    if head.startswith(_PICTURE_STARTS) or _PORTABLE_MAP.match(head):
        return "picture"
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BITMAP_HEADERS:
        return "picture"
    if head.startswith(b"RIFF"):
        return {b"WEBP": "picture", b"AVI ": "video"}.get(head[8:12])  # type: ignore[return-value]
    if head[4:8] in _QUICKTIME_BOXES:
        return "picture" if head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS else "video"
    if head.startswith(_VIDEO_STARTS) or (len(head) > 376 and head[0] == head[188] == head[376] == 0x47):
        return "video"
    return None


def kind_of_file(path: str | os.PathLike[str]) -> Kind | None:
    """Return what a file is by its content.

    Raises:
        OSError: it cannot be opened.
    """
    with open(path, "rb") as file:
        return kind_of(file.read(_HEAD_BYTES))


def claims_to_be(path: Path) -> Kind | None:
    """Return what a file's suffix says it is."""
    suffix = path.suffix.lower()
    return "picture" if suffix in PICTURE_SUFFIXES else "video" if suffix in VIDEO_SUFFIXES else None


def counts_frames(head: bytes) -> bool:
    """Say whether this container's header holds a number of frames, rather than a duration to guess it from."""
    return head[:4] == b"RIFF" or head[4:8] in _QUICKTIME_BOXES


def cut_short(path: str | os.PathLike[str]) -> bool:
    """Say whether a video file ends before its container says it does.

    Looks at AVI, MP4/MOV and Matroska/WebM, whose outermost parts state their length; False for others, and for
    recordings whose lengths were never filled in.

    Raises:
        OSError: it cannot be read.
    """
    size = os.stat(path).st_size
    with open(path, "rb") as file:
        head = file.read(16)
        if head[:4] == b"RIFF":
            return _riff_cut(file, size)
        if head[:4] == b"\x1aE\xdf\xa3":
            return _matroska_cut(file, size)
        return head[4:8] in _QUICKTIME_BOXES and _quicktime_cut(file, size)


def _riff_cut(file: BinaryIO, size: int) -> bool:
    # Beyond a gibibyte an AVI goes on in further RIFF chunks.
    position = 0
    while position + 8 <= size:
        file.seek(position)
        name, length = file.read(4), int.from_bytes(file.read(4), "little")
        if name != b"RIFF" or length == 0:
            return False
        position += 8 + length + length % 2
        if position - length % 2 > size:
            return True
    return False


def _quicktime_cut(file: BinaryIO, size: int) -> bool:
    position = 0
    while position < size:
        file.seek(position)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1 and len(header) == 16:
            length = int.from_bytes(header[8:], "big")
        elif length == 0 and len(header) >= 8:
            return False  # this box reaches to the end, wherever that is
        if length < 8 or position + length > size:
            return True
        position += length
    return False


def _matroska_cut(file: BinaryIO, size: int) -> bool:
    # Two elements side by side: the EBML header, then the segment that holds everything.
    position = 0
    for _ in range(2):
        file.seek(position)
        raw = file.read(16)
        id_bytes = _width(raw[:1])
        length_bytes = _width(raw[id_bytes : id_bytes + 1])
        if not id_bytes or not length_bytes or len(raw) < id_bytes + length_bytes:
            return True
        length = int.from_bytes(raw[id_bytes : id_bytes + length_bytes], "big") & ((1 << 7 * length_bytes) - 1)
        if length == (1 << 7 * length_bytes) - 1:
            return False  # unknown, as live recordings have it
        position += id_bytes + length_bytes + length
    return position > size


def _width(first: bytes) -> int:
    """Return the width in bytes of an EBML number from its first byte; 0 when there is none."""
    return 9 - first[0].bit_length() if first and first[0] else 0
