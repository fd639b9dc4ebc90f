"""`wordsight run`: score files, folders, globs, videos and cameras with an exported model."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from wordsight.runtime.loop import Tally
    from wordsight.runtime.model import Model

_TOLD_FAILURES = 4  # on stderr; --errors FILE keeps all
_TOLD_SIZES = 2


def run(
    model: Annotated[str | None, typer.Argument(help="Exported model; not with --demo.", show_default=False)] = None,
    source: Annotated[
        list[str] | None,
        typer.Argument(help="Files, folders, quoted globs, videos, camera index (0), stream URL.", show_default=False),
    ] = None,
    jsonl: Annotated[Path | None, typer.Option(help="Write each scored frame as a line of JSON.")] = None,
    errors: Annotated[Path | None, typer.Option(help="Write each failure as a line of JSON.")] = None,
    annotate: Annotated[Path | None, typer.Option(help="Folder for pictures and videos with the result drawn.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Live window; q ends. Needs wordsight[gui].")] = False,
    threshold: Annotated[float | None, typer.Option(help="Score from which a frame is a defect.")] = None,
    backend: Annotated[str, typer.Option(help="auto or ort.")] = "auto",
    batch: Annotated[int, typer.Option(min=1, max=1024, help="Most frames to a batch.")] = 32,
    demo: Annotated[bool, typer.Option("--demo", help="Score the packaged pictures with the packaged model.")] = False,
) -> None:
    """Score pictures and videos with an exported model.

    Example: wordsight run line3.onnx parts/ --jsonl scores.jsonl --threshold 1.1

    A folder stands for all pictures and videos below it, in natural order, hidden ones left out.
    """
    from rich.console import Console

    from wordsight.runtime.errors import OutputError, SettingError
    from wordsight.runtime.loop import Tally, check_threshold, score_sources
    from wordsight.runtime.manifest import read_manifest
    from wordsight.runtime.model import Model
    from wordsight.runtime.sinks.jsonl import ErrorLines, JsonLines
    from wordsight.runtime.sinks.pictures import AnnotatedPictures
    from wordsight.runtime.sinks.result import Sink
    from wordsight.runtime.sinks.table import Table
    from wordsight.runtime.sinks.window import Window, WindowClosed
    from wordsight.runtime.sources import Failure, open_source
    from wordsight.runtime.sources.files import Files

    out, err = Console(highlight=False), Console(stderr=True, highlight=False)
    if demo:
        from wordsight.runtime.demo import demo_model, demo_pictures

        if model is not None:
            raise SettingError("--demo brings its own model and pictures: give it without MODEL and SOURCE")
        model_path, texts = str(demo_model()), [str(path) for path in demo_pictures()]
    elif model is None or not source:
        raise SettingError("expected MODEL and at least one SOURCE (or --demo); see: wordsight run --help")
    else:
        model_path, texts = model, source

    # All that can be refused is refused before any work, cheapest first.
    table = Table()
    sinks: list[Sink] = [table]
    if jsonl and errors and jsonl.resolve() == errors.resolve():
        raise OutputError(f"--jsonl and --errors name the same file: {jsonl}")
    if jsonl:
        sinks.insert(0, JsonLines(jsonl))
    error_lines = ErrorLines(errors) if errors else None
    top = (spec := read_manifest(model_path).score).w_pr + spec.w_fnn
    check_threshold(threshold, top)
    if annotate and any(Path(text).is_dir() and Path(text).resolve() == annotate.resolve() for text in texts):
        raise OutputError(f"--annotate {annotate} is the folder the pictures come from; give another")
    sources = [open_source(text, exclude=annotate) for text in texts]
    originals = {path.resolve() for item in sources if isinstance(item, Files) for path in item.paths}
    written = (jsonl, errors)
    if any(path is not None and path.resolve() in {*originals, Path(model_path).resolve()} for path in written):
        raise OutputError("--jsonl or --errors names the model or one of the sources; give another file")
    if show:
        sinks.append(Window(top, threshold))
    if annotate:
        sinks.append(AnnotatedPictures(annotate, top, threshold, originals))

    tally = Tally()
    failures: list[Failure] = []

    def on_failure(failure: Failure) -> None:
        if len(failures) < _TOLD_FAILURES:
            failures.append(failure)
        if error_lines:
            error_lines.write(failure)

    interrupted = False
    with contextlib.ExitStack() as stack:
        loaded = stack.enter_context(Model(model_path, backend=backend, batch_size=batch))
        for sink in sinks:
            stack.callback(sink.close)
        if error_lines:
            stack.callback(error_lines.close)
        counts = [item.count for item in sources]
        total = None if None in counts else sum(count or 0 for count in counts)
        progress = stack.enter_context(_progress(err))
        task = progress.add_task("scoring", total=total)
        try:
            score_sources(
                loaded, sources, sinks, tally=tally, batch=batch, threshold=threshold,
                on_failure=on_failure, on_item=lambda: progress.advance(task),
            )  # fmt: skip
        except KeyboardInterrupt:
            interrupted = True
        except WindowClosed:
            pass

    if tally.scored:
        table.show(out)
        _summary(out, loaded, tally, table.decisions)
        _warn_unseen(err, loaded, tally)
    for failure in failures:
        err.print(f"wordsight: {failure.source}: {failure.reason}", markup=False, soft_wrap=True)
    if tally.failures > len(failures):
        rest = tally.failures - len(failures)
        err.print(f"wordsight: and {rest} more{'' if errors else '; --errors FILE keeps all'}", soft_wrap=True)
    if interrupted:
        err.print(f"wordsight: interrupted after {tally.scored} frames", soft_wrap=True)
        raise typer.Exit(130)
    if not tally.scored and not tally.failures:
        raise SettingError("nothing to score was found in the sources")
    if tally.failures:
        raise typer.Exit(1 if tally.scored else 2)


def _progress(console: "Console"):  # type: ignore[no-untyped-def]
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _summary(console: "Console", model: "Model", tally: "Tally", decisions: dict[str, int]) -> None:
    rate = tally.scored / tally.seconds if tally.seconds > 0 else 0.0
    parts = [f"scored {tally.scored}", f"failed {tally.failures}"]
    if tally.skipped:
        parts.append(f"passed over {tally.skipped} that are no pictures")
    parts += [f"{decisions[name]} {name}" for name in ("good", "unsure", "defect") if name in decisions]
    console.print(", ".join([*parts, f"{rate:.1f} frames/s with reading"]), soft_wrap=True)
    seen = [f"{share:.0%} of {width}x{height}" for (height, width), share in list(tally.seen.items())[:_TOLD_SIZES]]
    more = len(tally.seen) - len(seen)
    rest = f" and {more} more sizes, {min(tally.seen.values()):.0%} at least" if more > 0 else ""
    console.print(f"seen by the encoder ({model.manifest.input.fit}): {', '.join(seen)}{rest}", soft_wrap=True)
    encoder = model.manifest.encoder
    if encoder.note:
        console.print(f"encoder {encoder.name}: {encoder.note}", soft_wrap=True, markup=False)


def _warn_unseen(console: "Console", model: "Model", tally: "Tally") -> None:
    """Warn once a size; of many sizes the first two and the rest in one line, so that failures stay in sight."""
    cut = [(size, share) for size, share in tally.seen.items() if share < 0.9995]
    for (height, width), share in cut[:_TOLD_SIZES]:
        console.print(
            f"warning: only {share:.0%} of each {width}x{height} frame is scored (--fit {model.manifest.input.fit}); "
            "export with --fit squash or pad to see all", soft_wrap=True,
        )  # fmt: skip
    if len(cut) > _TOLD_SIZES:
        console.print(f"warning: and frames of {len(cut) - _TOLD_SIZES} more sizes are not seen whole", soft_wrap=True)
