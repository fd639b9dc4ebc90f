"""`wordsight triton`: an exported file as a model in a Triton model repository."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from wordsight.runtime.manifest import Manifest
    from wordsight.runtime.triton.config import Serving
    from wordsight.runtime.triton.repository import Written

_BATCH = 32


def triton(
    model: Annotated[Path, typer.Argument(help="Exported model.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="Model repository, a folder.", show_default=False)],
    name: Annotated[str | None, typer.Option(help="Of the model on the server. [the file's]")] = None,
    kind: Annotated[
        Literal["onnxruntime", "tensorrt", "python"],
        typer.Option(help="Triton's backend; tensorrt serves what wordsight build made on this machine."),
    ] = "onnxruntime",
    batch: Annotated[
        int | None,
        typer.Option(min=1, max=1024, help=f"Most frames of all clients at once. [{_BATCH}, the plan's]"),
    ] = None,
    delay_ms: Annotated[
        float,
        typer.Option(min=0, max=1000, help="Longest wait for others to share a pass; 0: while the engine is busy."),
    ] = 0.0,
    instances: Annotated[int, typer.Option(min=1, max=64, help="Copies of the engine, on each device.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, gpu, or gpu:0,1 for some of several.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, max=1024, help="Of an engine on the processor.")] = None,
    drop_after_s: Annotated[
        float | None,
        typer.Option(min=0.1, max=3600, help="Refuse what waited so long; for clients over HTTP. [never]"),
    ] = None,
) -> None:
    """Write a model repository that Triton serves to many lines.

    Example: wordsight triton line3.onnx -o repository/

    A model that is there already gets its next version; another model of the same name is refused. The lines then run
    with grpc://HOST:8001/NAME in the place of the file; docs/triton.md tells more.
    """
    from wordsight.runtime.errors import SettingError
    from wordsight.runtime.files import file_sha256
    from wordsight.runtime.manifest import read_manifest
    from wordsight.runtime.triton.config import Serving
    from wordsight.runtime.triton.plan import find_plan
    from wordsight.runtime.triton.repository import check_name, write_model

    manifest = read_manifest(model)
    chosen = check_name(model.stem if name is None else name)
    # Before anything takes long: a setting that no batch can mend.
    serving = Serving(
        kind=kind, batch=batch or _BATCH, delay_ms=delay_ms, instances=instances, device=device, threads=threads,
        drop_after_s=drop_after_s,
    )  # fmt: skip
    sha256 = file_sha256(model)
    plan = find_plan(model, manifest, sha256, batch) if kind == "tensorrt" else None
    most = plan.batch if plan is not None else manifest.input.most_frames(serving.batch)
    if batch is not None and most < batch:
        rows, columns = manifest.input.shape
        raise SettingError(f"--batch {batch}: of frames of {columns}x{rows} at most {most} go through at once")
    from dataclasses import replace

    serving = replace(serving, batch=most)
    written = write_model(output, chosen, model, manifest, sha256, serving, plan)
    _tell(written, serving, manifest, plan.made_with if plan is not None else "")


def _tell(written: "Written", serving: "Serving", manifest: "Manifest", made_with: str) -> None:
    from rich.console import Console

    from wordsight.runtime.triton.config import has_golden

    states = {None: "new", written.version: "already there; configuration written anew"}
    warm_up = "the golden frame" if has_golden(manifest) else "a black frame: the manifest has no golden frame"
    rows = {
        "model": str(written.folder),
        "version": f"{written.version} ({states.get(written.before, f'served in the place of {written.before}')})",
        "backend": serving.kind + (f", built with {made_with}: the server needs the same" if made_with else ""),
        "batches": f"1 to {serving.batch}, of all clients together",
        "warm-up": warm_up,
        "serve it": f"tritonserver --model-repository {written.folder.parent.absolute()}",
        "use it": f"wordsight run grpc://HOST:8001/{written.folder.name} SOURCE",
    }
    console = Console(highlight=False)
    for title, text in rows.items():
        console.print(f"{title:<10}{text}", soft_wrap=True, markup=False)  # a path is to be copied whole
