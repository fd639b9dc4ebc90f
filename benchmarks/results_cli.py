"""`wordsight bench results`: every method on every set, in one command that goes on where it was interrupted."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wordsight.benchmarks.datasets import Dataset
    from wordsight.benchmarks.results_table import Row


def results(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for models, scores, tables.")],
    folder: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIR]...", help="Sets, in any layout of `bench accuracy`; their classes one by one."),
    ] = None,
    encoder: Annotated[str, typer.Option(help="mini, NAME:TAG or NAME:/path/to/checkpoint.")] = "mini",
    seeds: Annotated[int, typer.Option(min=2, help="Heads, and draws of references.")] = 10,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of prompts a seed (N_p).")] = 10_000,
    pictures: Annotated[
        int, typer.Option(min=0, help="Held-out pictures of the generator; 0 leaves them out. For mini alone.")
    ] = 2000,
    into: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also put the table between the marks of this Markdown file.")
    ] = None,
) -> None:
    """Every method on every set: AUROC, AUPR and F1-max over seeds, with intervals over pictures.

    Example: wordsight bench results ../shared/data/magnetic_tile -o results

    Heads, exported files and scores are kept in the output folder: run it again and it goes on.
    """
    from wordsight.benchmarks import results_table
    from wordsight.benchmarks.datasets import held_out, open_dataset
    from wordsight.benchmarks.marks import put_between, replaced
    from wordsight.runtime.files import check_output_folder

    if into is not None:
        replaced(into, "results", "")  # refused before the work, not after it
    sets = [dataset for path in folder or [] for dataset in open_dataset(path)]
    if pictures and encoder == "mini":
        sets.insert(0, held_out(pictures))
    check_output_folder(output)
    table = _measure(sets, output, encoder, seeds, pairs)
    for path in results_table.write(output, table):
        typer.echo(path)
    if into is not None:
        put_between(into, "results", results_table.markdown(table))
        typer.echo(into)


def _measure(sets: "list[Dataset]", output: Path, encoder: str, seeds: int, pairs: int) -> "list[Row]":
    from wordsight.benchmarks import results_table
    from wordsight.benchmarks.building import exported, in_name
    from wordsight.benchmarks.collect import collect, every_word
    from wordsight.export.crops import DEFAULT_MULTICROP
    from wordsight.runtime.errors import SettingError
    from wordsight.runtime.model import Model
    from wordsight.train.fit import Settings

    if not sets:
        raise SettingError("expected a set to measure on: name its folder, or take --encoder mini and --pictures")
    words = every_word(sets)
    table: list[Row] = []
    for number, dataset in enumerate(sets):
        for crops in ("single", DEFAULT_MULTICROP):
            path = exported(encoder, Settings(num_pairs=pairs), range(seeds), output, crops, words)
            with Model(path) as model:
                outputs = collect(model, dataset, output / f"scores-{number}-{in_name(crops)}.npz")
            table += results_table.rows(dataset.name, crops, outputs)
    return table
