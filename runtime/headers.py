"""What a picture file's own structure says: its size in pixels, and whether all of it is there.

Nothing is decoded. Each walker follows the lengths its format keeps; running off the end means truncated.
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Bytes of a value by its kind, 1 where not listed; width, height, places and lengths of strips, and of tiles.
_TIFF_WIDTHS = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_TIFF_CODES = {1: "B", 3: "H", 4: "I", 16: "Q"}
_TIFF_TAGS = frozenset((256, 257, 273, 279, 324, 325))
# At most ten digits: Python refuses to make a number of thousands of them. The second is the largest grey level.
_PORTABLE_MAP = re.compile(rb"P([1-6])(?:\s|#[^\n]*\n)+(\d{1,10})(?:\s|#[^\n]*\n)+(\d{1,10})(?=\s)")
_PORTABLE_MAP_TOP = re.compile(rb"(?:\s|#[^\n]*\n)+(\d{1,5})(?=\s)")


@dataclass(frozen=True)
class Header:
    """Size of a picture as its file claims it; `whole` is false when the file ends before its own structure does."""

    kind: str
    width: int
    height: int
    whole: bool


def read_header(data: bytes) -> Header | None:
    """Return what the header says, or None for a format that is not known here.

    A file too short to hold its size is reported as 0x0 and not whole.
    """
    for magic, kind, read in _FORMATS:
        if data.startswith(magic) and (kind != "WebP" or data[8:12] == b"WEBP"):
            try:
                found = read(data)
            except (IndexError, struct.error):
                return Header(kind, 0, 0, False)
            return None if found is None else Header(kind, *found)
    return None


def _jpeg(data: bytes) -> tuple[int, int, bool]:
    at, width, height = 2, 0, 0
    while True:
        if data[at] != 0xFF:
            at = data.index(b"\xff", at) if b"\xff" in data[at:] else len(data)  # stray bytes between segments
            continue
        while data[at] == 0xFF:
            at += 1
        marker = data[at]
        at += 1
        if marker == 0xD9:
            return width, height, True  # whatever follows the end marker is not the picture's
        if marker in _JPEG_ALONE or marker == 0x00:
            continue
        if at + 2 > len(data):
            return width, height, False
        (length,) = struct.unpack_from(">H", data, at)
        if at + length > len(data):
            return width, height, False
        if marker in _JPEG_FRAMES and not width:
            height, width = struct.unpack_from(">HH", data, at + 3)
        at += max(length, 2)
        if marker == 0xDA:
            # Entropy-coded data: a 0xFF in it is followed by 0 or by a restart marker.
            while True:
                at = data.find(b"\xff", at)
                if at < 0 or at + 1 >= len(data):
                    return width, height, False
                if data[at + 1] != 0 and not 0xD0 <= data[at + 1] <= 0xD7:
                    break
                at += 2


def _png(data: bytes) -> tuple[int, int, bool]:
    width, height = struct.unpack_from(">II", data, 16)
    at = 8
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        at += 12 + length
        if name == b"IEND":
            return width, height, at <= len(data)
    return width, height, False


def _bmp(data: bytes) -> tuple[int, int, bool]:
    (offset, size) = struct.unpack_from("<II", data, 10)
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = image = 0
    else:
        width, height, _, bits, compression, image = struct.unpack_from("<iiHHII", data, 18)
    width, height = abs(width), abs(height)  # a negative height means top to bottom
    packed = compression in (1, 2, 4, 5)
    needed = image if packed else (width * bits + 31) // 32 * 4 * height
    return width, height, offset + needed <= len(data)


def _webp(data: bytes) -> tuple[int, int, bool]:
    (length,) = struct.unpack_from("<I", data, 4)
    name = data[12:16]
    if name == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
    elif name == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    return width, height, 8 + length <= len(data)


def _tiff(data: bytes) -> tuple[int, int, bool]:
    """Follow the first directory: its values, and the strips or tiles of its picture, must lie inside the file."""
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
    (at,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, 8 if big else 4)
    (count,) = struct.unpack_from(f"{order}{'Q' if big else 'H'}", data, at)
    at += 8 if big else 2
    entry, inline = (20, 8) if big else (12, 4)  # bytes of an entry, and of the value or place at its end
    if at + count * entry + inline > len(data):  # the place of the next directory follows the entries
        return 0, 0, False
    tags: dict[int, tuple[int, ...]] = {}
    for index in range(count):
        place = at + index * entry
        tag, kind, number = struct.unpack_from(f"{order}HH{'Q' if big else 'I'}", data, place)
        where = place + entry - inline
        width = _TIFF_WIDTHS.get(kind, 1) * number
        if width > inline:
            (where,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, where)
        if where + width > len(data):
            return 0, 0, False
        if tag in _TIFF_TAGS and kind in _TIFF_CODES:
            tags[tag] = struct.unpack_from(f"{order}{number}{_TIFF_CODES[kind]}", data, where)
    columns, rows = tags.get(256, (0,))[0], tags.get(257, (0,))[0]
    begins = tags.get(273, ()) or tags.get(324, ())
    lengths = tags.get(279, ()) or tags.get(325, ())
    return columns, rows, all(b + n <= len(data) for b, n in zip(begins, lengths, strict=False))


def _portable_map(data: bytes) -> tuple[int, int, bool] | None:
    """PBM, PGM and PPM: numbers as text, spaces and comments between them; None for prose that begins like one."""
    numbers = _PORTABLE_MAP.match(data)
    if numbers is None:
        return None
    kind, width, height = int(numbers[1]), int(numbers[2]), int(numbers[3])
    if kind < 4:
        return width, height, True  # pixels as text: their length is not known beforehand
    if kind == 4:
        return width, height, numbers.end(3) + 1 + (width + 7) // 8 * height <= len(data)
    top = _PORTABLE_MAP_TOP.match(data, numbers.end())
    if top is None:
        return width, height, False
    needed = width * height * (3 if kind == 6 else 1) * (2 if int(top[1]) > 255 else 1)
    return width, height, top.end() + 1 + needed <= len(data)


_FORMATS: tuple[tuple[bytes, str, Callable[[bytes], tuple[int, int, bool] | None]], ...] = (
    (b"\xff\xd8", "JPEG", _jpeg),
    (b"\x89PNG\r\n\x1a\n", "PNG", _png),
    (b"BM", "BMP", _bmp),
    (b"RIFF", "WebP", _webp),
    (b"II*\0", "TIFF", _tiff),
    (b"MM\0*", "TIFF", _tiff),
    (b"II+\0", "TIFF", _tiff),
    (b"MM\0+", "TIFF", _tiff),
    (b"P", "portable map", _portable_map),
)
