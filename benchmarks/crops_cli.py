"""`wordsight bench crops`: the rows of CLIP alone with each crop set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wordsight.benchmarks.crop_sets import Measured


def crops(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for models and scores.")],
    folder: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR]...", help="Sets; the generator's held-out nouns without any.")
    ] = None,
    encoder: Annotated[str, typer.Option(help="mini, NAME:TAG or NAME:/path/to/checkpoint.")] = "mini",
    pictures: Annotated[int, typer.Option(min=20, help="Held-out pictures of the generator, without DIR.")] = 400,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON.")] = None,
) -> None:
    """AUROC of CLIP alone with each crop set, and which set comes nearest to the paper's rows.

    Example: wordsight bench crops /data/mvtec -o crops --encoder ViT-B-16-plus-240:laion400m_e32
    """
    from wordsight.benchmarks import crop_sets
    from wordsight.benchmarks.datasets import held_out, open_dataset
    from wordsight.runtime.figures import write_figures
    from wordsight.runtime.files import check_output_file, check_output_folder

    if json is not None:
        check_output_file(json)
    sets = [dataset for path in folder or [] for dataset in open_dataset(path)] or [held_out(pictures)]
    table = crop_sets.measure(sets, check_output_folder(output), encoder)
    _print(table)
    for collection, name in crop_sets.nearest(table).items():
        typer.echo(f"nearest to the paper's rows of CLIP on {collection}: {name}")
    if not crop_sets.nearest(table):
        typer.echo("none of these sets is the paper's: nothing is chosen by them")
    if json is not None:
        write_figures(json, "bench crops", list(crop_sets.figures(table)))


def _print(table: "list[Measured]") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = Table(title="AUROC of s_pr, percent", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in ("set", "crops", "views", "unknown object", "known object", "points from the paper's"):
        shown.add_column(column, justify="left" if column in ("set", "crops") else "right")
    for row in table:
        distance = row.distance()
        known = "" if row.known is None else f"{100 * row.known:.1f}"
        shown.add_row(escape(row.collection), row.crops, str(row.views), f"{100 * row.unknown:.1f}", known,
                      "" if distance is None else f"{distance:.1f}")  # fmt: skip
    Console().print(shown)
