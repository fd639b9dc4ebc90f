"""`wordsight bench triton`."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from wordsight.benchmarks.line.cli import Json


def triton(
    models: Annotated[list[Path] | None, typer.Argument(metavar="[MODEL.onnx]...", help="Exported files.")] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(help="Exported without a MODEL; give it several times. [ViT-B-16-plus-240:random, then mini]"),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=256, help="Most frames in a pass, of server and engine.")] = 8,
    clients: Annotated[int, typer.Option(min=1, max=256, help="Lines at once, each with one frame at a time.")] = 16,
    threads: Annotated[
        int | None, typer.Option(help="Cores to stay on; all that this process may use without it.")
    ] = None,
    instances: Annotated[
        int, typer.Option(min=1, max=64, help="Of the engine on the server; they share its threads.")
    ] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Of engine and clients, in turns.")] = 3,
    block: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="About how long the engine takes in each round.")
    ] = 8.0,
    repeats: Annotated[int, typer.Option(min=1, help="Single frames that each way is timed on.")] = 20,
    json: Json = None,
) -> None:
    """A Triton server beside its engine: whether the scores are the same, the rate of many lines, what a frame costs.

    Example: wordsight bench triton line3.onnx --clients 32

    A real server on loopback, from the environment that make env brings; clients, server and engine share the cores.
    """
    from wordsight.benchmarks import tables
    from wordsight.benchmarks.scale import triton as bench
    from wordsight.benchmarks.speed import subjects
    from wordsight.runtime.errors import SettingError
    from wordsight.runtime.figures import Figure, usable_cores, write_figures
    from wordsight.runtime.files import check_output_file

    if models and encoder:
        raise SettingError("--encoder is of what is exported without a MODEL")
    if json is not None:
        check_output_file(json)

    def say(line: str) -> None:
        typer.echo(line, err=True)

    cores = threads if threads is not None else usable_cores()
    if instances > cores:
        raise SettingError(f"--instances {instances}: expected at most the {cores} threads that they share")
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="wordsight-") as scratch, subjects.pinned(cores):
        paths = subjects.given_or_made(models, encoder, Path(scratch), say)
        for number, path in enumerate(paths):
            figures, words = bench.measure(
                path, Path(scratch, f"models-{number}"), batch=batch, clients=clients, rounds=rounds, block_s=block,
                repeats=repeats, threads=cores, instances=instances, on_step=say,
            )  # fmt: skip
            shared = f" of {instances} instances" if instances > 1 else ""
            title = f"{path.stem}, {clients} clients, batches of {batch}, {cores} threads{shared}; {words}"
            tables.print_figures(title, figures, bench.MEANING)
            found += tables.of_further(figures, path.stem) if number else figures
    if json is not None:
        write_figures(json, "bench triton", found)
