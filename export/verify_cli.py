"""`wordsight verify`: the same frames through torch, every engine, every precision. torch comes with --head."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from wordsight.export.plain import Frames
    from wordsight.runtime.manifest import Manifest

__all__ = ["verify"]


def verify(
    models: Annotated[
        list[Path],
        typer.Argument(metavar="MODEL", help="Exported files of one head, one a precision.", show_default=False),
    ],
    frames: Annotated[
        list[str] | None,
        typer.Option(metavar="SOURCE", help="Pictures, folder, quoted glob or video; may be repeated. [generated]"),
    ] = None,
    head: Annotated[
        Path | None, typer.Option(metavar="HEAD", help="The head they were exported from: compares with torch, too.")
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(metavar="SPEC", help="Encoder of --head, as in wordsight export. [what HEAD records]")
    ] = None,
    centre_frames: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Pictures of a head trained with --centre, as in export.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda, for torch.")] = "auto",
    backend: Annotated[
        list[str] | None, typer.Option(help="An engine to try; may be repeated. [every one that runs here]")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Score from which a frame is a defect. [the median score in fp32]")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Most frames to take of the sources.")] = 100,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all differences as JSON.")
    ] = None,
) -> None:
    """Hold every engine of this machine, and every precision given, against one reference, on the same frames.

    Example: wordsight verify fp32.onnx int8.onnx --head head.safetensors --frames parts/

    The reference is torch with --head, else the first fp32 file on ONNX Runtime. Exit code 0: all agree within the
    tolerance of their manifests; 1: some do not; 2: bad input; 3: nothing here runs a file.
    """
    from rich.console import Console

    from wordsight.export.verify import check_head
    from wordsight.export.verify_report import figures, tell
    from wordsight.runtime.backends import ENGINES
    from wordsight.runtime.errors import MissingPart, OutputError, SettingError
    from wordsight.runtime.figures import write_figures
    from wordsight.runtime.files import check_output_file
    from wordsight.runtime.loop import check_threshold
    from wordsight.runtime.manifest import read_manifest
    from wordsight.runtime.same_model import check_same_model
    from wordsight.runtime.verify import verify as compare

    # All that can be refused is refused before any work, cheapest first.
    if json_file is not None and check_output_file(json_file).resolve() in {path.resolve() for path in models}:
        raise OutputError(f"--json {json_file} names one of the models; give another file")
    unknown = [name for name in backend or () if name not in ENGINES]
    if unknown:
        raise SettingError(f"--backend: expected one of {', '.join(ENGINES)}, got {unknown[0]!r}")
    if head is None and (encoder or centre_frames):
        raise SettingError("--encoder and --centre-frames go with --head: add it, or leave them out")
    files = [(path, read_manifest(path)) for path in models]
    check_same_model(files)
    manifest = files[0][1]
    check_threshold(threshold, manifest.score.w_pr + manifest.score.w_fnn)
    if head is not None:
        check_head(head, manifest)

    err = Console(stderr=True, highlight=False)

    def say(line: str) -> None:
        err.print(line, soft_wrap=True, markup=False)

    pictures, told, unread = _frames(manifest, frames, limit)
    with _progress(err) as progress:
        task = progress.add_task("", total=None)

        def begin(what: str, count: int) -> None:
            progress.reset(task, description=what, total=count)

        def advance(count: int) -> None:
            progress.advance(task, count)

        expected, expected_name = None, "torch"
        if head is not None:
            begin("torch", len(pictures))
            expected, expected_name = _torch(head, manifest, pictures, encoder, centre_frames, device, advance)
        found = compare(
            files, pictures, backends=tuple(dict.fromkeys(backend or ENGINES)),
            expected=expected, expected_name=expected_name, threshold=threshold, tolerances=_tolerances(),
            on_step=say, on_begin=begin, on_frames=advance,
        )  # fmt: skip
    if json_file is not None:
        write_figures(json_file, "verify", figures(found, manifest))
    tell(found, told, torch_ran=head is not None, unread=unread)
    if found.of_state("differs") or unread:
        raise typer.Exit(1)
    idle = found.idle()
    if idle:
        runs = [run for run in found.runs if run.path == idle[0]]
        raise MissingPart(
            f"{idle[0].name} was not verified, nothing here runs {runs[0].precision}: "
            + next((run.reason for run in runs if not run.install), runs[0].reason),
            next((run.install for run in runs if run.install), "run it on the device it is meant for"),
        )


def _frames(manifest: Manifest, sources: list[str] | None, limit: int) -> tuple[Frames, str, list[str]]:
    """Frames as the graph takes them, what they are in words, and a line for each that could not be read.

    Raises:
        SettingError: a live source.
        SourceError, PictureError: no frame could be read.
    """
    import numpy as np

    from wordsight.export.verify import PICTURES, generated_frames
    from wordsight.runtime.errors import PictureError, SettingError
    from wordsight.runtime.fit_input import admitted, fit_input
    from wordsight.runtime.sources import Failure, Frame, open_source

    if not sources:
        frames = generated_frames(manifest)
        drawn = f"{len(frames)} generated frames ({len(frames) - PICTURES} patterns, {PICTURES} drawn parts)"
        return frames, f"{drawn}; --frames takes yours", []
    opened = [open_source(text) for text in sources]
    live = [source.text for source in opened if source.live]
    if live:
        raise SettingError(f"--frames {live[0]} is a live source: every engine is to see the same frames; give files")
    spec = manifest.input
    taken: list[Frames] = []
    unread: list[str] = []
    more = False
    for item in (admitted(item, spec) for source in opened for item in source):
        if len(taken) == limit:
            more = True
            break
        if isinstance(item, Failure):
            unread.append(f"{item.source}: {item.reason}")
        elif isinstance(item, Frame):
            taken.append(fit_input(item.image, spec))
    if not taken:
        raise PictureError(f"no frame to compare: {unread[0] if unread else 'the sources hold none'}")
    cut = f", the first {limit} of more; --limit takes others" if more else ""
    return np.stack(taken), f"{len(taken)} frame{'s' * (len(taken) > 1)} of {', '.join(sources)}{cut}", unread


def _torch(
    head: Path,
    manifest: Manifest,
    frames: Frames,
    encoder: str | None,
    centre_frames: Path | None,
    device: str,
    advance: Callable[[int], None],
) -> Any:
    import torch

    from wordsight.export.verify import torch_outputs

    outputs = torch_outputs(
        head, manifest, frames, encoder_spec=encoder, centre_frames=centre_frames, device=device, on_frames=advance
    )
    return outputs, f"torch {torch.__version__}"


def _tolerances() -> dict[str, float]:
    from wordsight.export.parity import TOLERANCES

    return dict(TOLERANCES)


def _progress(console: Console) -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<40}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
