"""The embedded encoder: a small CLIP trained on drawn pictures of parts, so that all of Wordsight runs offline.

It is honest about what it is: a working stand-in for demos, tests and CI. Of photographs it knows next to nothing.

Importing this imports neither torch nor OpenCV; each name brings what it needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wordsight.train.mini.pictures import Picture
    from wordsight.train.mini.towers import MiniCLIP

__all__ = [
    "EMBED_DIM",
    "GRID_SIZE",
    "IMAGE_SIZE",
    "MEAN",
    "STD",
    "WEIGHTS",
    "MiniCLIP",
    "Picture",
    "held_out",
    "load",
    "training_nouns",
]

IMAGE_SIZE = 96
EMBED_DIM = 128
GRID_SIZE = 12
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
WEIGHTS = Path(__file__).with_name("mini.safetensors")
"""The packaged weights, fp16."""


def load(path: str | Path | None = None) -> MiniCLIP:
    """The trained encoder in eval mode, fp32, from `path` or the packaged file."""
    from safetensors.torch import load_file

    from wordsight.train.mini.towers import MiniCLIP

    path = Path(path or WEIGHTS)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; `python -m wordsight.train.mini` makes it in about an hour")
    encoder = MiniCLIP(seed=0)
    # Copied into fp32 parameters, which is what load_state_dict does with another dtype.
    encoder.load_state_dict(load_file(path))
    return encoder.eval()


def held_out(count: int, seed: int = 0) -> Iterator[Picture]:
    """`count` pictures, good and defective by turns, of the ten nouns never rendered in training."""
    from wordsight.train.mini import pictures

    return pictures.held_out(count, seed)


def training_nouns(count: int, seed: int = 0) -> Iterator[Picture]:
    """`count` pictures, good and defective by turns, of nouns that training knows, in scenes that it has not seen."""
    from wordsight.train.mini import pictures

    return pictures.training_nouns(count, seed)


def __getattr__(name: str) -> Any:
    if name == "MiniCLIP":
        from wordsight.train.mini.towers import MiniCLIP

        return MiniCLIP
    if name == "Picture":
        from wordsight.train.mini.pictures import Picture

        return Picture
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
