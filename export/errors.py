"""What can go wrong in an export, on top of what training and the runtime raise themselves.

WordsightError (runtime)
└── ExportError                exit code 2
├── ParityError            the exported graph disagrees with torch; nothing was written
├── DriftError             a reduced precision scores too far from fp32; nothing was written
├── HeadMismatch           the head was trained for another encoder or other weights
├── TooLarge               the tower does not fit into one ONNX file
└── NoBackend              no backend at hand can run the graph, so nothing can be compared
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wordsight.runtime.errors import WordsightError

if TYPE_CHECKING:
    from wordsight.export.parity import ParityReport
    from wordsight.export.reduced import DriftReport

__all__ = ["DriftError", "ExportError", "HeadMismatch", "NoBackend", "ParityError", "TooLarge"]


class ExportError(WordsightError):
    """Base of the errors of this layer."""


class ParityError(ExportError):
    """The exported graph disagrees with torch by more than the tolerance.

    Attributes:
        report: the differences that were found.
    """

    def __init__(self, message: str, report: ParityReport) -> None:
        super().__init__(message)
        self.report = report


class DriftError(ExportError):
    """A file of reduced precision scores too far from its fp32 twin.

    Attributes:
        report: what was measured.
    """

    def __init__(self, message: str, report: DriftReport) -> None:
        super().__init__(message)
        self.report = report


class HeadMismatch(ExportError):
    """The head was trained for another encoder, or for other weights of it."""


class TooLarge(ExportError):
    """The image tower does not fit into the 2 GB that one ONNX file can hold."""


class NoBackend(ExportError):
    """No backend on this machine can run the exported graph."""
