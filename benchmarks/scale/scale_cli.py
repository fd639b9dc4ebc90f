"""`wordsight bench stages` and `wordsight bench scale`: what a picture of an archive costs, and what follows."""

import json as json_of
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wordsight.benchmarks.line.cli import Json

if TYPE_CHECKING:
    from wordsight.benchmarks.scale.arithmetic import Costs, Fleet, Prices

_DRAWN = 32


def stages(
    model: Annotated[Path | None, typer.Argument(metavar="[MODEL.onnx]", help="Exported file.")] = None,
    source: Annotated[
        Path | None, typer.Argument(metavar="[SOURCE]", help="Pictures like the archive's; 1080p JPEGs are drawn.")
    ] = None,
    encoder: Annotated[str, typer.Option(help="What is exported without a MODEL.")] = "ViT-B-16-plus-240:random",
    backend: Annotated[str, typer.Option(help="Engine.")] = "ort-cpu",
    batch: Annotated[int, typer.Option(min=1, max=256, help="Pictures a pass of the engine.")] = 8,
    rounds: Annotated[int, typer.Option(min=1, help="Of all stages, in turns.")] = 7,
    json: Json = None,
) -> None:
    """What each stage of wordsight archive costs a picture: core-seconds on one core, and bytes.

    Example: wordsight bench stages line3.onnx parts/ --json stages.json
    """
    from wordsight.benchmarks import tables
    from wordsight.benchmarks.scale import stages as bench
    from wordsight.benchmarks.speed import split, subjects
    from wordsight.runtime.backends import open_backend
    from wordsight.runtime.figures import write_figures
    from wordsight.runtime.files import check_output_file
    from wordsight.runtime.manifest import read_manifest
    from wordsight.runtime.threads import one_thread_for_products

    if json is not None:
        check_output_file(json)
    one_thread_for_products()  # as a worker of an archive begins

    def say(line: str) -> None:
        typer.echo(line, err=True)

    with tempfile.TemporaryDirectory(prefix="wordsight-") as scratch, subjects.pinned(1):
        folder = Path(scratch)
        path = model or subjects.made(encoder, ["fp32"], folder, say)[0]
        manifest = read_manifest(path)
        kept = folder / "pictures"
        kept.mkdir()
        pictures = split.read_source(source, _DRAWN) if source else [*split.encoded("jpeg") * _DRAWN]
        places = [kept / f"{number}.jpg" for number in range(len(pictures))]
        for place, data in zip(places, pictures, strict=True):
            place.write_bytes(data)
        with open_backend(backend, path, manifest, batch=batch, threads=1, on_step=say) as engine:
            figures = bench.measure(engine, manifest, places, folder, batch=batch, rounds=rounds)
            title = f"{path.stem}, {engine.name}, batches of {batch}, one core, {len(places)} pictures"
    tables.print_figures(title, figures, bench.MEANING)
    if json is not None:
        write_figures(json, "bench stages", figures)


def scale(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE.json...", help="Of bench stages; also of bench gpu, and of wordsight archive."),
    ],
    pictures: Annotated[float, typer.Option(min=1, help="How many.")] = 1e9,
    cores: Annotated[int, typer.Option(min=1, help="Of all machines.")] = 1024,
    gpus: Annotated[int, typer.Option(min=0, help="Of all machines.")] = 16,
    gpu_rate: Annotated[
        float | None, typer.Option(min=1e-3, metavar="RATE", help="Pictures/s of a GPU. [the best of bench gpu]")
    ] = None,
    network_gbit: Annotated[float, typer.Option(min=1e-6, help="A second, of all machines together.")] = 100.0,
    requests_per_s: Annotated[float, typer.Option(min=1e-3, help="That the store answers.")] = 5500.0,
    core_hour: Annotated[float, typer.Option(min=0, help="Price of a core for an hour.")] = 0.04,
    gpu_hour: Annotated[float, typer.Option(min=0, help="Price of a GPU for an hour.")] = 2.5,
    thousand_requests: Annotated[float, typer.Option(min=0, help="Price of 1,000 requests to the store.")] = 0.0004,
    gb_moved: Annotated[float, typer.Option(min=0, help="Price of 10^9 bytes read from the store.")] = 0.0,
    gb_month: Annotated[float, typer.Option(min=0, help="Price of 10^9 bytes kept for a month.")] = 0.023,
    json: Json = None,
) -> None:
    """From measured costs to a thousand million pictures: hours, money, and what saturates first.

    Example: wordsight bench scale stages.json gpu.json --cores 512 --gpus 8 --gpu-hour 3

    Prices and sizes of the fleet are settings of yours; their defaults are round numbers, and nobody's offer.
    """
    import dataclasses

    from wordsight.benchmarks.scale import arithmetic
    from wordsight.runtime.errors import SettingError
    from wordsight.runtime.figures import write_figures
    from wordsight.runtime.files import check_output_file

    if json is not None:
        check_output_file(json)
    documents = []
    for path in files:
        try:
            document = json_of.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise SettingError(f"{path}: expected figures that a command wrote with --json, got {error}") from error
        if not isinstance(document, dict) or not isinstance(document.get("figures"), list):
            raise SettingError(f"{path}: expected figures that a command wrote with --json")
        documents.append(document)
    costs = arithmetic.costs_from(documents)
    if gpu_rate is not None:
        costs = dataclasses.replace(costs, gpu_rate=gpu_rate)
    fleet = arithmetic.Fleet(cores, gpus, network_gbit, requests_per_s)
    prices = arithmetic.Prices(core_hour, gpu_hour, thousand_requests, gb_moved, gb_month)
    _print(costs, fleet, prices, pictures)
    if json is not None:
        why = "not run: wordsight bench gpu" if costs.gpu_rate is None else "--gpus 0"
        write_figures(json, "bench scale", arithmetic.figures(costs, fleet, prices, pictures, why))


