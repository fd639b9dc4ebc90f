"""Head and image encoder in, one ONNX file out, and the proof that both give the same scores."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wordsight.export.errors import ExportError, ParityError
    from wordsight.export.fold import fold_heads
    from wordsight.export.fused import FusedDetector
    from wordsight.export.onnx import export_model
    from wordsight.export.parity import ParityReport

__all__ = ["ExportError", "FusedDetector", "ParityError", "ParityReport", "export_model", "fold_heads"]

_HOMES = {
    "ExportError": "errors",
    "FusedDetector": "fused",
    "ParityError": "errors",
    "ParityReport": "parity",
    "export_model": "onnx",
    "fold_heads": "fold",
}


def __getattr__(name: str) -> Any:
    # Each name brings what it needs: `wordsight --help` reads cli.py of this package and must not wait for torch.
    if name in _HOMES:
        return getattr(import_module(f"wordsight.export.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
