"""`wordsight bench line`, `wordsight bench page` and `wordsight bench soak`."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the figures as JSON as well.")]


def line(
    models: Annotated[list[Path] | None, typer.Argument(metavar="[MODEL.onnx]...", help="Exported files.")] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(help="Exported without a MODEL; give it several times. [ViT-B-16-plus-240:random, then mini]"),
    ] = None,
    backend: Annotated[str, typer.Option(help="auto, or one engine by name.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(help="Cores to stay on; all that this process may use without it.")
    ] = None,
    frame: Annotated[str, typer.Option(metavar="WxH", help="Size of the cameras' frames.")] = "640x480",
    rounds: Annotated[int, typer.Option(min=1, help="Of engine and loop, in turns.")] = 5,
    block: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="About how long engine and loop take in each round.")
    ] = 6.0,
    live_frames: Annotated[int, typer.Option(min=10, help="That the live camera gives.")] = 200,
    json: Json = None,
) -> None:
    """What the loop of a line costs beside its engine: rate, latency of a live camera, four cameras on one engine.

    Example: wordsight bench line line3.onnx --frame 1920x1080

    Frames come from memory. All else is the line's own: readers, batches, fitting, decisions, JSON lines.
    """
    from wordsight.benchmarks import tables
    from wordsight.benchmarks.line import ratios
    from wordsight.benchmarks.line.serving import MOST_PIXELS
    from wordsight.benchmarks.speed import subjects
    from wordsight.runtime.errors import SettingError
    from wordsight.runtime.figures import Figure, usable_cores, write_figures
    from wordsight.runtime.files import check_output_file
    from wordsight.runtime.model import Model
    from wordsight.runtime.options import frame_size

    size = frame_size(frame, MOST_PIXELS)
    if models and encoder:
        raise SettingError("--encoder is of what is exported without a MODEL")
    if json is not None:
        check_output_file(json)
    cores = threads if threads is not None else usable_cores()
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="wordsight-") as scratch, subjects.pinned(cores):
        folder = Path(scratch)
        paths = subjects.given_or_made(models, encoder, folder, _say)
        for number, path in enumerate(paths):
            with Model(path, backend, batch_size=8, threads=cores) as model:
                figures = ratios.measure(
                    model, folder, rounds=rounds, block_s=block, live_frames=live_frames,
                    size=size, on_step=_say,
                )  # fmt: skip
                title = f"{path.stem}, {model.backend}, {cores} threads, frames of {frame}"
            tables.print_figures(title, figures, ratios.MEANING)
            found += tables.of_further(figures, path.stem) if number else figures
    if json is not None:
        write_figures(json, "bench line", found)


def page(
    model: Annotated[Path | None, typer.Argument(metavar="[MODEL.onnx]", help="Without it the packaged one.")] = None,
    viewers: Annotated[int, typer.Option(min=1, help="Browsers that look at it.")] = 10,
    frame: Annotated[str, typer.Option(metavar="WxH", help="Size of the camera's frames.")] = "640x480",
    frames: Annotated[int, typer.Option(min=50, help="Of each round.")] = 500,
    rounds: Annotated[int, typer.Option(min=1, help="In turns.")] = 5,
    minutes: Annotated[
        float, typer.Option(min=0, help="Of a browser's own time, 30 times as fast, that its memory is watched.")
    ] = 60.0,
    json: Json = None,
) -> None:
    """What viewers of the page cost a line that is as fast as its engine: its rate over that without the page.

    Example: wordsight bench page line3.onnx --viewers 10

    Viewers ask as browsers do, from a process beside it on the same cores, which is counted in. Then Chromium opens the
    page of a line of the packaged model: how soon it shows a picture, what it weighs, whether its memory stays flat.
    """
    from wordsight.benchmarks import tables
    from wordsight.benchmarks.line import browsing
    from wordsight.benchmarks.line import viewers as bench
    from wordsight.benchmarks.line.serving import MOST_PIXELS
    from wordsight.runtime.demo import demo_model
    from wordsight.runtime.figures import write_figures
    from wordsight.runtime.files import check_output_file
    from wordsight.runtime.model import Model
    from wordsight.runtime.options import frame_size

    size = frame_size(frame, MOST_PIXELS)
    if json is not None:
        check_output_file(json)
    with (
        tempfile.TemporaryDirectory(prefix="wordsight-") as scratch,
        Model(model or demo_model(), "auto", batch_size=8) as opened,
    ):
        figures = bench.measure(
            opened, Path(scratch), viewers=viewers, rounds=rounds, frames=frames,
            size=size, on_step=_say,
        )  # fmt: skip
        tables.print_figures(f"{viewers} viewers, {opened.backend}, frames of {frame}", figures, bench.MEANING)
    with tempfile.TemporaryDirectory(prefix="wordsight-") as scratch:
        _say(f"a browser that looks, five times; then {minutes:g} minutes of its own time")
        browsed = browsing.measure(Path(scratch), looks=5, rounds=round(60 * minutes))
    tables.print_figures("the page in Chromium", browsed, browsing.MEANING)
    if json is not None:
        write_figures(json, "bench page", [*figures, *browsed])


def soak(
    minutes: Annotated[float, typer.Option(min=0.1, help="Of the run, its start not counted.")] = 30.0,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="DIR", help="Write the plot into this folder.")
    ] = None,
    json: Json = None,
) -> None:
    """Run a line's file for long with one healthy, one flapping and one offline camera, on loopback.

    Example: wordsight bench soak --minutes 2 -o soak

    Exit code 1 when the healthy camera lost more than one frame in a thousand, or files or threads grew.
    """
    from wordsight.benchmarks import tables
    from wordsight.benchmarks.line import plots
    from wordsight.benchmarks.line import soak as bench
    from wordsight.benchmarks.speed.plots import write
    from wordsight.runtime.figures import write_figures
    from wordsight.runtime.files import check_output_file, check_output_folder

    if json is not None:
        check_output_file(json)
    if out is not None:
        check_output_folder(out)
    with tempfile.TemporaryDirectory(prefix="wordsight-") as scratch:
        found = bench.run(60 * minutes, Path(scratch))
    figures = bench.figures(found)
    tables.print_figures(f"soak of {minutes:g} minutes", figures, bench.MEANING)
    for name, states in sorted(found.states.items()):
        typer.echo(f"{name}: {', '.join(sorted(states))}")
    typer.echo(f"exit code after SIGTERM: {found.exit_code}")
    if out is not None:
        typer.echo(f"plot: {write(out, 'soak.png', plots.soak(found))}", err=True)
    if json is not None:
        write_figures(json, "bench soak", figures)
    faults = bench.faults(found)
    for fault in faults:
        typer.echo(f"missed: {fault}", err=True)
    if faults:
        raise typer.Exit(1)


def _say(text: str) -> None:
    typer.echo(text, err=True)
