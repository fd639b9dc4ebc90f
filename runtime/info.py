"""`wordsight info`: what an exported file says about itself."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wordsight.runtime import remote_options

if TYPE_CHECKING:
    from wordsight.runtime.backends.remote_settings import RemoteSettings
    from wordsight.runtime.cost import CostSpec
    from wordsight.runtime.manifest import CropSpec, HeatmapSpec, Manifest

_SIZES = ((1920, 1080), (1280, 960))  # width, height in pixels: 16:9 and 4:3 cameras


def info(
    model: Annotated[str, typer.Argument(help="Exported model, or one on a server.", show_default=False)],
    json_file: Annotated[str | None, typer.Option("--json", help="Write the manifest as JSON; - for stdout.")] = None,
    deadline_ms: remote_options.DeadlineMs = None,
    manifest_file: remote_options.ManifestFile = None,
    expect_sha256: remote_options.ExpectSha256 = None,
    ca: remote_options.Ca = None,
    token_file: remote_options.TokenFile = None,
) -> None:
    """Show the manifest of an exported model; needs no engine.

    Example: wordsight info line3.onnx

    Of a model on a server, wordsight info grpc://host:8001/model, it shows what the server tells.
    """
    from wordsight.runtime.files import check_output_file, whole_file

    target = check_output_file(json_file) if json_file not in (None, "-") else None
    remote = remote_options.remote_settings(model, deadline_ms, manifest_file, expect_sha256, ca, token_file)
    manifest, _, served = found_manifest(model, remote)
    text = json.dumps(dataclasses.asdict(manifest), indent=2, ensure_ascii=False)
    if json_file == "-":
        typer.echo(text)
        return
    if target is not None:
        with whole_file(target, "w") as file:
            file.write(text + "\n")
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    shown = rows(manifest, Path(model) if remote is None else model)
    for name, value in [*served, *shown]:
        table.add_row(name, Text(value))
    Console(highlight=False).print(table)


def found_manifest(model: str, remote: "RemoteSettings | None") -> "tuple[Manifest, str | None, list[tuple[str, str]]]":
    """Return the manifest of a file, or of a model on a server.

    Returns:
        The manifest; of a server's model the SHA-256 of its file, empty where it does not tell it, and None for a file;
        and what is to be shown of the server.

    Raises:
        ModelError: see `read_manifest`, and `backends.remote_open.find_remote` for servers.
        MissingPart, SettingError: see the latter.
    """
    from wordsight.runtime.manifest import read_manifest

    if remote is None:
        return read_manifest(model), None, []
    from wordsight.runtime.backends.remote_address import parse_address
    from wordsight.runtime.backends.remote_open import find_remote

    facts, _ = find_remote(parse_address(model), remote)
    most = "any number of frames" if facts.most is None else f"up to {facts.most} frames"
    served = [
        ("server", f"{facts.server or 'a server'}, {most} in one request"),
        ("  file", f"sha256 {facts.sha256}" if facts.sha256 else "it does not say which"),
    ]
    return facts.manifest, facts.sha256 or "", served


def rows(manifest: "Manifest", path: Path | str) -> list[tuple[str, str]]:
    """Return what is shown, line by line: (name, value)."""
    from wordsight.runtime.fits import seen_share
    from wordsight.runtime.summary import percent

    spec, encoder, prompts, score, parity = (
        manifest.input, manifest.encoder, manifest.prompts, manifest.score, manifest.parity
    )  # fmt: skip
    sizes = ((spec.frame[1], spec.frame[0]),) if spec.frame else _SIZES
    seen = [
        f"{percent(seen_share(height, width, spec.size, spec.fit, spec.camera))} of {width}x{height}"
        for width, height in sizes
    ]
    name = path.name if isinstance(path, Path) else path
    where = f", resized in the graph to {spec.size} px" if spec.frame else ""
    parts = [
        ("model", f"{name}, of {manifest.created}, Wordsight {manifest.wordsight}, schema {manifest.schema}"),
        ("input", f"{spec.name}: {spec.dtype} {spec.colour} {spec.layout} {_extent(spec.shape)}, {spec.interpolation}"),
        ("fit", f"{spec.fit}{_camera(spec.camera)}{where}: the encoder sees {', '.join(seen)}"),
        ("crops", _crops(manifest.crops)),
        ("outputs", ", ".join(f"{name} [{', '.join(map(str, shape))}]" for name, shape in manifest.outputs.items())),
        ("encoder", f"{encoder.name}, weights {encoder.weights}, {encoder.embed_dim}-d, licence {encoder.licence}"),
        ("", encoder.note),
        ("  sha256", encoder.sha256),
        ("object", prompts.object),
        ("prompts", f"{prompts.guiding_normal!r} / {prompts.guiding_anomalous!r}"),
        ("objects", "; ".join(f"{known.name}: {known.guiding_normal!r} / {known.guiding_anomalous!r}"
                              for known in manifest.objects)),
        ("templates", f"{prompts.template_normal!r} / {prompts.template_anomalous!r}"),
        ("words", f"[n] {prompts.normal_word!r}, [a] {prompts.anomalous_word!r}"),
        ("score", f"{score.formula}, w_pr {score.w_pr:g}, w_fnn {score.w_fnn:g}, T {score.temperature:g}"),
        ("heat map", _heatmap(manifest.heatmap)),
        ("WinCLIP", _winclip(manifest)),
        ("cost", _cost(manifest.cost)),
        ("  at most", _ceilings(manifest.cost, manifest.precision)),
        ("head", f"seed{'s' if len(manifest.head.seeds) > 1 else ''} {', '.join(map(str, manifest.head.seeds))}"),
        ("  sha256", manifest.head.sha256),
        ("training", _pairs(manifest.training)),
        ("precision", f"{manifest.precision}, opset {manifest.opset}"),
        ("parity", f"{parity.status}" if parity.status == "not run" else
         f"{parity.status}: {parity.frames} frames, {parity.backend}, tolerance {parity.tolerance:g}"),
        ("  largest", _pairs(parity.max)),
        ("  mean", _pairs(parity.mean)),
        ("tools", _pairs(manifest.tools)),
    ]  # fmt: skip
    return [(name, value) for name, value in parts if value]


def _extent(shape: tuple[int, int]) -> str:
    rows, columns = shape
    return f"{rows} px" if rows == columns else f"{columns}x{rows} px"


def _camera(camera: tuple[int, ...]) -> str:
    return f" of {camera[1]}x{camera[0]}" if camera else ""


def _crops(crops: "CropSpec") -> str:
    if not crops.boxes:
        return crops.name
    boxes = ", ".join(f"{side} at {left},{top}" for top, left, side in crops.boxes)
    return f"{crops.name}: the mean of {len(crops.boxes)} squares, in pixels from the left and top: {boxes}"


def _heatmap(heatmap: "HeatmapSpec") -> str:
    """The way in words, and nothing where there is no heat map."""
    return f"{heatmap.way} in the last {heatmap.blocks} blocks" if heatmap.blocks else heatmap.way


def _winclip(manifest: "Manifest") -> str:
    spec = manifest.winclip
    if "s_winclip" not in manifest.outputs:
        return ""
    return f"T {spec.temperature:g}, {spec.mean} mean of prompts in {spec.templates} templates"


def _cost(cost: "CostSpec") -> str:
    """Parameters and operations, and nothing for files whose cost nobody counted."""
    if not cost.parameters:
        return ""
    flops = f"{cost.flops / 1e9:.3g} GFLOP a frame" if cost.flops else "operations not counted"
    return f"{cost.parameters / 1e6:.3g} M parameters ({cost.bytes / 1e6:.3g} MB), {flops}"


def _ceilings(cost: "CostSpec", precision: str) -> str:
    """What the arithmetic alone allows on a few boards; engines reach a third to a half of it."""
    from wordsight.runtime.cost import BOARDS, most_frames_per_s, peak_name

    if not cost.flops:
        return ""
    boards = ", ".join(f"{board.name} {most_frames_per_s(cost, board, precision):,.0f}" for board in BOARDS)
    return f"{boards} frames/s, by dense {peak_name(precision)} peaks"


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {_plain(value)}" for key, value in values.items())


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"({_pairs(value)})" if isinstance(value, dict) else str(value)
