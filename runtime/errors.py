"""Every error this layer raises on purpose, under one base.

    WordsightError                 exit code 2
    ├── ModelError                 the exported file cannot be used
    │   ├── ManifestMissing        an ONNX file, but nobody wrote a manifest into it
    │   ├── ManifestTooNew         written by a later Wordsight
    │   ├── ManifestInvalid        a key is missing, of the wrong type, or out of range
    │   ├── ModelDamaged           truncated, garbage, or not ONNX at all
    │   ├── ExternalDataRefused    a tensor lives in another file
    │   ├── ServerRefused          a server has no such model, or another one than was asked for
    │   └── NoAnswer               a server gave no score in time; its frames end without one
    ├── PictureError               one picture cannot be read; `.reason` says why
    ├── FrameError                 an array that is no uint8 BGR frame (a ValueError too)
    ├── SourceError                a source gives no frames
    │   ├── NothingFound           an empty folder, or a glob that matches nothing
    │   ├── CameraAbsent           no such camera
    │   ├── VideoBroken            a video that cannot be opened or ends in the middle
    │   └── StoreError             an object store that refuses, or that nobody reaches
    ├── SettingError               an option or argument out of range
    ├── OutputError                a result cannot be written where it was asked for
    ├── ArchiveError               an archive's run that cannot begin or go on
    └── MissingPart                exit code 3: this machine lacks something; `.install` is the line that brings it

Messages are one line: what was expected, what was found, what to do.
"""

from typing import Literal

PictureReason = Literal["missing", "empty", "unreadable", "truncated", "too large"]


class WordsightError(Exception):
    """Base of all errors of the runtime; `exit_code` is what the command line ends with."""

    exit_code: int = 2


class ModelError(WordsightError):
    """The exported file cannot be used."""


class ManifestMissing(ModelError):
    """An ONNX file without a Wordsight manifest."""


class ManifestTooNew(ModelError):
    """A manifest whose schema is later than the one this version reads."""


class ManifestInvalid(ModelError):
    """A manifest with a key that is missing, of the wrong type, or out of range."""


class ModelDamaged(ModelError):
    """A truncated file, garbage, or something that is not ONNX."""


class ExternalDataRefused(ModelError):
    """A model that keeps a tensor in another file: a model is one file."""


class ServerRefused(ModelError):
    """A server that has no such model or version, or another model than the one that was asked for."""


class NoAnswer(ModelError):
    """A server that gave no answer before the deadline, or none that can be trusted; what was asked has no score."""


class PictureError(WordsightError):
    """A picture that cannot be read.

    Attributes:
        reason: "missing", "empty", "unreadable", "truncated" or "too large".
    """

    def __init__(self, message: str, reason: PictureReason = "unreadable") -> None:
        """Keep the reason beside the message."""
        super().__init__(message)
        self.reason: PictureReason = reason


class FrameError(WordsightError, ValueError):
    """An array that is not a uint8 BGR frame (H, W, 3)."""


class SourceError(WordsightError):
    """A source that gives no frames."""


class NothingFound(SourceError):
    """An empty folder, or a glob that matches nothing."""


class CameraAbsent(SourceError):
    """No camera under this index."""


class VideoBroken(SourceError):
    """A video that cannot be opened, or that ends before its last frame."""


class StoreError(SourceError):
    """An object store that refuses (no such bucket, expired credentials), or that nobody reaches."""


class SettingError(WordsightError):
    """An option or argument out of range."""


class OutputError(WordsightError):
    """A result that cannot be written where it was asked for."""


class ArchiveError(WordsightError):
    """A run over an archive that cannot begin or go on: another model's folder, a changed source, a full disk."""


class MissingPart(WordsightError):
    """Something this machine lacks.

    Attributes:
        install: the line that brings it, such as "pip install 'wordsight[runtime]'".
    """

    exit_code = 3

    def __init__(self, message: str, install: str) -> None:
        """Keep the installing line beside the message, and in it."""
        super().__init__(message if install in message else f"{message}: {install}")
        self.install = install
