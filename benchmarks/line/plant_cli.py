"""`wordsight bench plant` and `wordsight bench broker`."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wordsight.runtime.sinks.event_sink import SinkState

Json = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the figures as JSON as well.")]


def plant(
    models: Annotated[list[Path] | None, typer.Argument(metavar="[MODEL.onnx]...", help="Exported files.")] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(help="Exported without a MODEL; give it several times. [ViT-B-16-plus-240:random, then mini]"),
    ] = None,
    backend: Annotated[str, typer.Option(help="auto, or one engine by name.")] = "auto",
    frame: Annotated[str, typer.Option(metavar="WxH", help="Size of the camera's frames.")] = "640x480",
    rounds: Annotated[int, typer.Option(min=1, help="In turns.")] = 12,
    block: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="About how long each takes in a round.")
    ] = 8.0,
    json: Json = None,
) -> None:
    """What sinks that get nothing through cost a line: its rate with all of them down over that without a sink.

    Example: wordsight bench plant line3.onnx --frame 1920x1080

    Frames come from memory, as fast as the engine takes them.
    """
    from wordsight.benchmarks import tables
    from wordsight.benchmarks.line import down
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
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="wordsight-") as scratch:
        paths = subjects.given_or_made(models, encoder, Path(scratch), _say)
        for number, path in enumerate(paths):
            own = Path(scratch) / f"sinks {number}"
            own.mkdir()
            with Model(path, backend, batch_size=8, threads=usable_cores()) as model:
                figures, states = down.measure(model, own, rounds=rounds, block_s=block, size=size, on_step=_say)
                title = f"{path.stem}, {model.backend}, frames of {frame}"
            tables.print_figures(title, figures, down.MEANING)
            _print_states(states)
            found += tables.of_further(figures, path.stem) if number else figures
    if json is not None:
        write_figures(json, "bench plant", found)


def broker(
    away: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="That the broker is away.")] = 60.0,
    slow: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="That it crawls after that.")] = 30.0,
    events: Annotated[int, typer.Option(min=1000, help="That wait within the quota, 500 MB for 100,000.")] = 100_000,
    json: Json = None,
) -> None:
    """What arrives through a broker that goes, crawls and comes back, with the line killed meanwhile, and a full quota.

    Example: wordsight bench broker --away 10 --events 10000

    Needs mosquitto (apt-get install mosquitto), which is started on loopback. Exit code 1 when a target is missed.
    """
    from wordsight.benchmarks import tables
    from wordsight.benchmarks.line import forwarding
    from wordsight.runtime.figures import write_figures
    from wordsight.runtime.files import check_output_file

    if json is not None:
        check_output_file(json)
    with tempfile.TemporaryDirectory(prefix="wordsight-") as scratch:
        figures = forwarding.measure(Path(scratch), away_s=away, slow_s=slow, events=events, on_step=_say)
    title = f"a broker away for {away:g} s and slow for {slow:g} s, the line killed; {events:,} events in the quota"
    tables.print_figures(title, figures, forwarding.MEANING)
    if json is not None:
        write_figures(json, "bench broker", figures)
    missed = forwarding.missed(figures, events)
    for fault in missed:
        _say(f"missed: {fault}")
    if missed:
        raise typer.Exit(1)


def _print_states(states: "Mapping[str, SinkState]") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("sink", "state", "written", "waiting", "unsent", "dropped", "reason"):
        table.add_column(column, justify="right" if column in ("written", "waiting", "unsent", "dropped") else "left")
    for name, state in states.items():
        counts = (str(count) for count in (state.written, state.waiting, state.unsent, state.dropped))
        table.add_row(name, state.state, *counts, escape(state.reason or ""))
    Console().print(table)


def _say(text: str) -> None:
    typer.echo(text, err=True)
