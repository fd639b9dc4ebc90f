"""`wordsight export`: a head file in, one ONNX file out, and the parity report on the screen."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wordsight.export.reduced import DriftReport

__all__ = ["export"]


class FitOption(str, Enum):
    """How a frame is brought to the encoder's square."""

    crop = "crop"
    squash = "squash"
    pad = "pad"
    tiles = "tiles"


class ResizeOption(str, Enum):
    """Where a frame is fitted."""

    host = "host"
    graph = "graph"


class PrecisionOption(str, Enum):
    """What the image encoder computes in."""

    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"
    int8 = "int8"
    fp8 = "fp8"


def export(
    head: Annotated[Path, typer.Argument(metavar="HEAD", help="Head file of `wordsight train`.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="MODEL", help="ONNX file to write.")],
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="mini, NAME:TAG or NAME:/path/to/checkpoint; by default the one the head records. "
            "Other weights than the head was trained with are refused.",
        ),
    ] = None,
    fit: Annotated[
        FitOption | None,
        typer.Option(
            help="crop: shorter side to size, centre cut out; squash: both sides; pad: longer side, borders; "
            "tiles: squares side by side, with --frame.",
            show_default="as the encoder was trained: crop, or squash for SigLIP and PE-Core",
        ),
    ] = None,
    frame: Annotated[
        str | None,
        typer.Option(
            metavar="WIDTHxHEIGHT",
            help="Size of the camera's frames, such as 1920x1080, for --fit tiles or --resize graph.",
        ),
    ] = None,
    resize: Annotated[
        ResizeOption,
        typer.Option(
            help="host: the runtime fits frames of any size; graph: the graph fits those of the camera of --frame, on "
            "whatever it runs, and takes no other size."
        ),
    ] = ResizeOption.host,
    crops: Annotated[
        str,
        typer.Option(
            metavar="SET",
            help="Squares to score and average: single, full+2x2@0.7, full+5@0.7, ...; each costs a pass of the "
            "encoder.",
        ),
    ] = "single",
    objects: Annotated[
        str | None,
        typer.Option(metavar="NAME,NAME", help="Objects that `wordsight run --object` can choose by name."),
    ] = None,
    patches: Annotated[
        bool, typer.Option("--patches", help="Add the output patches, the encoder's grid in the shared space.")
    ] = False,
    winclip: Annotated[
        bool, typer.Option("--winclip", help="Add WinCLIP's score and map, and the windows for few-shot; needs a ViT.")
    ] = False,
    winclip_score: Annotated[
        bool,
        typer.Option("--winclip-score", help="Add WinCLIP's score alone, of any encoder, averaged over the squares."),
    ] = False,
    winclip_temperature: Annotated[
        float | None, typer.Option(metavar="T", help="WinCLIP's T: 0.01 as in its paper, or 0.07.", show_default="0.01")
    ] = None,
    winclip_mean: Annotated[
        str | None,
        typer.Option(
            metavar="raw|unit", help="WinCLIP's mean of prompts: as embedded, or of unit length.", show_default="raw"
        ),
    ] = None,
    winclip_templates: Annotated[
        int | None,
        typer.Option(metavar="22|21", help="How many templates WinCLIP's states are put in.", show_default="22"),
    ] = None,
    heatmap: Annotated[
        bool,
        typer.Option(
            "--heatmap",
            help="Add the output heatmap, the score of every patch; needs mini, or open_clip's ViT or ResNet, and "
            "--crops single.",
        ),
    ] = False,
    centre_frames: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Pictures, not to be judged, whose mean a head of `train --centre` takes images from; mini brings its "
            "own.",
        ),
    ] = None,
    precision: Annotated[
        PrecisionOption,
        typer.Option(
            help="Of the image encoder; scores stay fp32. fp16: GPUs. bf16: OpenVINO, newer GPUs. int8: all of them, "
            "calibrated. fp8: GPUs of capability 8.9 and later, calibrated."
        ),
    ] = PrecisionOption.fp32,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Pictures of the line, at least 16: every second sets the scales of int8 and fp8, on the others a "
            "reduced precision is held against fp32; generated ones without it.",
        ),
    ] = None,
    allow_drift: Annotated[
        bool, typer.Option("--allow-drift", help="Write a file even if its precision drifts too far from fp32.")
    ] = False,
    weights: Annotated[
        tuple[float, float],
        typer.Option(metavar="W_PR W_FNN", help="The score is W_PR * s_pr + W_FNN * s_fnn.", show_default="1 1"),
    ] = (1.0, 1.0),
    seeds_output: Annotated[
        bool, typer.Option("--seeds-output", help="Add the output s_fnn_seeds, one column a folded head.")
    ] = False,
    opset: Annotated[int | None, typer.Option(help="ONNX opset, 18 to 20.", show_default="20")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda, for the torch side.")] = "auto",
    unverified: Annotated[
        bool,
        typer.Option(
            "--unverified",
            help="Write the file even if nothing here can run it; its manifest then says `parity: not run`.",
        ),
    ] = False,
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the differences as JSON.")
    ] = None,
) -> None:
    """Join a head and its image encoder into one ONNX file, and prove that it scores as torch does.

    Ends by comparing an engine with torch on the same frames; over tolerance it fails and leaves no file. A reduced
    precision is also held against fp32: score drift, rank correlation, AUROC.

    Example: wordsight export head.safetensors -o model.onnx --precision int8 --calibrate good/
    """
    from rich.console import Console

    from wordsight.export.report import FULL_HD, print_drift, print_report, print_share, write_json
    from wordsight.export.winclip_options import winclip_options
    from wordsight.runtime.files import check_output_file
    from wordsight.runtime.options import frame_size

    check_output_file(output)
    camera = () if frame is None else frame_size(frame)
    options = winclip_options(winclip, winclip_score, winclip_temperature, winclip_mean, winclip_templates)
    if json_path is not None:
        check_output_file(json_path)

    errors = Console(stderr=True)
    with errors.status("starting torch") as status:  # shows nothing where stderr is no terminal
        from wordsight.export.errors import DriftError, ParityError
        from wordsight.export.onnx import export_model
        from wordsight.export.parity import TOLERANCES, ParityReport

        drift: DriftReport | None = None

        def keep(report: DriftReport) -> None:
            nonlocal drift
            drift = report

        try:
            report = export_model(
                head,
                output,
                encoder_spec=encoder,
                fit=None if fit is None else fit.value,
                camera=camera,
                resize=resize.value,
                crops=crops,
                objects=() if objects is None else objects.split(","),
                patches_output=patches,
                winclip=winclip or winclip_score,
                winclip_windows=winclip,
                winclip_options=options,
                heatmap=heatmap,
                centre_frames=centre_frames,
                precision=precision.value,
                calibrate=calibrate,
                allow_drift=allow_drift,
                seeds_output=seeds_output,
                w_pr=weights[0],
                w_fnn=weights[1],
                device=device,
                unverified=unverified,
                opset=opset,
                on_step=status.update,
                on_drift=keep,
            )
        except DriftError as error:
            if json_path is not None:
                write_json(json_path, ParityReport(TOLERANCES[precision.value]), precision.value, error.report)
            raise
        except ParityError as error:
            if json_path is not None:
                write_json(json_path, error.report, precision.value, drift)
            raise

    from wordsight.runtime.fits import seen_share
    from wordsight.runtime.manifest import read_manifest

    manifest = read_manifest(output)  # what is stated below is what the file says, not what was meant
    spec = manifest.input
    height, width = spec.frame or spec.camera or FULL_HD
    seen = seen_share(height, width, spec.size, spec.fit, spec.camera)
    size = output.stat().st_size
    if drift is not None:
        print_drift(drift)
    print_report(report, output, size)
    print_share(seen, spec.fit, height, width)
    if json_path is not None:
        height, width = spec.frame or FULL_HD
        seen = seen_share(height, width, spec.size, spec.fit, spec.camera)
        write_json(json_path, report, precision.value, drift, size, seen)
