"""`wordsight bench archive`."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from wordsight.benchmarks.line.cli import Json


def archive(
    model: Annotated[
        Path | None, typer.Argument(metavar="[MODEL.onnx]", help="Exported file; without it the packaged one, mini.")
    ] = None,
    pictures: Annotated[int, typer.Option(min=3000, help="That are drawn and scored.")] = 100_000,
    compared: Annotated[int, typer.Option(min=500, help="Of these, scored in every way that is compared.")] = 4000,
    rounds: Annotated[int, typer.Option(min=0, help="Of all ways, in turns; 0: compare none.")] = 3,
    batch: Annotated[int, typer.Option(min=1, max=256, help="Pictures a pass of the engine.")] = 32,
    scratch: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where pictures and results lie for a while.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="DIR", help="Write the plot into this folder.")
    ] = None,
    json: Json = None,
) -> None:
    """What wordsight archive costs: a picture's cost as an archive grows, memory, Ray, two workers beside one core.

    Example: wordsight bench archive --pictures 3000 --rounds 1

    Sessions have one thread. The ways that are compared are timed from when every worker has finished two shards: what
    they take to begin is a figure of its own.
    """
    from wordsight.benchmarks import progress, tables
    from wordsight.benchmarks.scale import archive as bench
    from wordsight.benchmarks.scale import archive_plots
    from wordsight.benchmarks.scale.archive_pictures import write_pictures
    from wordsight.benchmarks.speed.plots import write
    from wordsight.runtime.demo import demo_model
    from wordsight.runtime.figures import write_figures
    from wordsight.runtime.files import check_output_file, check_output_folder
    from wordsight.runtime.manifest import read_manifest

    if json is not None:
        check_output_file(json)
    for place in (out, scratch):
        if place is not None:
            check_output_folder(place)
    path = (model or demo_model()).resolve()
    read_manifest(path)

    def say(text: str) -> None:
        typer.echo(text, err=True)

    with tempfile.TemporaryDirectory(prefix="wordsight-", dir=scratch) as made:
        source, some = Path(made, "pictures"), Path(made, "some")
        source.mkdir()
        with progress.bar("drawing pictures", pictures) as tick:
            write_pictures(source, pictures, tick)
        seen, listing_s = bench.growth(source, Path(made, "growth"), path, pictures, batch)
        figures = bench.growth_figures(seen, listing_s)
        if out is not None:
            say(f"plot: {write(out, 'archive.png', archive_plots.growth(seen))}")
        if rounds:
            some.mkdir()
            compared = min(compared, pictures)
            write_pictures(some, compared)
            found, limits = bench.compare(some, Path(made, "compared"), path, rounds, batch)
            figures += bench.compare_figures(found, limits, compared)
    tables.print_figures(f"archive of {pictures:,} pictures, {path.stem}", figures, bench.MEANING)
    if rounds:
        typer.echo(bench.profile(figures))
    if json is not None:
        write_figures(json, "bench archive", figures)
