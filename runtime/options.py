"""Options that several commands share, each with its help said once."""

from typing import Annotated, Literal

import typer

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
