"""`wordsight bench rivals`: the few-shot block of the paper's Table 1, in one command that goes on where it was."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wordsight.benchmarks.rivals.draws import Category

PEERS_PYTHON = Path(".venv-peers/bin/python")


def rivals(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for cells, models, tables.")],
    folder: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR]...", help="Sets, in any layout of `bench accuracy`.")
    ] = None,
    generator: Annotated[
        bool, typer.Option("--generator", help="Also the generator's held-out nouns, each a class of its own.")
    ] = False,
    pictures: Annotated[int, typer.Option(min=40, help="How many of those to draw, with --generator.")] = 200,
    backbone: Annotated[
        str, typer.Option(help="mini; NAME:/path/to/checkpoint of torchvision or open_clip; NAME:TAG of open_clip.")
    ] = "mini",
    encoder: Annotated[
        str | None, typer.Option(help="What ours is measured with, where the backbone has no text side.")
    ] = None,
    shots: Annotated[str, typer.Option(help="Good pictures shown to each method.")] = "1,2,4",
    draws: Annotated[int, typer.Option(min=1, help="Draws of them, and heads of ours.")] = 3,
    good: Annotated[int, typer.Option(min=1, help="Good test pictures of each class, by --seed.")] = 100,
    defective: Annotated[int, typer.Option(min=1, help="Defective test pictures of each class, by --seed.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of test pictures, draws and RegAD's training.")] = 0,
    full: Annotated[bool, typer.Option("--full", help="All test pictures.")] = False,
    methods: Annotated[str, typer.Option(help="Which rows.")] = "clip,fnn,spade,padim,patchcore,regad,img",
    peers: Annotated[
        Path, typer.Option(metavar="PYTHON", help="Python of anomalib's environment (make peers-env).")
    ] = PEERS_PYTHON,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda, for the backbone and RegAD.")] = "auto",
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of prompts a head (N_p).")] = 10_000,
    regad_steps: Annotated[int, typer.Option(min=1, help="Steps of RegAD's training on the other sets.")] = 200,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON there too.")
    ] = None,
    into: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also put the table between the marks of this Markdown file.")
    ] = None,
) -> None:
    """SPADE, PaDiM, PatchCore and RegAD beside ours: the same frames, features and draws, 1, 2 and 4 shots.

    Example: wordsight bench rivals ../shared/data/magnetic_tile ../shared/data/pcb -o rivals

    Each cell leaves a small file in the output folder: run it again and only the missing ones are measured.
    """
    from wordsight.benchmarks.marks import put_between, replaced
    from wordsight.benchmarks.rivals import table
    from wordsight.benchmarks.rivals.methods import chosen, shot_counts
    from wordsight.benchmarks.rivals.runner import Plan, run
    from wordsight.runtime.files import check_output_file, check_output_folder

    counts, wanted = shot_counts(shots), chosen(methods)
    if json is not None:
        check_output_file(json)
    if into is not None:
        replaced(into, "rivals", "")  # refused before the work, not after it
    limits = (None, None) if full else (good, defective)
    categories = _categories(folder or [], pictures if generator else 0, counts[-1], draws, limits, seed)
    plan = Plan(backbone, encoder, wanted, counts, draws, seed, peers, device, pairs, regad_steps)
    results = run(plan, categories, check_output_folder(output))
    about = _about(backbone, encoder, draws, seed, full)
    table.print_table(results, about)
    paths = table.write(output, results, about, json)
    if into is not None:
        put_between(into, "rivals", table.markdown(results, about))
        paths.append(into)
    for path in paths:
        typer.echo(path, err=True)


def _categories(
    folders: list[Path], pictures: int, shots: int, draws: int, limits: tuple[int | None, int | None], seed: int
) -> "list[Category]":
    from wordsight.benchmarks.datasets import open_dataset
    from wordsight.benchmarks.rivals.draws import category
    from wordsight.benchmarks.rivals.nouns import nouns
    from wordsight.benchmarks.rivals.runner import GENERATOR
    from wordsight.runtime.errors import SettingError

    sets = []
    for path in folders:
        found = open_dataset(path)
        section = found[0].name if len(found) == 1 else path.resolve().name
        sets += [(section, dataset) for dataset in found]
    if pictures:
        sets += [(GENERATOR, dataset) for dataset in nouns(pictures, seed)]
    if not sets:
        raise SettingError("expected a set to measure on: name its folder, or take --generator")
    return [
        category(section, dataset, shots=shots, draws=draws, seed=seed,
                 good=None if section == GENERATOR else limits[0],
                 defective=None if section == GENERATOR else limits[1])
        for section, dataset in sets
    ]  # fmt: skip


def _about(backbone: str, encoder: str | None, draws: int, seed: int, full: bool) -> str:
    """What a table was made with, without a machine's paths."""
    with_encoder = f", ours with {_named(encoder)}" if encoder else ""
    return f"Backbone {_named(backbone)}{with_encoder}; {draws} draws, seed {seed}{', all pictures' if full else ''}."


def _named(spec: str) -> str:
    name, _, weights = spec.partition(":")
    return f"{name} ({Path(weights).name})" if weights else name
