"""`wordsight export`: a head file in, one ONNX file out, and the parity report on the screen."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wordsight.export.parity import ParityReport

__all__ = ["export"]

_FULL_HD = (1080, 1920)  # height, width of the frame that the share is stated for


class FitOption(str, Enum):
    """How a frame is brought to the encoder's square."""

    crop = "crop"
    squash = "squash"
    pad = "pad"
    tiles = "tiles"


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
        FitOption,
        typer.Option(
            help="crop: shorter side to size, centre cut out; squash: both sides; pad: longer side, borders; "
            "tiles: squares side by side, with --frame."
        ),
    ] = FitOption.crop,
    frame: Annotated[
        str | None,
        typer.Option(metavar="WIDTHxHEIGHT", help="Size of the camera's frames, such as 1920x1080, for --fit tiles."),
    ] = None,
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
    heatmap: Annotated[
        bool,
        typer.Option(
            "--heatmap",
            help="Add the output heatmap, the score of every patch; needs mini, or open_clip's ViT or ResNet, and "
            "--crops single.",
        ),
    ] = False,
    precision: Annotated[str, typer.Option(help="fp32.")] = "fp32",
    weights: Annotated[
        tuple[float, float],
        typer.Option(metavar="W_PR W_FNN", help="The score is W_PR * s_pr + W_FNN * s_fnn.", show_default="1 1"),
    ] = (1.0, 1.0),
    seeds_output: Annotated[
        bool, typer.Option("--seeds-output", help="Add the output s_fnn_seeds, one column a folded head.")
    ] = False,
    opset: Annotated[int, typer.Option(help="ONNX opset, 18 to 20.")] = 18,
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

    Ends by comparing ONNX Runtime with torch on the same frames; over tolerance it fails and leaves no file.

    Example: wordsight export head.safetensors -o model.onnx --fit pad
    """
    from rich.console import Console

    from wordsight.runtime.files import check_output_file

    check_output_file(output)
    camera = () if frame is None else _camera(frame)
    if json_path is not None:
        check_output_file(json_path)

    errors = Console(stderr=True)
    with errors.status("starting torch") as status:  # shows nothing where stderr is no terminal
        from wordsight.export.errors import ParityError
        from wordsight.export.onnx import export_model

        try:
            report = export_model(
                head,
                output,
                encoder_spec=encoder,
                fit=fit.value,
                camera=camera,
                crops=crops,
                objects=() if objects is None else objects.split(","),
                patches_output=patches,
                winclip=winclip,
                heatmap=heatmap,
                precision=precision,
                seeds_output=seeds_output,
                w_pr=weights[0],
                w_fnn=weights[1],
                device=device,
                unverified=unverified,
                opset=opset,
                on_step=status.update,
            )
        except ParityError as error:
            if json_path is not None:
                _write_json(json_path, error.report, precision, None, None)
            raise

    from wordsight.runtime.fits import seen_share
    from wordsight.runtime.manifest import read_manifest

    manifest = read_manifest(output)  # what is stated below is what the file says, not what was meant
    spec = manifest.input
    height, width = spec.camera or _FULL_HD
    seen = seen_share(height, width, spec.size, spec.fit, spec.camera)
    size = output.stat().st_size
    _print_report(report, output, size)
    _print_share(seen, spec.fit, height, width)
    if json_path is not None:
        _write_json(json_path, report, precision, size, seen_share(*_FULL_HD, spec.size, spec.fit, spec.camera))


def _camera(text: str) -> tuple[int, int]:
    """(height, width) of WIDTHxHEIGHT."""
    from wordsight.runtime.errors import SettingError

    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise SettingError(f"--frame takes WIDTHxHEIGHT in pixels, such as 1920x1080, got {text!r}")
    return int(height), int(width)


def _print_report(report: ParityReport, output: Path, size: int) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if report.frames:
        table = Table(title=f"{report.backend} against torch, {report.frames} frames")
        table.add_column("output")
        table.add_column("max difference", justify="right")
        table.add_column("mean difference", justify="right")
        for name, largest in report.max.items():
            table.add_row(name, f"{largest:.1e}", f"{report.mean[name]:.1e}")
        console.print(table)
        console.print(f"parity: {report.status}, allowed is {report.tolerance:.0e}")
    else:
        console.print("[yellow]parity: not run[/]; nothing on this machine can run the file, and it says so inside")
    console.print(f"wrote {escape(str(output))}, {size / 1e6:.1f} MB", soft_wrap=True)


def _print_share(seen: float, fit: str, height: int, width: int) -> None:
    from rich.console import Console

    text = f"--fit {fit}: {seen:.1%} of a {width}x{height} frame is seen"
    if seen < 1:
        Console(stderr=True).print(
            f"[yellow]warning:[/] {text}; --fit pad, squash or tiles shows all of it", highlight=False
        )
    else:
        Console().print(text, highlight=False)


def _write_json(path: Path, report: ParityReport, precision: str, size: int | None, seen: float | None) -> None:
    import math

    from wordsight.runtime.figures import Figure, write_figures

    def figure(name: str, value: float | None, reason: str, unit: str = "") -> Figure:
        known = value is not None and math.isfinite(value)
        frames = report.frames if name.startswith("drift") else None
        return Figure(name, value if known else None, unit, n=frames, reason=None if known else reason)

    absent = "no backend at hand can run the graph" if not report.frames else "the difference is not a number"
    figures = [figure(f"drift.{precision}.tolerance", report.tolerance, "")]
    for kind, differences in (("max", report.max), ("mean", report.mean)):
        figures.append(figure(f"drift.{precision}.{kind}", differences.get("score"), absent))
        for name in differences:
            figures.append(figure(f"drift.{precision}.{kind}.{name}", differences[name], absent))
    figures.append(figure("file.size", size, "over tolerance, no file was written", "bytes"))
    figures.append(figure("seen_share.1920x1080", seen, "over tolerance, no file was written"))
    write_figures(path, "export", figures)
