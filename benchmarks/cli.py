"""`wordsight bench`: accuracy, the paper's tables, speed, footprint. Heavy imports sit inside the commands."""

import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wordsight.benchmarks.ablation_cli import ablation
from wordsight.benchmarks.calibration_cli import calibration
from wordsight.benchmarks.crops_cli import crops
from wordsight.benchmarks.heatmap_cli import heatmap
from wordsight.benchmarks.identity_cli import identity
from wordsight.benchmarks.line.cli import line, page, soak
from wordsight.benchmarks.line.plant_cli import broker, plant
from wordsight.benchmarks.paper.cli import paper
from wordsight.benchmarks.paper.sweep_cli import sweep
from wordsight.benchmarks.results_cli import results
from wordsight.benchmarks.rivals.cli import rivals
from wordsight.benchmarks.scale.archive_cli import archive
from wordsight.benchmarks.scale.scale_cli import scale, stages
from wordsight.benchmarks.scale.triton_cli import triton
from wordsight.benchmarks.select_cli import select
from wordsight.benchmarks.speed.cli import latency, throughput
from wordsight.benchmarks.speed.gpu_cli import gpu
from wordsight.benchmarks.speed.peers_cli import peers
from wordsight.benchmarks.speed.resize_cli import resize

if TYPE_CHECKING:
    from wordsight.runtime.figures import Figure

_HELP = """Measure accuracy and speed of what ships.

Example: wordsight bench accuracy --model model.onnx --json figures.json
"""
app = typer.Typer(no_args_is_help=True)
app.command()(paper)
app.command()(sweep)
app.command()(results)
app.command()(crops)
app.command()(identity)
app.command()(heatmap)
app.command()(rivals)
app.command()(select)
app.command()(ablation)
app.command()(peers)
app.command()(latency)
app.command()(throughput)
app.command()(resize)
app.command()(gpu)
app.command()(line)
app.command()(page)
app.command()(soak)
app.command()(triton)
app.command()(archive)
app.command()(plant)
app.command()(broker)
app.command()(stages)
app.command()(scale)
app.command()(calibration)


