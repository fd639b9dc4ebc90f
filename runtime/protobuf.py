"""Reads what matters of an ONNX file without any ONNX library: its metadata, and whether it is one file.

An ONNX file is a protobuf message: fields, each a key (number and wire type) and a value. Only the messages a tensor
can hide in are walked, with a stack of our own, so depth cannot exhaust Python's; all else is skipped by its length, so
a file of half a gigabyte costs a few milliseconds. Nothing depends on the order of the fields, and a message that
occurs twice, which protobuf merges, is walked twice.
"""

import mmap
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from wordsight.runtime.errors import ModelDamaged, ModelError

Buffer = bytes | mmap.mmap

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_WIDTH = {FIXED64: 8, FIXED32: 4}
_MAX_DEPTH = 100  # protobuf's own limit on nested messages
_MAX_FIELDS = 5_000_000  # ViT-B/16+ has some 40,000; more is an attempt to keep us busy

# Field numbers of onnx.proto: the messages on a way from the model to a tensor, and what lies in each.
MESSAGES: dict[str, dict[int, str]] = {
    "model": {7: "graph", 14: "entry", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 11: "input", 12: "output", 15: "sparse_tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse_tensor", 23: "sparse_tensor"},
    "sparse_tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
    "entry": {},
    "input": {},
    "output": {},
}
_TENSOR_NAME, _TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 8, 13, 14

_LOOKS_LIKE = {
    b"PK\x03\x04": "a zip archive or a PyTorch checkpoint",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x80\x02": "a pickle",
    b"\x80\x04": "a pickle",
    b"version https://git-lfs": "a Git LFS pointer: fetch the file itself with git lfs pull",
    b"ftrt": "a TensorRT engine",
    b"ptrt": "a TensorRT engine",
    b"<": "a web page or XML",
    b"{": "JSON",
}


@dataclass(frozen=True)
class ModelFacts:
    """What can be said about an ONNX file before an engine sees it."""

    metadata: dict[str, str]
    """`metadata_props`."""
    inputs: tuple[str, ...]
    """Names of the main graph's inputs, in order."""
    outputs: tuple[str, ...]
    external: str
    """Name of the first tensor that lives in another file, or ""."""


def fields(data: Buffer, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (number, wire type, begin, stop) of each field between `start` and `end`.

    `data[begin:stop]` is the value; of a varint, `begin` is its value and `stop` is unused (0).

    Raises:
        ModelDamaged: the message is cut short or is no protobuf.
    """
    at = start
    while at < end:
        key, at = _varint(data, at, end)
        number, wire = key >> 3, key & 7
        if number == 0 or key >= 1 << 32:
            raise ModelDamaged("not an ONNX file, or damaged: a field without a valid number")
        if wire == VARINT:
            value, at = _varint(data, at, end)
            yield number, wire, value, 0
            continue
        if wire == BYTES:
            length, at = _varint(data, at, end)
        elif wire in _WIDTH:
            length = _WIDTH[wire]
        else:
            raise ModelDamaged(f"not an ONNX file, or damaged: wire type {wire} is not in use")
        if length > end - at:
            raise ModelDamaged(f"truncated or damaged: a field needs {length} bytes and {end - at} are left")
        yield number, wire, at, at + length
        at += length


def _varint(data: Buffer, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise ModelDamaged("truncated: the file ends within a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise ModelDamaged("not an ONNX file, or damaged: a number longer than 10 bytes")


def _text(data: Buffer, begin: int, stop: int) -> str:
    try:
        return data[begin:stop].decode("utf-8")
    except UnicodeDecodeError as error:
        raise ModelDamaged("damaged: a name is no valid UTF-8") from error


def parse_model(data: Buffer) -> ModelFacts:
    """Read the facts of an ONNX model from its bytes.

    A tensor counts as external when its `data_location` says so or when it names a place (`external_data`): engines
    differ in which of the two they trust.

    Raises:
        ModelDamaged: truncated, garbage, without a graph, or a metadata key given twice.
    """
    metadata: dict[str, str] = {}
    names: dict[str, list[str]] = {"input": [], "output": []}
    external = ""
    has_graph = False
    count = 0
    stack = [("model", 0, len(data), 0)]
    while stack:
        kind, start, end, depth = stack.pop()
        if depth > _MAX_DEPTH:
            raise ModelDamaged(f"damaged: messages nested deeper than {_MAX_DEPTH}")
        children = MESSAGES[kind]
        key = value = name = ""
        outside = False
        inner: list[tuple[str, int, int, int]] = []
        for number, wire, begin, stop in fields(data, start, end):
            count += 1
            if count > _MAX_FIELDS:
                raise ModelDamaged(f"more than {_MAX_FIELDS} fields: no model that Wordsight exported")
            if number in children:
                if wire != BYTES:
                    raise ModelDamaged(f"not an ONNX file, or damaged: field {number} of {kind} has wire type {wire}")
                inner.append((children[number], begin, stop, depth + 1))
                has_graph |= depth == 0 and number == 7
            elif kind == "tensor":
                if number == _TENSOR_NAME and wire == BYTES:
                    name = data[begin:stop].decode("utf-8", "replace")
                elif number == _TENSOR_EXTERNAL_DATA or (number == _TENSOR_DATA_LOCATION and (wire != VARINT or begin)):
                    outside = True
            elif wire == BYTES and kind == "entry" and number in (1, 2):
                text = _text(data, begin, stop)
                key, value = (text, value) if number == 1 else (key, text)
            elif wire == BYTES and kind in names and number == 1:
                name = _text(data, begin, stop)
        if outside and not external:
            external = f"tensor {name[:60]!r}"
        if kind == "entry":
            if key in metadata:
                raise ModelDamaged(f"ambiguous: metadata key {key[:60]!r} is given twice")
            metadata[key] = value
        if kind in names and depth == 2:  # of the main graph; a subgraph's lie deeper
            names[kind].append(name)
        stack.extend(reversed(inner))  # popped in the order of the file
    if not has_graph:
        raise ModelDamaged("not an ONNX file, or truncated: there is no graph in it")
    return ModelFacts(metadata, tuple(names["input"]), tuple(names["output"]), external)


def inspect_model(path: str | os.PathLike[str]) -> ModelFacts:
    """Read the facts of an ONNX file; the weights stay on disk.

    Raises:
        ModelError: no such file, a folder, not a file, no permission, or empty.
        ModelDamaged: truncated, garbage, or not ONNX.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            what: Literal["a folder", "not a file"] = "a folder" if stat.S_ISDIR(status.st_mode) else "not a file"
            raise ModelError(f"{path} is {what}; give an .onnx file that wordsight export wrote")
        if status.st_size == 0:
            raise ModelError(f"{path} is empty")
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for magic, what_else in _LOOKS_LIKE.items():
                if data[: len(magic)] == magic:
                    raise ModelDamaged(f"not an ONNX file: it begins like {what_else}")
            return parse_model(data)
    except FileNotFoundError as error:
        raise ModelError(f"no such model: {path}") from error
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except ModelDamaged as error:
        raise ModelDamaged(f"{path}: {error}") from error
