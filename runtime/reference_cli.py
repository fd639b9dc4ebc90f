"""`wordsight reference`: keep what a model sees of normal frames, for few-shot scores. Heavy imports sit inside."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wordsight.runtime import options

if TYPE_CHECKING:
    from wordsight.runtime.manifest import InputSpec
    from wordsight.runtime.reference_builder import ReferenceBuilder
    from wordsight.runtime.references import References
    from wordsight.runtime.sources import Failure, Source

_HELP = """Keep normal frames as references for few-shot scores.

Example: wordsight reference add line3.onnx good/
"""
_TOLD = 4  # failures, duplicates: one line each; the command's lines stay below eight
app = typer.Typer(help=_HELP, no_args_is_help=True)


@app.command(no_args_is_help=False)
def add(
    model: Annotated[str, typer.Argument(help="Exported model.", show_default=False)],
    good: Annotated[
        list[str], typer.Argument(help="Normal frames: files, folders, quoted globs, videos.", show_default=False)
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="[MODEL.references.safetensors]")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Begin anew instead of adding to FILE.")] = False,
    backend: options.Backend = "auto",
    batch: options.Batch = 32,
) -> None:
    """Add normal frames to the references of a model; frames that are there already are skipped.

    Example: wordsight reference add line3.onnx good/ -o line3.references.safetensors

    FILE appears whole or not at all, and holds at most 512 MiB: 300 frames with patches and windows of ViT-B/16+.
    """
    from wordsight.runtime.errors import OutputError, SettingError
    from wordsight.runtime.files import check_output_file
    from wordsight.runtime.manifest import read_manifest
    from wordsight.runtime.model import Model
    from wordsight.runtime.reference_builder import ReferenceBuilder
    from wordsight.runtime.references_file import default_path, read_references, write_references
    from wordsight.runtime.sources import open_source
    from wordsight.runtime.sources.files import Files

    # All that can be refused is refused before any work, cheapest first.
    target = check_output_file(output or default_path(model))
    spec = read_manifest(model).input
    sources = [open_source(text) for text in good]
    for source in sources:
        if source.live:
            raise SettingError(f"{source.text} is a live source: record a video or pictures of good parts, give those")
    originals = {path.resolve() for source in sources if isinstance(source, Files) for path in source.paths}
    if target.resolve() in {*originals, Path(model).resolve()}:
        raise OutputError(f"{target} is the model or one of the frames; give another -o FILE")

    with Model(model, backend=backend, batch_size=batch) as loaded:
        known = None if replace or not target.exists() else read_references(target, for_model=loaded)
        builder = ReferenceBuilder(loaded, known, batch=batch)
        failures = _gather(builder, sources, spec)
        if builder.added:
            references = builder.finish(str(target))
            write_references(target, references)
    for failure in failures[:_TOLD]:
        typer.echo(f"wordsight: {_line(failure.source)}: {_line(failure.reason)}", err=True)
    if len(failures) > _TOLD:
        typer.echo(f"wordsight: and {len(failures) - _TOLD} more could not be read", err=True)
    if builder.added:
        typer.echo(_told(builder, references, target))
    elif builder.duplicates:
        typer.echo(f"nothing added to {target}: all {len(builder.duplicates)} frames are there already")
    elif not failures:
        raise SettingError("no picture or video was found in the sources")
    if builder.added or builder.duplicates:
        _tell_duplicates(builder)
    if failures:
        raise typer.Exit(1 if builder.added or builder.duplicates else 2)


@app.command(no_args_is_help=False)
def show(
    file: Annotated[str, typer.Argument(help="References that `reference add` wrote.", show_default=False)],
    json_file: Annotated[str | None, typer.Option("--json", help="Write it all as JSON; - for stdout.")] = None,
) -> None:
    """Show where references came from and which frames they are; needs neither model nor engine.

    Example: wordsight reference show line3.onnx.references.safetensors
    """
    import dataclasses
    import json

    from wordsight.runtime.files import check_output_file, whole_file
    from wordsight.runtime.references_file import read_references

    target = check_output_file(json_file) if json_file not in (None, "-") else None
    references = read_references(file)
    facts = {
        "origin": dataclasses.asdict(references.origin),
        "outputs": {name: array.shape[1:] for name, array in references.vectors.items()},
        "frames": [dataclasses.asdict(frame) for frame in references.frames],
    }
    text = json.dumps(facts, indent=2)  # ASCII: a file's name may hold bytes that are no UTF-8
    if json_file == "-":
        typer.echo(text)
        return
    if target is not None:
        with whole_file(target, "w") as stream:
            stream.write(text + "\n")
    origin = references.origin
    camera = f" for {origin.camera[1]}x{origin.camera[0]}" if origin.camera else ""
    typer.echo(f"references  {len(references)}, {_size(references)} in memory")
    typer.echo(f"of model    sha256 {origin.model_sha256}")
    typer.echo(f"encoder     {origin.encoder}, weights {origin.weights}, {origin.embed_dim}-d")
    typer.echo(f"  sha256    {origin.encoder_sha256}")
    typer.echo(f"input       {origin.size} px, fit {origin.fit}{camera}, crops {origin.crops}")
    for name, array in references.vectors.items():
        typer.echo(f"{name:<12}{' x '.join(map(str, array.shape[1:]))}")
    for frame in references.frames:
        place = f" frame {frame.frame}" if frame.frame else ""
        typer.echo(f"{frame.sha256[:12]}  {_line(frame.name)}{place}")


def _gather(builder: "ReferenceBuilder", sources: list["Source"], spec: "InputSpec") -> list["Failure"]:
    """Give every frame to the builder; return what could not be read."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from wordsight.runtime.fit_input import admitted
    from wordsight.runtime.sources import Failure, Frame

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    failures: list[Failure] = []
    counts = [source.count for source in sources]
    total = None if None in counts else sum(count or 0 for count in counts)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("adding", total=total)
        for source in sources:
            for given in source:
                item = admitted(given, spec)
                if isinstance(item, Failure):
                    failures.append(item)
                elif isinstance(item, Frame):
                    builder.add(item.image, Path(item.source).name, item.index)
                progress.advance(task)
    return failures


def _told(builder: "ReferenceBuilder", references: "References", target: Path) -> str:
    kept = ", ".join(f"{name} {'x'.join(map(str, array.shape[1:]))}" for name, array in references.vectors.items())
    return f"added {builder.added}, {len(references)} references ({kept}; {_size(references)} in memory): {target}"


def _tell_duplicates(builder: "ReferenceBuilder") -> None:
    if builder.duplicates and builder.added:
        told = ", ".join(_line(name) for name in builder.duplicates[:_TOLD])
        more = f" and {len(builder.duplicates) - _TOLD} more" if len(builder.duplicates) > _TOLD else ""
        typer.echo(f"skipped {len(builder.duplicates)} that are there already: {told}{more}")


def _size(references: "References") -> str:
    number = float(sum(array.nbytes for array in references.vectors.values()))
    for unit in ("B", "KiB", "MiB"):
        if number < 1024 or unit == "MiB":
            break
        number /= 1024
    return f"{number:.3g} {unit}"


def _line(text: str) -> str:
    return " ".join(text.splitlines())  # a file's name may hold a line break
