"""The runtime: frames in, scores out, without torch.

`Model("line3.onnx").score(frames)` takes uint8 BGR frames of any sizes and returns `Scores`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from wordsight.runtime.fits import seen_share
    from wordsight.runtime.manifest import Manifest, read_manifest
    from wordsight.runtime.model import Model, Scores
    from wordsight.runtime.pictures import read_picture
    from wordsight.runtime.preprocess import fit_frame

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

_HOMES = {
    "Manifest": "manifest",
    "Model": "model",
    "Scores": "model",
    "fit_frame": "preprocess",
    "read_manifest": "manifest",
    "read_picture": "pictures",
    "seen_share": "fits",
}


def __getattr__(name: str) -> Any:
    # Each name brings what it needs: `wordsight --help` imports this package and need not wait for numpy.
    if name in __all__:
        return getattr(import_module(f"wordsight.runtime.{_HOMES.get(name, 'errors')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
