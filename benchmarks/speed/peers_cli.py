"""The command `wordsight bench peers`."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wordsight.runtime.figures import Figure

_PYTHON = Path(".venv-peers/bin/python")


def peers(
    folder: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIR]...", help="Labelled sets on which int8's change of AUROC is told as well."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="speed, limit, quality, text or anomalib; give it several times. [all]")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of the clock; all run in turns.")] = 15,
    threads: Annotated[int | None, typer.Option(min=1, help="Of every engine; all usable cores without it.")] = None,
    pictures: Annotated[int, typer.Option(min=20, help="Generated pictures that mini's drift is told on.")] = 1000,
    python: Annotated[
        Path,
        typer.Option(metavar="PYTHON", help="Of anomalib's environment, made if absent (make peers-env)."),
    ] = _PYTHON,
    files: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep what is exported in this folder, and take what lies there from before."),
    ] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the figures as JSON as well.")] = None,
) -> None:
    """An exported file in fp32, bf16 and int8 beside torch, torch.compile, plain ONNX Runtime and anomalib's WinCLIP.

    Example: wordsight bench peers --files kept --json peers.json

    Example: wordsight bench peers ../shared/data/pcb --only quality

    ViT-B-16-plus-240 with random weights, batch 1, the best engine of each precision; 15 minutes on two cores.
    """
    from rich.console import Console

    from wordsight.benchmarks.datasets import open_dataset
    from wordsight.benchmarks.speed import peers as bench
    from wordsight.benchmarks.tables import print_figures
    from wordsight.runtime.errors import SettingError
    from wordsight.runtime.figures import usable_cores, write_figures
    from wordsight.runtime.files import check_output_file, check_output_folder

    parts = tuple(only or bench.PARTS)
    unknown = set(parts) - set(bench.PARTS)
    if unknown:
        raise SettingError(f"--only takes {', '.join(bench.PARTS)}, got {sorted(unknown)[0]!r}")
    if folder and "quality" not in parts:
        raise SettingError("DIR goes with the part quality: leave it out, or add --only quality")
    sets = [each for path in folder or [] for each in open_dataset(path)]
    if json is not None:
        check_output_file(json)
    if files is not None:
        check_output_folder(files)
    errors = Console(stderr=True)
    if "anomalib" in parts and python == _PYTHON and not python.is_file() and Path("Makefile").is_file():
        errors.print("making anomalib's environment: make peers-env")
        subprocess.run(["make", "--no-print-directory", "peers-env"], check=False)  # where it fails, the figure says so
    cores = threads or usable_cores()
    figures = bench.measure(python, cores, rounds, parts, pictures, errors.print, files, sets)
    print_figures(f"{bench.ENCODER}, random weights, batch 1, {cores} threads", figures, {})
    for name, verdict in _verdicts(figures).items():  # as lines: beside names of this length no column has room
        typer.echo(f"{name} {verdict}")
    if json is not None:
        write_figures(json, "bench peers", figures)


def _verdicts(figures: "Sequence[Figure]") -> dict[str, str]:
    """Of each figure with a target whether it was met; of `auroc_change` its absolute value."""
    from wordsight.benchmarks.speed.peers import TARGETS

    told = {}
    for figure in figures:
        if figure.name in TARGETS and figure.value is not None:
            target, way = TARGETS[figure.name]
            met = abs(figure.value) >= target if way == "at least" else abs(figure.value) <= target
            told[figure.name] = f"{figure.value:.4g}: {'met' if met else 'MISSED'}, {way} {target:g} is asked"
    return told
