"""`wordsight bench paper`: the paper's tables and figures with ours beside them. Heavy imports sit inside."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wordsight.benchmarks.paper.drawing import Drawn
    from wordsight.benchmarks.paper.results import Run
    from wordsight.benchmarks.paper.sentences import Captions

DEFAULT_ENCODER = "ViT-B-16-plus-240:laion400m_e32"
"""The paper's."""

_PROMPTS = 300
_PAIRS = 2_000


def paper(
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Folder for tables and figures.")
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="MVTec AD, VisA or Sewer-ML; several times for several. Run, then compare."),
    ] = None,
    results: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Results of earlier runs, instead of --data.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Heads, and draws of references, with --data.")] = 10,
    encoder: Annotated[
        str | None, typer.Option(help="Whose results to take, and whose texts Figures 3 and 5 show; mini without it.")
    ] = None,
    captions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A COCO captions file for Figure 5; our own sentences without.")
    ] = None,
    figures: Annotated[bool, typer.Option("--figures/--no-figures", help="Draw Figures 3, 4 and 5.")] = True,
    prompts: Annotated[int, typer.Option(min=5, help="Prompts of each kind to plot.")] = _PROMPTS,
    pairs: Annotated[int, typer.Option(min=2, help="N_p of the head that Figure 5 shows.")] = _PAIRS,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write paper.json there as well.")] = None,
    cost: Annotated[
        bool, typer.Option("--cost", help="Only say what all of it would cost on this machine, from a small sample.")
    ] = False,
) -> None:
    """Tables 1 to 10 of the paper with ours beside each cell, and its Figures 3, 4 and 5.

    Example: wordsight bench paper -o paper/ --data /data/mvtec --data /data/VisA

    Without --data or --results our cells stay blank. What was run is kept in the output folder: run it again and it
    goes on where it was. --cost needs neither data nor weights, and no -o.
    """
    from wordsight.benchmarks.paper import aggregate, compare, report, sentences, terminal, writers
    from wordsight.benchmarks.paper.drawing import Drawn
    from wordsight.benchmarks.paper.results import load_runs
    from wordsight.runtime.errors import SettingError
    from wordsight.runtime.files import check_output_file, check_output_folder

    if json is not None:
        check_output_file(json)
    if cost:
        from wordsight.benchmarks.paper.cost_cli import print_cost

        if data or results is not None:
            raise SettingError("--cost counts the paper's own sets: leave out --data and --results")
        print_cost(encoder, seeds, json)
        return
    if output is None:
        raise SettingError("expected -o DIR, the folder for tables and figures")
    if encoder is not None and results is None:
        from wordsight.train.encoders import check_spec

        check_spec(encoder)  # with results it is their label, and its weights need not be at hand
    if data and results is not None:
        raise SettingError("--data runs what --results would bring: give one of them")
    said = sentences.own_captions() if captions is None else sentences.read_coco(captions)
    if data:
        results = _run(data, output, encoder or DEFAULT_ENCODER, seeds)
        encoder = None  # one encoder's runs alone are in that folder, or it is refused
    runs = None if results is None else aggregate.choose(load_runs(results), encoder)
    pairs_of_cells = compare.compare(aggregate.records(runs))
    folder = check_output_folder(output)

    terminal.print_tables(pairs_of_cells)
    writers.write_csv(folder / "paper.csv", pairs_of_cells)
    writers.write_markdown(folder / "paper.md", pairs_of_cells)
    for path in (folder / "paper.json", *([json] if json is not None else [])):
        writers.write_json(path, pairs_of_cells)

    drawn = Drawn()
    if figures:
        _draw(drawn, folder, encoder or "mini", said, prompts, pairs, runs)
    else:
        for number in "345":
            drawn.leave_out(number, "--no-figures")
    report.write_html(folder / "paper.html", pairs_of_cells, drawn.pictures, drawn.missing)
    for name, reason in drawn.missing:
        typer.echo(f"not drawn: {name}: {reason}", err=True)
    typer.echo(f"report: {folder / 'paper.html'}", err=True)


def _run(data: list[Path], output: Path, encoder: str, seeds: int) -> Path:
    from wordsight.benchmarks.paper.runner import run_all

    return run_all(data, output, encoder, seeds, say=lambda line: typer.echo(line, err=True))


def _draw(
    drawn: "Drawn", folder: Path, spec: str, captions: "Captions", prompts: int, pairs: int, runs: "list[Run] | None"
) -> None:
    from wordsight.benchmarks.paper import aggregate, drawing

    drawing.guarded(drawn, "35", lambda: drawing.draw_texts(drawn, folder, spec, captions, prompts, pairs))
    if runs is None:
        drawn.leave_out("4", aggregate.NO_FOLDER)
    else:
        drawing.draw_sweep(drawn, folder, aggregate.sweep(runs), runs[0].encoder)
