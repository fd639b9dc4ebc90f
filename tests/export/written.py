"""Graphs that torch's exporter wrote, each once a session: the same module gives the same graph (see test_graph)."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import onnx
import torch


class _Contents(pickle.Pickler):
    """Pickles a module by what it holds: a tensor by its numbers, nothing by where it lies in memory."""

    def reducer_override(self, obj: object) -> Any:
        if not isinstance(obj, torch.Tensor):
            return NotImplemented
        numbers = obj.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        return str, (f"{type(obj).__name__} {obj.dtype} {tuple(obj.shape)} {sha256(numbers).hexdigest()}",)


def contents(module: torch.nn.Module) -> bytes:
    """What tells a module from others: its classes, settings and numbers.

    Raises:
        Exception: pickle knows no way to write it down.
    """
    file = io.BytesIO()
    pickler = _Contents(file)
    pickler.fast = True  # no memory of objects seen before: equal strings are equal, whether they are one or two
    pickler.dump(module)
    return sha256(file.getvalue()).digest()


class Written:
    """Stands in for `build_graph`: an honest one writes, and what it wrote is read back for an equal module.

    Every call gives a model of its own, which the caller may change.
    """

    def __init__(self, honest: Callable[..., onnx.ModelProto], folder: Path) -> None:
        self.honest, self.folder = honest, folder
        self.files: dict[object, Path] = {}
        self.found = 0

    def __call__(self, detector: torch.nn.Module, *, opset: int = 20) -> onnx.ModelProto:
        try:
            key = contents(detector), opset
        except (pickle.PicklingError, AttributeError, TypeError, RecursionError):  # such as a function within another
            return self.honest(detector, opset=opset)
        if key in self.files:
            self.found += 1
            return onnx.load(self.files[key])
        model = self.honest(detector, opset=opset)
        path = self.folder / f"{len(self.files)}.onnx"
        path.write_bytes(model.SerializeToString())
        self.files[key] = path
        return model
