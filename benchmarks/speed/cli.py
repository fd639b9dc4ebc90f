"""`wordsight bench latency` and `wordsight bench throughput`."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wordsight.benchmarks.speed.subjects import Subject
    from wordsight.runtime.figures import Figure

Encoder = Annotated[
    str, typer.Option(help="What is exported without a MODEL: mini, NAME:TAG, NAME:/path, or NAME:random.")
]
Precision = Annotated[
    list[str] | None, typer.Option(help="Of the export without a MODEL; give it several times to compare. [fp32]")
]
BackendName = Annotated[
    list[str] | None, typer.Option("--backend", help="Give it several times to compare; all that run here without it.")
]
Threads = Annotated[int | None, typer.Option(help="Cores to stay on; all that this process may use without it.")]
Duration = Annotated[float, typer.Option(metavar="SECONDS", help="Of each scenario and configuration.")]
Queries = Annotated[int | None, typer.Option(help="Exactly so many queries of each instead of --duration.")]
Json = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the figures as JSON as well.")]
Out = Annotated[Path | None, typer.Option("-o", "--out", metavar="DIR", help="Write the plots into this folder.")]
Profile = Annotated[bool, typer.Option("--profile", help="Also say which operations take the time.")]


def latency(
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[MODEL.onnx]... [SOURCE]", help="Exported files; then a picture or a folder of them."),
    ] = None,
    encoder: Encoder = "mini",
    precision: Precision = None,
    backend: BackendName = None,
    threads: Threads = None,
    duration: Duration = 10.0,
    queries: Queries = None,
    json: Json = None,
    out: Out = None,
    profile: Profile = False,
) -> None:
    """One frame at a time and eight at a time: percentiles, parts, memory, share of the arithmetic ceiling.

    Example: wordsight bench latency line3.onnx line3-int8.onnx part.jpg -o plots

    Without SOURCE a 1080p frame is drawn, and read as JPEG and as PNG. Single stream goes on beyond --duration, up to
    four times, until there are 101 queries: p99 needs them.
    """
    from wordsight.benchmarks.speed import latency as bench
    from wordsight.benchmarks.speed import plots, split
    from wordsight.benchmarks.speed.scenarios import STREAMS, Limit
    from wordsight.benchmarks.speed.sheet import Sheet

    limit = Limit(duration, queries)
    models, source = _parted(inputs or [])
    frames = {"picture": split.read_source(source)} if source else {k: split.encoded(k) for k in ("jpeg", "png")}
    _check_outputs(json, out)
    with _opened(models, encoder, precision, backend, STREAMS, threads) as (subjects, refused, cores):
        found = bench.measure(subjects, limit, cores, frames)
        figures = found.sheet.figures
        found.sheet.print(f"latency, {cores} threads")
        labels = [name.replace(", ", ".") for name in found.parts]
        rows = Sheet(labels, bench.SPLIT_COLUMNS, [f for f in figures if f.name.startswith("split.")])
        rows.print("from encoded bytes to the decision, median")
        figures += _not_run(refused, bool(backend), "latency.single_stream.p50", "ms")
        figures += _profiles(subjects, 1, cores) if profile else []
    if out is not None:
        for name, drawing in (("latency.png", plots.latency(found.single)), ("split.png", plots.parts(found.parts))):
            typer.echo(f"plot: {plots.write(out, name, drawing)}", err=True)
    _write(json, "bench latency", figures)


def throughput(
    models: Annotated[list[Path] | None, typer.Argument(metavar="[MODEL.onnx]...", help="Exported files.")] = None,
    encoder: Encoder = "mini",
    precision: Precision = None,
    backend: BackendName = None,
    threads: Threads = None,
    batch: Annotated[
        list[int] | None, typer.Option(min=1, help="Frames a query; give it several times. [1 2 4 8 16]")
    ] = None,
    duration: Duration = 10.0,
    queries: Annotated[int | None, typer.Option(help="Exactly so many queries of each batch instead.")] = None,
    frames: Annotated[
        int | None, typer.Option(min=2000, help="Only see whether so many frames cost as much each as the first 1,000.")
    ] = None,
    json: Json = None,
    out: Out = None,
    profile: Profile = False,
) -> None:
    """Frames a second against the batch, and the share of the arithmetic ceiling that the best batch reaches.

    Example: wordsight bench throughput --encoder ViT-B-16-plus-240:random --precision fp32 --precision int8 -o plots

    Example: wordsight bench throughput --frames 100000
    """
    from wordsight.benchmarks.speed import plots
    from wordsight.benchmarks.speed import throughput as bench
    from wordsight.benchmarks.speed.scenarios import Limit

    limit = Limit(duration, queries)
    _check_outputs(json, out)
    if frames is not None:
        _write(json, "bench throughput --frames", _linear(models or [], encoder, backend, threads, frames))
        return
    batches = sorted(set(batch or bench.BATCHES))
    with _opened(models or [], encoder, precision, backend, max(batches), threads) as (subjects, refused, cores):
        found = bench.measure(subjects, batches, limit, cores)
        found.sheet.print(f"throughput in frames/s, {cores} threads")
        figures = found.sheet.figures + _not_run(refused, bool(backend), "throughput.best", "frames/s")
        best = max(bench.best_batch(rates) for rates in found.by_batch.values())
        figures += _profiles(subjects, best, cores) if profile else []
    if out is not None:
        typer.echo(f"plot: {plots.write(out, 'throughput.png', plots.batches(found.by_batch))}", err=True)
    _write(json, "bench throughput", figures)


def _linear(
    models: Sequence[Path], encoder: str, backend: Sequence[str] | None, threads: int | None, frames: int
) -> "list[Figure]":
    """The check of linear cost, through `Model.score`."""
    from wordsight.benchmarks import tables
    from wordsight.benchmarks.speed import linear, subjects
    from wordsight.runtime.errors import SettingError
    from wordsight.runtime.figures import usable_cores
    from wordsight.runtime.model import Model

    if len(models) > 1 or len(backend or []) > 1:
        raise SettingError("--frames takes one model and one backend")
    cores = threads or usable_cores()
    with tempfile.TemporaryDirectory(prefix="wordsight-") as scratch, subjects.pinned(cores):
        path = models[0] if models else subjects.made(encoder, ["fp32"], Path(scratch), _say)[0]
        with Model(path, (backend or ["auto"])[0], threads=cores) as model:
            found = linear.figures(*linear.measure(model.score, linear.ring_for(model), frames))
            title = f"linear cost of {frames:,} frames, {path.stem}, {model.backend}, {cores} threads"
    tables.print_figures(title, found, linear.MEANING)
    return found


def _parted(inputs: Sequence[Path]) -> tuple[list[Path], Path | None]:
    """Files named *.onnx are models; at most one other input is the source."""
    from wordsight.runtime.errors import SettingError

    models = [path for path in inputs if path.suffix == ".onnx"]
    others = [path for path in inputs if path.suffix != ".onnx"]
    if len(others) > 1:
        raise SettingError(f"expected models (*.onnx) and at most one source, got {', '.join(map(str, others))}")
    return models, others[0] if others else None


@contextmanager
def _opened(
    models: Sequence[Path],
    encoder: str,
    precisions: Sequence[str] | None,
    backends: Sequence[str] | None,
    batch: int,
    threads: int | None,
) -> "Iterator[tuple[list[Subject], dict[str, str], int]]":
    """Models, or what is exported where there is none, open on pinned cores; with the reasons of what does not run."""
    from wordsight.benchmarks.speed import subjects
    from wordsight.runtime.errors import SettingError
    from wordsight.runtime.figures import usable_cores
    from wordsight.runtime.threads import one_thread_for_products

    if models and precisions:
        raise SettingError("--precision is of what is exported without a MODEL; the files given have theirs")
    cores = threads if threads is not None else usable_cores()
    with tempfile.TemporaryDirectory(prefix="wordsight-") as scratch, subjects.pinned(cores):
        paths = list(models) or subjects.made(encoder, precisions or ["fp32"], Path(scratch), _say)
        one_thread_for_products()  # as `wordsight run` begins
        with subjects.opened(paths, backends or [], batch, cores, _say) as (found, refused):
            yield found, refused, cores


def _not_run(refused: dict[str, str], asked: bool, name: str, unit: str) -> "list[Figure]":
    """What was asked for and does not run is a figure without a value; what was only tried is told in a line."""
    from wordsight.runtime.figures import Figure

    for label, reason in refused.items():
        typer.echo(f"does not run here: {label}: {reason[:200]}", err=True)
    return [Figure(f"{name}.{label}", None, unit, reason=reason) for label, reason in refused.items() if asked]


def _profiles(subjects: "Sequence[Subject]", batch: int, threads: int) -> "list[Figure]":
    """Shares of the kinds of operations, printed in a line for each subject."""
    from wordsight.benchmarks.speed import profile
    from wordsight.runtime.errors import SettingError
    from wordsight.runtime.figures import Figure

    found = []
    for subject in subjects:
        try:
            shares = profile.shares(subject, batch, threads)
        except SettingError as error:
            found.append(Figure(f"profile.{subject.label}", None, reason=str(error)))
            continue
        typer.echo(f"profile of {subject.label}, batch {batch}: {profile.described(shares)}")
        found += [Figure(f"profile.{kind}.{subject.label}", share) for kind, share in shares.items()]
    return found


def _check_outputs(json: Path | None, out: Path | None) -> None:
    from wordsight.runtime.files import check_output_file, check_output_folder

    if json is not None:
        check_output_file(json)
    if out is not None:
        check_output_folder(out)


def _write(path: Path | None, command: str, figures: "Sequence[Figure]") -> None:
    from wordsight.runtime.figures import write_figures

    if path is not None:
        write_figures(path, command, figures)


def _say(line: str) -> None:
    typer.echo(line, err=True)