def _print(costs: "Costs", fleet: "Fleet", prices: "Prices", pictures: float) -> None:
    from rich.console import Console

    from wordsight.benchmarks.scale import arithmetic
    from wordsight.benchmarks.scale.arithmetic import told

    out = Console(highlight=False)
    results = pictures * costs.result / 1e9
    out.print(
        f"{pictures:,.0f} pictures of {told(costs.picture / 1000)} kB: {told(pictures * costs.picture / 1e12)} TB to "
        f"read, {told(results)} GB of results ({told(results * prices.gb_month)} a month), "
        f"a listing of {told(pictures * costs.listing / 1e9)} GB in {told(pictures * costs.stages['list'] / 3600)} h",
        soft_wrap=True,
    )
    _table(out, ("stage", "core-ms a picture", "core-hours"), [
        (name, told(1e3 * seconds), told(pictures * seconds / 3600)) for name, seconds in costs.stages.items()
    ])  # fmt: skip
    ways = ["cpu"] + (["gpu"] if costs.gpu_rate is not None and fleet.gpus else [])
    for name in ways:
        one = arithmetic.way(name, costs, fleet, prices, pictures)
        amounts = {
            "cores": f"{fleet.cores:,}", "gpus": f"{fleet.gpus:,}", "network": f"{fleet.network_gbit:g} Gbit/s",
            "requests": f"{fleet.requests_per_s:,.0f}/s",
        }  # fmt: skip
        rows = [
            (unit, amounts[unit], told(limit), told(pictures / limit / 3600), f"{one.rate / limit:.0%}")
            for unit, limit in one.limits.items()
        ]
        where = "all on the processors" if name == "cpu" else "the engine on GPUs"
        _table(out, (where, "there are", "pictures/s", "hours", "in use"), rows)
        busy = f"{told(one.core_hours)} core-hours" + (f", {told(one.gpu_hours)} GPU-hours" if name == "gpu" else "")
        out.print(
            f"{one.first} saturate first: {told(one.hours)} h, {busy}, money {told(one.money)}"
            if one.first != "network" else
            f"the network saturates first: {told(one.hours)} h, {busy}, money {told(one.money)}",
            soft_wrap=True,
        )  # fmt: skip
    if costs.gpu_rate is None:
        out.print("with GPUs: not run (wordsight bench gpu --json tells a GPU's rate, or give --gpu-rate)")
    else:
        need = costs.gpu_rate * sum(costs.stages[name] for name in arithmetic.CPU) / costs.efficiency
        out.print(f"a GPU of {told(costs.gpu_rate)} pictures/s is kept busy by {told(need)} cores")
    whole = f"{costs.efficiency:.2f} of what the stages promise, by the run of wordsight archive"
    given = whole if costs.efficiency != 1.0 else "taken as their sum: no run of wordsight archive was given"
    out.print(f"whole runs: {given}", soft_wrap=True)


def _table(out: Any, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for number, name in enumerate(head):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    out.print(table)
