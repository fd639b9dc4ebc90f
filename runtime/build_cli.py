"""`wordsight build`: make the engine of a model ahead of start-up, on the machine that will run it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from wordsight.runtime.backends.tensorrt_cache import Built

BUILDING = ("tensorrt", "tensorrt-rtx", "ort-tensorrt")
"""Backends that have engines; every other is ready at start-up."""


def build(
    model: Annotated[Path, typer.Argument(help="Exported model.", show_default=False)],
    backend: Annotated[str, typer.Option(help=f"{', '.join(BUILDING)}, or auto: the first that is here.")] = "auto",
    batch: Annotated[int, typer.Option(min=1, max=1024, help="Most frames at once; more are split.")] = 8,
    target: Annotated[
        str | None, typer.Option(help="Compute capability to build for without its GPU, for tensorrt-rtx: SM89.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write time and size as JSON.")] = None,
) -> None:
    """Build a TensorRT engine ahead of start-up and keep it where `wordsight run` looks for it.

    Example: wordsight build line3.onnx --backend tensorrt-rtx --target SM89

    An engine belongs to this machine's GPU and to one version of TensorRT: build it where it will run. It lies in
    MODEL.engines, which only you can enter.
    """
    from rich.console import Console

    from wordsight.runtime.errors import SettingError
    from wordsight.runtime.figures import Figure, write_figures
    from wordsight.runtime.files import check_output_file
    from wordsight.runtime.manifest import read_manifest

    if json_file is not None:
        check_output_file(json_file)
    if backend not in ("auto", *BUILDING):
        raise SettingError(f"--backend: expected {', '.join(BUILDING)} or auto, got {backend!r}; others need no engine")
    manifest = read_manifest(model)
    err = Console(stderr=True, highlight=False)
    name = _first_here(target) if backend == "auto" else backend
    if name == "ort-tensorrt":
        _fill_onnxruntime(model, manifest, batch, target)
        return

    from wordsight.runtime.backends.engine_files import engine_folder, private_folder
    from wordsight.runtime.backends.engine_lock import only_builder
    from wordsight.runtime.backends.tensorrt_build import load_module
    from wordsight.runtime.backends.tensorrt_cache import build_into_cache, target_gpu

    trt = load_module(name)
    gpu = target_gpu(trt, name, target)
    with _progress(err) as progress:
        task = progress.add_task(f"{name} for {gpu.capability}", total=1.0)

        def advance(share: float, what: str) -> None:
            progress.update(task, completed=share, description=what)

        folder = private_folder(engine_folder(model))
        with only_builder(folder, lambda: advance(0.0, "waiting for another process that builds here")):
            built = build_into_cache(trt, gpu, model, manifest, batch, on_progress=advance)
    _tell(built)
    if json_file is not None:
        figures = [
            Figure("build.seconds", round(built.seconds, 3), "s", n=1),
            Figure("build.size", float(built.size), "bytes", n=1),
        ]
        write_figures(json_file, "build", figures)


def _first_here(target: str | None) -> str:
    """Name of the first module that loads here; without a target it must have a GPU, too.

    Raises:
        MissingPart: none; says what each lacks.
    """
    from wordsight.runtime.backends.base import brief
    from wordsight.runtime.backends.tensorrt_build import load_module, targets
    from wordsight.runtime.backends.tensorrt_cache import target_gpu
    from wordsight.runtime.errors import MissingPart, SettingError

    lacking, known = [], list[str]()
    for name in ("tensorrt", "tensorrt-rtx"):
        try:
            trt = load_module(name)
            known += targets(trt)
            target_gpu(trt, name, target)
            return name
        except SettingError:
            if name == "tensorrt-rtx":
                raise
        except MissingPart as error:
            lacking.append(error)
    if known:
        raise MissingPart(f"no GPU here to build for, name one of {', '.join(known)}", "--target SM89")
    told = "; ".join(brief(error) for error in lacking)
    raise MissingPart(f"nothing here builds engines: {told}", " or ".join(error.install for error in lacking))


def _fill_onnxruntime(model: Path, manifest: Any, batch: int, target: str | None) -> None:
    """Open the backend once: ONNX Runtime builds its own engines then, and keeps them in our folder."""
    import time

    from wordsight.runtime.backends import open_backend
    from wordsight.runtime.backends.engine_files import engine_folder
    from wordsight.runtime.errors import SettingError

    if target is not None:
        raise SettingError("ort-tensorrt builds for the GPU it runs on alone; --target goes with tensorrt-rtx")
    typer.echo("building with ONNX Runtime's TensorRT provider; this can take minutes", err=True)
    began = time.monotonic()
    with open_backend("ort-tensorrt", model, manifest, batch=batch) as backend:
        typer.echo(f"{backend.name}: {time.monotonic() - began:.1f} s, in {engine_folder(model)}")


def _tell(built: "Built") -> None:
    from rich.console import Console

    key = built.key
    rows = {
        "engine": str(built.path),
        "size": f"{built.size / 1e6:.1f} MB",
        "built in": f"{built.seconds:.1f} s",
        "with": f"{key.module} {key.version}",
        "for": key.capability if key.gpu == "any" else f"{key.gpu}, {key.capability}",
        "precision": key.precision,
        "batches": f"{key.profile[0]} to {key.profile[2]}, best at {key.profile[1]}",
        "of the model": f"sha256 {key.model_sha256}",
    }
    console = Console(highlight=False)
    for name, text in rows.items():
        console.print(f"{name:<14}{text}", soft_wrap=True, markup=False)  # a path is to be copied whole


def _progress(console: Any) -> Any:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<40}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
