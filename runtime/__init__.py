"""The runtime: frames in, scores out, without torch.

`Model("line3.onnx").score(frames)` takes uint8 BGR frames of any sizes and returns `Scores`.
"""

from wordsight.runtime.errors import (
    FrameError,
    MissingPart,
    ModelError,
    OutputError,
    PictureError,
    SettingError,
    SourceError,
    WordsightError,
)
from wordsight.runtime.manifest import Manifest, read_manifest
from wordsight.runtime.model import Model, Scores
from wordsight.runtime.pictures import read_picture
from wordsight.runtime.preprocess import fit_frame, seen_share

__all__ = [
    "FrameError",
    "Manifest",
    "MissingPart",
    "Model",
    "ModelError",
    "OutputError",
    "PictureError",
    "Scores",
    "SettingError",
    "SourceError",
    "WordsightError",
    "fit_frame",
    "read_manifest",
    "read_picture",
    "seen_share",
]
