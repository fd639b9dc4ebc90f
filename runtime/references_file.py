"""The file that references lie in: a safetensors file, one float32 array an output, a JSON header, nothing else.

Nothing in it is ever unpickled or run: 8 bytes of header length, the header, the numbers. The header's metadata names
the model (its SHA-256, encoder, size, fit, crops), each frame's name and hash, and the SHA-256 of the numbers.
"""

import dataclasses
import hashlib
import json
import math
import os
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wordsight.runtime.checks import build, require, require_sha256, unique_keys
from wordsight.runtime.errors import ManifestInvalid
from wordsight.runtime.files import whole_file
from wordsight.runtime.references import (
    MAX_BYTES,
    MAX_FRAMES,
    OUTPUTS,
    Floats,
    Origin,
    ReferenceFrame,
    References,
    ReferencesError,
    origin_of,
)

if TYPE_CHECKING:
    from wordsight.runtime.model import Model

METADATA_KEY = "wordsight.references"
SCHEMA = 1

_MAX_HEADER = 16 * 2**20  # bytes; 10,000 frames with names of 255 letters take 4 million
_FLOAT = np.dtype("<f4")


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """The header's own part; the fields are the keys of the JSON."""

    schema: int
    origin: Origin
    frames: tuple[ReferenceFrame, ...]
    sha256: str
    """Of the numbers, in the order in which they lie in the file."""

    def __post_init__(self) -> None:
        require(self.schema == SCHEMA, "schema", f"{SCHEMA}; a later one needs a later Wordsight", self.schema)
        require(len(self.frames) <= MAX_FRAMES, "frames", f"at most {MAX_FRAMES}", len(self.frames))
        require_sha256("sha256", self.sha256)


def default_path(model: str | os.PathLike[str]) -> Path:
    """Where references lie unless another place is named: beside the model."""
    return Path(f"{os.fspath(model)}.references.safetensors")


def write_references(path: str | os.PathLike[str], references: References) -> None:
    """Write references; the file appears whole or not at all, an older one stays until then.

    Raises:
        OSError: it cannot be written.
    """
    arrays = {name: np.ascontiguousarray(array, _FLOAT) for name, array in references.vectors.items()}
    digest = hashlib.sha256()
    for array in arrays.values():
        digest.update(array.data)
    facts = _Facts(schema=SCHEMA, origin=references.origin, frames=references.frames, sha256=digest.hexdigest())
    header: dict[str, Any] = {"__metadata__": {METADATA_KEY: json.dumps(dataclasses.asdict(facts))}}
    at = 0
    for name, array in arrays.items():
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": (at, at + array.nbytes)}
        at += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the numbers begin at a multiple of 8, as safetensors asks
    with whole_file(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            file.write(array.data)


def read_references(path: str | os.PathLike[str], for_model: "Model | None" = None) -> References:
    """Read references, and hold them against the model that they are to be used with.

    Args:
        path: a file that `write_references` wrote.
        for_model: compare where they came from with this model; None to look at them only.

    Raises:
        ReferencesError: absent, truncated, damaged, no references at all, or of another model; names the file.
    """
    label = os.fspath(path)
    try:
        if os.path.exists(path) and not os.path.isfile(path):  # opening a pipe would wait for its other end
            raise ReferencesError(f"{label} is no file; expected references that `wordsight reference add` wrote")
        with open(path, "rb") as file:
            facts, shapes = _read_header(file, label)
            if for_model is not None:  # before half a gigabyte is read
                facts.origin.require_same(origin_of(for_model), label)
            vectors = {name: _read_array(file, shape, label) for name, shape in shapes.items()}
    except FileNotFoundError as error:
        raise ReferencesError(f"no references at {label}; make them: wordsight reference add MODEL GOOD...") from error
    except OSError as error:
        raise ReferencesError(f"cannot read references {label}: {(error.strerror or str(error)).lower()}") from error
    digest = hashlib.sha256()
    for array in vectors.values():
        digest.update(array.data)
    if digest.hexdigest() != facts.sha256:
        raise _damaged(label, "its numbers do not have the hash that its header names")
    return References(facts.origin, facts.frames, vectors, label)


def _read_header(file: BufferedReader, label: str) -> tuple[_Facts, dict[str, tuple[int, ...]]]:
    """Return the facts and the shape of each array, in the order of the file, its length checked to the byte."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or not 2 <= length <= _MAX_HEADER:
        raise _damaged(label, "it does not begin with a header")
    if size < 8 + length:
        raise _damaged(label, f"truncated: expected a header of {length:,} bytes, the file has {size:,}")
    try:
        header = json.loads(file.read(length), object_pairs_hook=unique_keys)
        text = header.pop("__metadata__")[METADATA_KEY]
        facts = build(_Facts, json.loads(text, object_pairs_hook=unique_keys))
    except ManifestInvalid as error:
        raise _damaged(label, str(error).replace("manifest key", "header key")) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(label, "its header is not that of references") from error
    shapes: dict[str, tuple[int, ...]] = {}
    at = 0
    for name, entry in header.items():
        shape, end = _shape_of(name, entry, at, label)
        shapes[name], at = shape, end
    if at > MAX_BYTES:
        raise _damaged(label, f"expected at most {MAX_BYTES:,} bytes of numbers, got {at:,}")
    if size != 8 + length + at:
        kind = "truncated" if size < 8 + length + at else "too long"
        raise _damaged(label, f"{kind}: expected {8 + length + at:,} bytes, got {size:,}")
    return facts, shapes


def _shape_of(name: str, entry: Any, at: int, label: str) -> tuple[tuple[int, ...], int]:
    """Return shape and end of an array that must begin at byte `at` of the numbers."""
    shape: Any = entry.get("shape") if isinstance(entry, dict) else None
    # Bounded one by one, so that their product can be told in a message.
    counts = isinstance(shape, list) and len(shape) <= 3
    counts = counts and all(type(axis) is int and 1 <= axis <= MAX_BYTES for axis in shape)
    if name not in OUTPUTS or not counts or entry.get("dtype") != "F32":
        found = f"{entry.get('dtype')} {shape}" if isinstance(entry, dict) else type(entry).__name__
        raise _damaged(label, f"expected F32 arrays of {', '.join(OUTPUTS)}, got {name} {found}")
    end = at + math.prod(shape) * _FLOAT.itemsize
    if entry.get("data_offsets") != [at, end]:
        raise _damaged(label, f"{name} should lie at bytes {at:,} to {end:,}, got {entry.get('data_offsets')}")
    return tuple(shape), end


def _read_array(file: BufferedReader, shape: tuple[int, ...], label: str) -> Floats:
    array = np.empty(shape, _FLOAT)
    if file.readinto(array.data.cast("B")) != array.nbytes:
        raise _damaged(label, "truncated while it was read")
    return array.astype(np.float32, copy=False)


def _damaged(label: str, reason: str) -> ReferencesError:
    return ReferencesError(
        f"{label} holds no references that can be used: {reason}; "
        "make them anew: wordsight reference add MODEL GOOD... --replace"
    )
