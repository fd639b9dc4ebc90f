"""`wordsight archive`: score millions of pictures, shard by shard. Heavy imports sit inside."""

from collections.abc import Iterator
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from wordsight.runtime import options

if TYPE_CHECKING:
    from wordsight.runtime.archive.progress import Progress
    from wordsight.runtime.archive.run_file import Run
    from wordsight.runtime.archive.shards import Done
    from wordsight.runtime.archive.worker import Task

_TOLD = 4  # unreadable pictures; a command that ends in failures takes eight lines


def archive(
    source: Annotated[
        str,
        typer.Argument(help="Folder, quoted glob, Parquet of pictures, s3://, gs://, az:// ...", show_default=False),
    ],
    model: Annotated[Path, typer.Option("--model", help="Exported model.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Results.", show_default=False)],
    engine: Annotated[
        Literal["local", "ray"] | None,
        typer.Option(help="Processes of this machine, or Ray. [local; ray with --address]", show_default=False),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="A session each. [one a core; one a GPU]", show_default=False)
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of each session on the processor. [cores / workers]", show_default=False)
    ] = None,
    readers: Annotated[
        int | None, typer.Option(min=1, max=256, help="Reading threads a worker. [2; 16 from a store]")
    ] = None,
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster, such as auto. [one of its own here]")] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Only every N-th shard from the I-th, I from 0: one job of N.")
    ] = None,
    pictures_per_shard: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="[64 shards, of 100 to 10,000 pictures]")
    ] = None,
    list_only: Annotated[bool, typer.Option("--list-only", help="Write the listing, score nothing.")] = False,
    column: Annotated[str | None, typer.Option(help="Of the pictures in Parquet. [image]")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Score from which a picture is a defect. [that of the calibration, if there]")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(metavar="FILE", help="From wordsight calibrate. [MODEL.calibration.json if there]")
    ] = None,
    no_calibration: Annotated[bool, typer.Option("--no-calibration", help="Leave it aside: decide nothing.")] = False,
    backend: options.Backend = "auto",
    object_name: options.Object = None,
    batch: options.Batch = 32,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON.")] = None,
) -> None:
    """Score an archive of any size; the same command goes on where it was ended, by whatever.

    Example: wordsight archive s3://bucket/2026/ --model line3.onnx -o out/

    The source is listed first, whole and once; then each shard of the listing becomes one file of out/shards, written
    whole. Pictures that cannot be read are listed beside it, and the exit code is 1. Then: wordsight report out/
    Credentials of a store come from the environment or its own files, never from the address. docs/archive.md
    """
    import time

    from rich.console import Console

    from wordsight.runtime.archive.begin import parse_shard, run_of
    from wordsight.runtime.archive.progress import Progress
    from wordsight.runtime.archive.shards import finished
    from wordsight.runtime.archive.worker import Task
    from wordsight.runtime.errors import SettingError
    from wordsight.runtime.files import check_output_file

    if engine == "local" and address is not None:
        raise SettingError("--address is of a Ray cluster: give it with --engine ray")
    if json_file is not None:
        check_output_file(json_file)
    part = parse_shard(shard) if shard is not None else None
    wanted = _wanted(
        source, model, column, pictures_per_shard, threshold, calibration, no_calibration, backend, object_name
    )
    err = Console(stderr=True, highlight=False)
    began = time.monotonic()
    with Progress(err) as progress:
        run, resumed = run_of(output, wanted, look_again=part is None, on_listed=progress.listed)
        listing_s = time.monotonic() - began
        numbers = [number for number in range(run.shards) if part is None or number % part[1] == part[0]]
        if list_only:
            err.print(f"{run.pictures:,} pictures in {run.shards:,} shards: {output / run.listing}", soft_wrap=True)
            return
        there = {number: done for number in numbers if (done := finished(output, run, number)) is not None}
        todo = [number for number in numbers if number not in there]
        if resumed and there:
            err.print(f"{len(there):,} of {len(numbers):,} shards are finished", soft_wrap=True)
        progress.begin(sum(_length(run, number) for number in numbers), sum(_length(run, number) for number in there))
        task = Task(str(output.resolve()), str(model.resolve()), batch, threads, readers)
        began = time.monotonic()
        _score(run, task, todo, there, engine or ("ray" if address else "local"), workers, address, progress)
        scoring_s = time.monotonic() - began
    _end(output, run, numbers, there, todo, listing_s, scoring_s, json_file, err)


