"""`wordsight bench resize`."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from wordsight.benchmarks.speed.cli import BackendName, Encoder, Json, Threads


def resize(
    model: Annotated[
        Path | None, typer.Argument(metavar="[MODEL.onnx]", help="An exported file of --resize host.")
    ] = None,
    encoder: Encoder = "mini",
    frame: Annotated[
        list[str] | None,
        typer.Option(metavar="WxH", help="A camera; give it several times. [640x480 1280x720 1920x1080 4096x3000]"),
    ] = None,
    backend: BackendName = None,
    threads: Threads = None,
    repeats: Annotated[int, typer.Option(min=1, help="Frames that each way is timed on.")] = 30,
    json: Json = None,
) -> None:
    """Frames of a camera fitted by the runtime, and in the graph: ms a frame, in turns, and which is faster.

    Example: wordsight bench resize line3.onnx --frame 1920x1080

    From the decoded frame to the scores. Above 100% the runtime's own resize is the faster one.
    """
    from wordsight.benchmarks.speed import resize as bench
    from wordsight.benchmarks.speed import subjects
    from wordsight.runtime.figures import Figure, usable_cores, write_figures
    from wordsight.runtime.files import check_output_file
    from wordsight.runtime.options import frame_size
    from wordsight.runtime.threads import one_thread_for_products

    if json is not None:
        check_output_file(json)
    cameras = [frame_size(text) for text in frame or []] or list(bench.FRAMES)
    cores = threads if threads is not None else usable_cores()

    def say(line: str) -> None:
        typer.echo(line, err=True)

    with tempfile.TemporaryDirectory(prefix="wordsight-") as scratch, subjects.pinned(cores):
        folder = Path(scratch)
        path = model or subjects.made(encoder, ["fp32"], folder, say)[0]
        one_thread_for_products()  # as `wordsight run` begins
        sheet, refused = bench.measure(path, folder, backend or [], cameras, repeats, cores, say)
    sheet.print(f"resize, {path.stem}, {cores} threads")
    for name, reason in refused.items():
        say(f"does not run here: {name}: {reason[:200]}")
    figures = sheet.figures
    figures += [Figure(f"ratio.resize.{name}", None, reason=reason) for name, reason in refused.items() if backend]
    if json is not None:
        write_figures(json, "bench resize", figures)
