"""`wordsight doctor`: what this machine can run, what is missing, and the line that brings it."""

import importlib
import importlib.metadata
import importlib.util
import json
import platform
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import typer

from wordsight.runtime.board import jetson_release

State = Literal["ok", "missing", "problem"]
_OPENCV_WHEELS = (
    "opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless",
)  # fmt: skip
_ENGINE_WHEELS = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-directml",
    "onnxruntime-openvino",
    "onnxruntime-silicon",
)
_WHEEL_OF = {"open_clip": "open-clip-torch"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what.
        state: "ok", "missing" (not needed by all), or "problem" (needs mending).
        detail: what was found.
        mend: the line that installs or mends it; empty when nothing is to be done.
        vital: the runtime cannot score without it.
    """

    name: str
    state: State
    detail: str
    mend: str = ""
    vital: bool = False


def doctor(
    json_file: Annotated[str | None, typer.Option("--json", help="Write the findings as JSON; - for stdout.")] = None,
) -> None:
    """Say what this machine can run and what is missing, each with the line that installs it.

    Example: wordsight doctor
    """
    from wordsight.runtime.files import check_output_file, whole_file

    target = check_output_file(json_file) if json_file not in (None, "-") else None
    findings = examine()
    usable = all(finding.state == "ok" for finding in findings if finding.vital)
    text = json.dumps({"usable": usable, "findings": [asdict(finding) for finding in findings]}, indent=2)
    if target is not None:
        with whole_file(target, "w") as file:
            file.write(text + "\n")
    if json_file == "-":
        typer.echo(text)
    elif usable:
        _show(findings)
    else:
        lacking = [item for item in findings if item.vital and item.state != "ok"]
        for item in lacking[:6]:
            typer.echo(f"wordsight: {item.name}: {item.detail}: {item.mend}", err=True)
    if not usable:
        raise typer.Exit(3)


def examine() -> list[Finding]:
    """Look at everything and change nothing."""
    from wordsight.runtime.doctor_engines import engine_findings
    from wordsight.runtime.figures import cpu_name, memory_gb, usable_cores

    memory = memory_gb()
    return [
        Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        Finding("processor", "ok", f"{cpu_name()}, {usable_cores()} cores usable"),
        Finding("memory", "ok", f"{memory} GiB" if memory else "not known"),
        *([Finding("jetson", "ok", release)] if (release := jetson_release()) is not None else []),
        *_opencv(),
        *_onnxruntime(),
        *engine_findings(),
        twins("OpenCV", _OPENCV_WHEELS, "opencv-python-headless"),
        twins("ONNX Runtime", _ENGINE_WHEELS, "onnxruntime"),
        _module("pypylon", "pypylon (Basler's cameras)", "pip install 'wordsight[basler]'"),
        _module("torch", "torch (training)", "pip install 'wordsight[train]'"),
        _module("open_clip", "open_clip (training)", "pip install 'wordsight[train]'"),
    ]  # fmt: skip


def twins(what: str, wheels: tuple[str, ...], keep: str) -> Finding:
    """Report wheels that overwrite each other's files: of a pair, one is broken though both look installed."""
    from wordsight.runtime.figures import installed_version

    there = [f"{name} {version}" for name in wheels if (version := installed_version(name))]
    if len(there) < 2:
        return Finding(f"{what} wheels", "ok", there[0] if there else "none (the system's own, if any)")
    names = " ".join(entry.split()[0] for entry in there)
    mend = f"pip uninstall -y {names} && pip install {keep}"
    return Finding(f"{what} wheels", "problem", f"{' and '.join(there)} overwrite each other", mend)


def _opencv() -> list[Finding]:
    mend = "sudo apt install python3-opencv" if jetson_release() is not None else "pip install 'wordsight[runtime]'"
    try:
        import cv2
    except Exception as error:  # an OpenCV without its libraries fails with ImportError, AttributeError, OSError
        return [Finding("OpenCV", "problem" if importlib.util.find_spec("cv2") else "missing", str(error), mend, True)]
    from wordsight.runtime.opencv import feature, gui

    window, ffmpeg, gstreamer = gui(), feature("FFMPEG"), feature("GStreamer")
    system = "sudo apt install python3-opencv"
    return [
        Finding("OpenCV", "ok", str(cv2.__version__), vital=True),
        Finding("OpenCV windows", "ok" if window else "missing", window or "headless", "" if window else
                "pip uninstall -y opencv-python-headless && pip install 'wordsight[gui]'"),
        Finding("OpenCV FFmpeg", "ok" if ffmpeg else "missing", _built(ffmpeg) or "not built in: few videos",
                "" if ffmpeg else mend),
        Finding("OpenCV GStreamer", "ok" if gstreamer else "missing",
                _built(gstreamer) or "not built in: no gst: sources, no CSI cameras", "" if gstreamer else system),
    ]  # fmt: skip


def _built(feature: str | None) -> str | None:
    """Return OpenCV's own words for a feature, a bare YES as words of ours."""
    return "built in" if feature == "YES" else feature


def _onnxruntime() -> list[Finding]:
    mend = "pip install 'wordsight[runtime]'"
    try:
        import onnxruntime
    except Exception as error:
        state: State = "problem" if importlib.util.find_spec("onnxruntime") else "missing"
        return [Finding("ONNX Runtime", state, str(error), mend)]
    # What it is built with says little: only a frame that went through proves that it runs.
    providers = ", ".join(name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers())
    return [Finding("ONNX Runtime", "ok", f"{onnxruntime.__version__}, built with {providers}")]


def _module(module: str, name: str, mend: str) -> Finding:
    # Found, not imported: torch alone would take seconds.
    if importlib.util.find_spec(module) is None:
        return Finding(name, "missing", "not installed", mend)
    from wordsight.runtime.figures import installed_version

    return Finding(name, "ok", installed_version(_WHEEL_OF.get(module, module)) or "installed")


def _show(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    styles = {"ok": "green", "missing": "yellow", "problem": "bold red"}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("part", "state", "found; the line that brings or mends it"):
        table.add_column(column, overflow="fold", no_wrap=column != "found; the line that brings or mends it")
    for item in findings:
        text = Text(item.detail)
        if item.mend:
            text.append(f"\n{item.mend}", "cyan")
        table.add_row(item.name, Text(item.state, styles[item.state]), text)
    Console(highlight=False).print(table)
