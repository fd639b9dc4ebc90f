"""`wordsight bench heatmap`: where the defect is, and what it costs to know."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wordsight.benchmarks.datasets import Dataset
    from wordsight.benchmarks.heatmap import Mapped
    from wordsight.runtime.figures import Figure


def heatmap(
    folder: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIR]...", help="Sets with masks; the generator's held-out nouns without any."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A file exported with --heatmap; trains one without it.")
    ] = None,
    encoder: Annotated[str, typer.Option(help="What to train on without --model.")] = "mini",
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the figures as JSON as well.")] = None,
    picture: Annotated[
        Path | None, typer.Option("-o", "--picture", metavar="FILE", help="Write maps of the first set as a PNG.")
    ] = None,
    pictures: Annotated[
        int, typer.Option(min=0, help="How many held-out pictures to draw, without DIR; 0 measures the cost alone.")
    ] = 2000,
    seeds: Annotated[int, typer.Option(min=1, help="Heads to train without --model.")] = 10,
    repeats: Annotated[
        int, typer.Option(min=0, help="Rounds of the clock, with and without a map in turns; 0 leaves the cost out.")
    ] = 30,
) -> None:
    """Pixel AUROC and AUPRO of heat maps against masks, with controls, and what a map costs beside the score.

    Example: wordsight bench heatmap ../shared/data/magnetic_tile --model line3.onnx -o maps.png

    Maps are enlarged to the picture within the square that the encoder sees; what lies outside takes the lowest value.
    """
    from wordsight.benchmarks import datasets, heatmap_cost, tables
    from wordsight.benchmarks.heatmap import MEANING
    from wordsight.runtime.errors import SettingError
    from wordsight.runtime.figures import write_figures
    from wordsight.runtime.files import check_output_file

    for path in (json, picture):
        if path is not None:
            check_output_file(path)
    sets = [dataset for path in folder or [] for dataset in datasets.open_dataset(path)]
    if not sets and pictures:
        sets = [datasets.held_out(pictures)]
    if not sets and (picture is not None or not repeats):
        raise SettingError("nothing to do: name a set, or take --pictures or --repeats above 0")
    found: list[Figure] = []
    failures: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory(prefix="wordsight-") as scratch:
        if sets:
            mapped, top = _mapped(sets, model, encoder, seeds, Path(scratch))
            found, failures = _figures(mapped, MEANING), [failure for each in mapped for failure in each.failures]
            if picture is not None:
                from wordsight.benchmarks.heatmap_picture import write_picture

                write_picture(picture, mapped[0], top)
                typer.echo(f"picture: {picture}", err=True)
        if repeats:
            cost = heatmap_cost.measure(Path(scratch), repeats)
            tables.print_figures("cost of a heat map, batch 1", cost, heatmap_cost.MEANING)
            found += cost
    if json is not None:
        write_figures(json, "bench heatmap", found)
    for name, reason in failures:
        typer.echo(f"not scored: {name}: {reason}", err=True)
    if failures:
        raise typer.Exit(1)


def _mapped(
    sets: "list[Dataset]", model: Path | None, encoder: str, seeds: int, scratch: Path
) -> "tuple[list[Mapped], float]":
    """Every set through the file, which is made where none is given, and the highest value that its maps can have."""
    from wordsight.benchmarks.building import train_and_export
    from wordsight.benchmarks.heatmap import check_heatmap, map_pictures
    from wordsight.runtime.manifest import read_manifest
    from wordsight.runtime.model import Model

    if model is None:
        from wordsight.train.encoders import load_encoder
        from wordsight.train.fit import Settings

        model, _ = train_and_export(load_encoder(encoder), Settings(), range(seeds), scratch, heatmap=True)
    check_heatmap(read_manifest(model), str(model))  # before an engine is loaded
    with Model(model) as opened:
        score = opened.manifest.score
        return [map_pictures(opened, dataset) for dataset in sets], score.w_pr + score.w_fnn


def _figures(mapped: "list[Mapped]", meaning: dict[str, str]) -> "list[Figure]":
    """Print each set's figures and return them: of one set by their names, of several with the set's behind them."""
    from dataclasses import replace

    from wordsight.benchmarks import tables
    from wordsight.benchmarks.heatmap import figures, mean_over_sets

    found = []
    for each in mapped:
        found.append(figures(each))
        tables.print_figures(f"{each.name}, {len(each.samples)} pictures", found[-1], meaning)
    if len(mapped) == 1:
        return found[0]
    mean = mean_over_sets(found)
    tables.print_figures(f"mean over {len(mapped)} sets", mean, meaning)
    named = [
        replace(figure, name=f"{figure.name}.{each.name}")
        for each, own in zip(mapped, found, strict=True)
        for figure in own
    ]
    return [*mean, *named]