@app.callback(help=_HELP)
def ends_what_it_started(context: typer.Context) -> None:
    """Let SIGTERM end a bench as Ctrl-C does: servers, lines and workers that it started end with it."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    context.call_on_close(lambda: signal.signal(signal.SIGTERM, before))


Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON as well.")]
Repeats = Annotated[int, typer.Option(min=1, help="Rounds; what is compared runs in turns.")]

_PICTURES, _QUICK_PICTURES = 2000, 400
_SEEDS, _QUICK_SEEDS = 10, 2
_HEADS, _QUICK_HEADS = 50, 5


@app.command(no_args_is_help=False)
def accuracy(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="A set in MVTec's layout; the generator's held-out nouns without it."),
    ] = None,
    model: Annotated[Path | None, typer.Option(metavar="FILE", help="An exported file; trains one without it.")] = None,
    encoder: Annotated[
        str | None, typer.Option(help="What to train on without --model, and whose words the control takes. [mini]")
    ] = None,
    json: Json = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as one HTML file.")] = None,
    pictures: Annotated[int, typer.Option(min=20, help="How many held-out pictures to draw, without DIR.")] = _PICTURES,
    seeds: Annotated[int, typer.Option(min=1, help="Heads to train without --model.")] = _SEEDS,
    controls: Annotated[int, typer.Option(min=2, help="Heads on shuffled labels.")] = _HEADS,
    quick: Annotated[
        bool,
        typer.Option("--quick", help=f"{_QUICK_PICTURES} pictures, {_QUICK_SEEDS} seeds, {_QUICK_HEADS} controls."),
    ] = False,
) -> None:
    """AUROC of an exported file, scored through the runtime, with a control that must fail.

    Example: wordsight bench accuracy pictures/ --model line3.onnx --html report.html
    """
    from wordsight.benchmarks import datasets, tables
    from wordsight.benchmarks.accuracy import MEANING

    for path in (json, html):
        _check_output(path)
    if quick:
        pictures, seeds, controls = (
            min(pictures, _QUICK_PICTURES),
            min(seeds, _QUICK_SEEDS),
            min(controls, _QUICK_HEADS),
        )
    dataset = datasets.read_folder(folder) if folder is not None else datasets.held_out(pictures)
    with tempfile.TemporaryDirectory(prefix="wordsight-") as scratch:
        result = _measured(dataset, model, encoder, list(range(seeds)), controls, Path(scratch))
    tables.print_figures(f"{result.model} on {result.dataset}", result.figures, MEANING)
    if result.nouns:
        tables.print_groups("AUROC by noun", result.nouns)
    tables.print_groups("AUROC by kind of defect, against all good pictures", result.kinds)
    _write(json, "bench accuracy", result.figures)
    if html is not None:
        from wordsight.benchmarks.report import write_report

        write_report(html, result)
        typer.echo(f"report: {html}", err=True)
    for name, reason in result.scored.failures:
        typer.echo(f"not scored: {name}: {reason}", err=True)
    if result.scored.failures:
        raise typer.Exit(1)


@app.command()
def text(
    encoder: Annotated[
        str | None, typer.Option(help="NAME:TAG, NAME:/path or mini; random weights without it.")
    ] = None,
    count: Annotated[int, typer.Option(min=2, help="Random-word prompts.")] = 1024,
    repeats: Repeats = 3,
    json: Json = None,
) -> None:
    """Text embedding in length-sorted buckets against a plain loop at the full context.

    Example: wordsight bench text --json text.json
    """
    from wordsight.benchmarks import tables
    from wordsight.benchmarks import text as bench

    _check_output(json)
    with tempfile.TemporaryDirectory(prefix="wordsight-") as scratch:
        loaded, title = _encoder_or_random(encoder, Path(scratch))
        figures = bench.measure(loaded, count, repeats)
    tables.print_figures(f"{count} prompts, {title}", figures, bench.MEANING)
    _write(json, "bench text", figures)


@app.command()
def fold(
    encoder: Annotated[
        str | None, typer.Option(help="NAME:TAG, NAME:/path or mini; random weights without it.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Frames a pass.")] = 1,
    repeats: Repeats = 40,
    json: Json = None,
) -> None:
    """What ten folded heads cost beside one, and beside the encoder alone.

    Example: wordsight bench fold --repeats 60
    """
    from wordsight.benchmarks import fold as bench
    from wordsight.benchmarks import tables

    _check_output(json)
    with tempfile.TemporaryDirectory(prefix="wordsight-") as scratch:
        loaded, title = _encoder_or_random(encoder, Path(scratch))
        figures = bench.measure(loaded, Path(scratch), repeats=repeats, batch=batch)
    tables.print_figures(f"folding 10 heads, {title}", figures, bench.MEANING)
    _write(json, "bench fold", figures)


@app.command()
def footprint(
    env: Annotated[Path | None, typer.Option(metavar="DIR", help="An environment to weigh and to time.")] = None,
    repeats: Repeats = 9,
    json: Json = None,
) -> None:
    """Import time and help time of the runtime, and the size of an environment.

    Example: wordsight bench footprint --env .venv-lean
    """
    from wordsight.benchmarks import footprint as bench
    from wordsight.benchmarks import tables

    _check_output(json)
    figures = bench.measure(repeats, env)
    tables.print_figures("footprint of the runtime", figures, bench.MEANING)
    _write(json, "bench footprint", figures)


def _measured(
    dataset: Any, model: Path | None, spec: str | None, seeds: list[int], controls: int, scratch: Path
) -> Any:
    """Train where no model is given, open the file, measure."""
    from wordsight.benchmarks.accuracy import measure
    from wordsight.runtime.model import Model

    encoder = None
    if model is None:
        from wordsight.benchmarks.building import train_and_export
        from wordsight.train.encoders import load_encoder
        from wordsight.train.fit import Settings

        encoder = load_encoder(spec or "mini")
        model, _ = train_and_export(encoder, Settings(), seeds, scratch)
    with Model(model) as opened:
        about = opened.manifest.encoder
        if encoder is None and (spec is not None or about.weights == "mini"):
            from wordsight.train.encoders import load_encoder

            encoder = load_encoder(spec or "mini", expected_sha256=about.sha256)
        return measure(opened, dataset, encoder, controls)


def _encoder_or_random(spec: str | None, scratch: Path) -> tuple[Any, str]:
    """An encoder, and what to call it."""
    from wordsight.benchmarks.fold import RANDOM, random_checkpoint
    from wordsight.train.encoders import load_encoder

    if spec is not None:
        return load_encoder(spec), spec
    return load_encoder(random_checkpoint(RANDOM, scratch)), f"{RANDOM} with random weights (they do not change speed)"


def _check_output(path: Path | None) -> None:
    if path is not None:
        from wordsight.runtime.files import check_output_file

        check_output_file(path)


def _write(path: Path | None, command: str, figures: "list[Figure]") -> None:
    if path is not None:
        from wordsight.runtime.figures import write_figures

        write_figures(path, command, figures)
