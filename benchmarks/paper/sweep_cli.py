"""`wordsight bench sweep`: what Figure 4 and Table 3 vary, on pictures that are at hand."""

from pathlib import Path
from typing import Annotated

import typer


def sweep(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for heads, files, the picture.")
    ],
    encoder: Annotated[str, typer.Option(help="mini, NAME:TAG or NAME:/path/to/checkpoint.")] = "mini",
    seeds: Annotated[int, typer.Option(min=1, help="Heads a setting.")] = 10,
    pictures: Annotated[int, typer.Option(min=20, help="Held-out pictures of the generator.")] = 2000,
    pairs: Annotated[int, typer.Option(min=1, help="N_p of the grid of words.")] = 10_000,
    most: Annotated[int, typer.Option(min=1000, help="Leaves larger N_p out of the curve.")] = 50_000,
    words: Annotated[bool, typer.Option("--words/--no-words", help="Run the 16 pairs of words of Table 3.")] = True,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON.")] = None,
) -> None:
    """AUROC over N_p and over word pairs, on the generator's held-out nouns; ours, not the paper's.

    Example: wordsight bench sweep -o sweep --seeds 3

    Heads, exported files and scores are kept in the output folder: run it again and it goes on, with more seeds too.
    """
    from wordsight.benchmarks.datasets import held_out
    from wordsight.benchmarks.paper import sweep as bench
    from wordsight.benchmarks.paper.embedding_plots import png
    from wordsight.benchmarks.paper.sweep_plots import sweep_figure
    from wordsight.benchmarks.paper.wordpairs import NUM_PAIRS_SWEEP
    from wordsight.benchmarks.tables import print_figures
    from wordsight.runtime.figures import write_figures
    from wordsight.runtime.files import check_output_file, check_output_folder, whole_file
    from wordsight.train.encoders import load_encoder

    if json is not None:
        check_output_file(json)
    loaded = load_encoder(encoder)
    sizes = [size for size in NUM_PAIRS_SWEEP if size <= most]
    curve, grid = bench.measure(
        loaded, held_out(pictures), check_output_folder(output), seeds, pairs, sizes, None if words else []
    )
    figures = list(bench.figures([*curve, *grid]))
    title = f"{loaded.name} on {pictures:,} drawn pictures of held-out nouns:\nours, not the paper's Figure 4"
    print_figures(f"{title}; low and high are the worst and the best seed", figures, {})
    with whole_file(output / "figure4.png") as file:
        file.write(png(sweep_figure(curve, grid, title)))
    typer.echo(f"picture: {output / 'figure4.png'}", err=True)
    if json is not None:
        write_figures(json, "bench sweep", figures)
