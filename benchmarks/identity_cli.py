"""`wordsight bench identity`: the exported file beside open_clip, figures beside scikit-learn."""

from pathlib import Path
from typing import Annotated

import typer


def identity(
    vit: Annotated[
        str, typer.Option(metavar="NAME", help="A model of open_clip, whose weights are drawn at random.")
    ] = "ViT-B-16-plus-240",
    frames: Annotated[int, typer.Option(min=2, help="Frames that are compared.")] = 8,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON.")] = None,
) -> None:
    """s_pr of the exported file beside open_clip's own zero-shot softmax, with controls that must differ.

    Example: wordsight bench identity --json identity.json

    Ends with code 1 where a difference is beyond its limit, or a control does not differ.
    """
    import tempfile

    from wordsight.benchmarks import identity as bench
    from wordsight.benchmarks.tables import print_figures
    from wordsight.runtime.figures import write_figures
    from wordsight.runtime.files import check_output_file

    if json is not None:
        check_output_file(json)
    with tempfile.TemporaryDirectory(prefix="wordsight-") as scratch:
        figures = bench.measure(Path(scratch), vit, frames)
    print_figures(f"one answer by two programs: mini, and {vit} with random weights", figures, bench.MEANING)
    if json is not None:
        write_figures(json, "bench identity", figures)
    found = bench.failures(figures)
    for line in found:
        typer.echo(f"identity: {line}", err=True)
    raise typer.Exit(1 if found else 0)
