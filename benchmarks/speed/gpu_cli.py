"""The command `wordsight bench gpu`."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from wordsight.benchmarks.speed.gpu import Opener, Subject

_FRAMES = 128


def gpu(
    encoder: Annotated[
        str, typer.Option(help="What is exported in fp16: NAME:random, NAME:TAG, NAME:/path, or mini.")
    ] = "ViT-B-16-plus-240:random",
    backend: Annotated[
        list[str] | None,
        typer.Option(help="ort-cuda, ort-tensorrt, tensorrt, tensorrt-rtx, torch; several times. [all]"),
    ] = None,
    duration: Annotated[float, typer.Option(metavar="SECONDS", help="Of each measurement.")] = 6.0,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the figures as JSON as well.")] = None,
) -> None:
    """fp16 on an NVIDIA GPU: batches of 64 against its own matrix product, single frames with CUDA graphs and without.

    Example: wordsight bench gpu --json gpu.json

    ViT-B-16-plus-240 with random weights; under 8 minutes on an H100. What is absent is *not run*, and why.
    """
    from rich.console import Console

    from wordsight.benchmarks.speed import gpu as bench
    from wordsight.benchmarks.speed import gpu_torch
    from wordsight.benchmarks.speed.scenarios import Limit
    from wordsight.runtime.errors import SettingError
    from wordsight.runtime.figures import write_figures
    from wordsight.runtime.files import check_output_file

    known = (*bench.BACKENDS, "torch")
    wanted = tuple(dict.fromkeys(backend or known))
    if unknown := set(wanted) - set(known):
        raise SettingError(f"--backend takes {', '.join(known)}, got {sorted(unknown)[0]!r}")
    limit = Limit(duration)
    if json is not None:
        check_output_file(json)
    device = gpu_torch.TorchGpu()  # before anything is exported
    errors = Console(stderr=True, highlight=False)
    with tempfile.TemporaryDirectory(prefix="wordsight-gpu-") as scratch:
        subject, openers = _prepared(encoder, wanted, Path(scratch), device.device, errors.print)
        sheet = bench.measure(device, subject, openers, limit, on_step=errors.print)
    sheet.print(f"{encoder.partition(':')[0]} in fp16 on {device.name}")
    if json is not None:
        write_figures(json, "bench gpu", sheet.figures)


def _prepared(
    encoder_spec: str, wanted: tuple[str, ...], folder: Path, device: str, on_step: Any
) -> "tuple[Subject, dict[str, Opener]]":
    """Export in fp32 and fp16, score drawn pictures in fp32 on the processor, and say how each row is opened."""
    import numpy as np

    from wordsight.benchmarks.speed import gpu as bench
    from wordsight.benchmarks.speed import subjects
    from wordsight.export.calibration import collect
    from wordsight.runtime.manifest import read_manifest
    from wordsight.runtime.model import Model

    exact, half = subjects.made(encoder_spec, ["fp32", "fp16"], folder, on_step)
    check = collect(None, read_manifest(exact).input).check
    frames, labels = check.frames[:_FRAMES], None if check.labels is None else check.labels[:_FRAMES]
    on_step("scoring drawn pictures in fp32 on the processor")
    with Model(exact, "ort-cpu") as model:
        scores = model.score(frames)
    known = {"score": scores.score, "embedding": np.asarray(scores.embedding)}
    subject = bench.Subject(frames, known, labels, read_manifest(half).cost.flops)
    openers = {name: bench.opener(name, half, on_step) for name in wanted if name != "torch"}
    if "torch" in wanted:
        openers["torch"] = _torch(half, folder, device)
    return subject, openers


def _torch(path: Path, folder: Path, device: str) -> "Opener":
    """The module that the fp16 file was exported from, in PyTorch."""
    from wordsight.benchmarks.speed.gpu_torch import TorchBackend
    from wordsight.benchmarks.speed.subjects import HEAD
    from wordsight.export.fused import FusedDetector
    from wordsight.export.loading import embed_guiding, load_encoder_of
    from wordsight.runtime.manifest import read_manifest
    from wordsight.train.checkpoint import load_heads

    heads = load_heads(folder / HEAD)
    encoder = load_encoder_of(heads, None, "cpu")
    guiding = embed_guiding(encoder, [heads.settings.pair])[0]
    shape, score = read_manifest(path).input.shape, read_manifest(path).score

    def open_one(batch: int, graphs: bool) -> TorchBackend:
        module = FusedDetector(
            encoder, heads.heads, guiding,
            w_pr=score.w_pr, w_fnn=score.w_fnn, temperature=score.temperature, precision="fp16",
        )  # fmt: skip
        return TorchBackend(module, batch, shape, graphs, device)

    return open_one
