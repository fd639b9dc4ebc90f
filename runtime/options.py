"""Options that several commands share, each with its help said once."""

import re
from typing import Annotated, Literal

import typer

from wordsight.runtime.errors import SettingError

Backend = Annotated[str, typer.Option(help="auto, ort or another engine; wordsight doctor lists them.")]
Batch = Annotated[int, typer.Option(min=1, max=1024, help="Most frames to a batch.")]
Object = Annotated[
    str | None, typer.Option("--object", help="An object that the model knows by name; wordsight info lists them.")
]
NoReferences = Annotated[bool, typer.Option("--no-references", help="Leave references aside.")]
Shots = Annotated[int | None, typer.Option(help="Take the first K references. [all]", metavar="K")]
SImg = Annotated[
    Literal["embedding", "association"] | None,
    typer.Option("--s-img", help="Compare whole images, or patches and windows (ViTs). [embedding]"),
]
WeightImg = Annotated[float | None, typer.Option(help="Weight of s_img in the score. [1]")]


def frame_size(text: str, most: int | None = None) -> tuple[int, int]:
    """Height and width in pixels of `--frame`, WIDTHxHEIGHT.

    Args:
        text: what was given.
        most: pixels a side, of which there is at least one; None: whoever takes the size says which go.

    Raises:
        SettingError: anything else.
    """
    size = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text, re.IGNORECASE)
    if size is None or (most is not None and not all(1 <= int(side) <= most for side in size.groups())):
        raise SettingError(f"--frame takes WIDTHxHEIGHT in pixels, such as 1920x1080, got {text!r}")
    return int(size[2]), int(size[1])