def _score(
    run: "Run", task: "Task", todo: list[int], done: "dict[int, Done]", engine: str, workers: int | None,
    address: str | None, progress: "Progress",
) -> None:  # fmt: skip
    """Score what is to be done and add it to `done`; an interrupted run says how it goes on."""
    from wordsight.runtime.errors import ArchiveError

    if not todo:
        return
    shards: Iterator[Done]
    if engine == "ray":
        from wordsight.runtime.archive.ray_run import run_ray

        shards = run_ray(
            task, todo, workers, address, run.backend, lambda item: progress.advance(_length(run, item.number))
        )
    else:
        from wordsight.runtime.archive.local import run_here, run_processes, sized

        task, count = sized(task, run.backend, workers, len(todo))
        shards = (
            run_here(task, todo, progress.advance) if count == 1
            else run_processes(task, todo, count, progress.advance)
        )  # fmt: skip
    try:
        with closing(shards):  # type: ignore[type-var]
            for item in shards:
                done[item.number] = item
    except KeyboardInterrupt:
        raise _Interrupted(f"interrupted with {len(done):,} shards finished; the same command goes on") from None
    except ArchiveError as error:
        raise ArchiveError(f"{error} ({len(done):,} shards are finished)") from error


class _Interrupted(Exception):
    exit_code = 130


def _wanted(
    source: str, model: Path, column: str | None, pictures_per_shard: int | None, threshold: float | None,
    calibration: Path | None, no_calibration: bool, backend: str, object_name: str | None,
) -> "Run":  # fmt: skip
    """Return the run that the options ask for, without what its listing will tell."""
    from wordsight.runtime.archive.places import normal
    from wordsight.runtime.archive.run_file import Run
    from wordsight.runtime.backends import BACKENDS
    from wordsight.runtime.decide_by import DecideBy
    from wordsight.runtime.errors import SettingError
    from wordsight.runtime.files import file_sha256
    from wordsight.runtime.loop import check_threshold
    from wordsight.runtime.manifest import read_manifest
    from wordsight.runtime.view import object_column

    manifest = read_manifest(model)
    if backend not in BACKENDS:
        raise SettingError(f"expected a backend of {', '.join(BACKENDS)}, got {backend!r}")
    if object_name is not None:
        object_column(manifest, object_name)
    check_threshold(threshold, manifest.score.w_pr + manifest.score.w_fnn)
    by = DecideBy.found(model, object_name or manifest.prompts.object, None, threshold, calibration, no_calibration)
    return Run(
        source=normal(source), model=model.name, model_sha256=file_sha256(model), listing="", listing_sha256="",
        pictures=0, shards=0, pictures_per_shard=pictures_per_shard or 0, passed_over=0, column=column,
        object=object_name, backend=backend, threshold=by.threshold, unsure=by.unsure, gate=by.gate,
        calibration_sha256=file_sha256(by.file) if by.file else None, created="", wordsight="",
    )  # fmt: skip


def _length(run: "Run", number: int) -> int:
    return min(run.pictures_per_shard, run.pictures - number * run.pictures_per_shard)


def _end(
    folder: Path, run: "Run", numbers: list[int], done: "dict[int, Done]", new: list[int], listing_s: float,
    scoring_s: float, json_file: Path | None, err: Any,
) -> None:  # fmt: skip
    """Tell what was done, and end with the exit code."""
    from rich.console import Console

    from wordsight.runtime.archive.shards import unread_of
    from wordsight.runtime.errors import ArchiveError
    from wordsight.runtime.figures import Figure, write_figures

    missing = [number for number in numbers if number not in done]
    if missing:
        raise ArchiveError(f"{len(missing)} shards were not scored, first {missing[0]}; the same command goes on")
    scored, unreadable = (sum(getattr(item, name) for item in done.values()) for name in ("scored", "unreadable"))
    now = sum(done[number].scored + done[number].unreadable for number in new)
    rate = now / scoring_s if scoring_s > 0 else 0.0
    parts = [f"scored {scored:,}", f"failed {unreadable:,}"]
    if run.passed_over:
        parts.append(f"passed over {run.passed_over:,} that are no pictures")
    parts.append(f"{len(numbers):,} shards" + (f" of {run.shards:,}" if len(numbers) < run.shards else ""))
    parts.append(f"{rate:,.1f} pictures/s" if now else "all of them finished before")
    out = Console(highlight=False)
    out.print(", ".join(parts), soft_wrap=True, markup=False)
    out.print(f"results: {folder / 'shards'}; wordsight report {folder} shows them", soft_wrap=True, markup=False)
    if json_file is not None:
        figures = [
            Figure("archive.pictures", float(scored + unreadable)),
            Figure("archive.scored", float(scored)),
            Figure("archive.unreadable", float(unreadable)),
            Figure("archive.listing_s", listing_s, "s", n=run.pictures),
            Figure.or_reason(
                "archive.rate", rate if now else None, "nothing was left to be scored", "pictures/s", n=now
            ),
        ]
        write_figures(json_file, "archive", figures)
    if unreadable:
        lists = (unread_of(folder, number) for number in sorted(done) if done[number].unreadable)
        for item in islice(chain.from_iterable(lists), _TOLD):
            err.print(f"wordsight: {item.source}: {item.reason}", soft_wrap=True, markup=False)
        more = f"and {unreadable - _TOLD:,} more; " if unreadable > _TOLD else ""
        err.print(f"wordsight: {more}all in {folder / 'shards'}/*.unreadable.jsonl", soft_wrap=True, markup=False)
        raise typer.Exit(1 if scored else 2)
