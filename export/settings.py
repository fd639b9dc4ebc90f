"""Which options of an export go together: looked at before anything is loaded."""

from __future__ import annotations

import math
from typing import get_args

from wordsight.export.graph import OPSETS
from wordsight.export.precision import FP8_OPSET, PRECISIONS
from wordsight.runtime.errors import SettingError
from wordsight.runtime.fits import Fit
from wordsight.runtime.manifest_input import MAX_ASPECT, MAX_FRAME

RESIZE = ("host", "graph")
"""Where frames are fitted: by the runtime, of any size, or in the graph, of one camera's size."""


def check_settings(
    fit: str | None, camera: tuple[int, ...], precision: str, w_pr: float, w_fnn: float, opset: int, resize: str
) -> None:
    """Raise SettingError for a value out of range, or a frame's size for nothing; arguments as in `export_model`."""
    if resize not in RESIZE:
        raise SettingError(f"--resize takes {' or '.join(RESIZE)}, got {resize}")
    graph = resize == "graph"
    if fit is not None and fit not in get_args(Fit):
        raise SettingError(f"--fit takes {', '.join(get_args(Fit))}, got {fit}")
    if fit == "tiles" and graph:
        raise SettingError("--resize graph goes with --fit crop, squash or pad: leave it out for --fit tiles")
    if graph and not camera:
        raise SettingError("--resize graph needs the size of the camera's frames: --frame WIDTHxHEIGHT, say 1920x1080")
    if fit == "tiles" and not camera:
        raise SettingError("--fit tiles needs the size of the camera's frames: --frame WIDTHxHEIGHT, such as 1920x1080")
    if fit != "tiles" and camera and not graph:
        got = f"--fit {fit}" if fit else "no --fit"
        raise SettingError(f"--frame goes with --fit tiles or --resize graph, got {got} and --resize {resize}")
    if graph and (len(camera) != 2 or min(camera) < 1 or max(camera) > MAX_FRAME):
        raise SettingError(f"--frame takes WIDTHxHEIGHT of 1 to {MAX_FRAME} pixels, got {camera[::-1]}")
    if camera and not graph and (len(camera) != 2 or min(camera) < 1 or max(camera) > MAX_ASPECT * min(camera)):
        raise SettingError(f"--frame takes WIDTHxHEIGHT, sides at most 1 to {MAX_ASPECT}, got {camera[::-1]}")
    if precision not in PRECISIONS:
        raise SettingError(f"--precision takes {', '.join(PRECISIONS)}, got {precision}")
    if precision == "fp8" and opset < FP8_OPSET:
        raise SettingError(f"--precision fp8 needs --opset {FP8_OPSET} or {OPSETS[-1]}, got {opset}")
    if opset not in OPSETS:
        raise SettingError(f"--opset takes {OPSETS[0]} to {OPSETS[-1]}, got {opset}")
    if not all(math.isfinite(weight) and weight >= 0 for weight in (w_pr, w_fnn)) or w_pr + w_fnn == 0:
        raise SettingError(f"--weights takes two numbers of 0 or more, not both 0, got {w_pr:g} {w_fnn:g}")


def check_outputs(
    crops: str,
    camera: tuple[int, ...],
    patches_output: bool,
    winclip: bool,
    winclip_options: bool,
    winclip_windows: bool,
    heatmap: bool,
) -> None:
    """Raise SettingError for outputs that do not go together, or not with several squares."""
    several = bool(camera) or crops != "single"
    if winclip_options and not winclip:
        raise SettingError("options of WinCLIP go with --winclip: add it, or leave them out")
    if winclip and winclip_windows and (patches_output or several):
        raise SettingError(
            "--winclip goes with --crops single, without --fit tiles and --patches (it brings patches); its score "
            "alone goes with all: --winclip-score"
        )
    if heatmap and several:
        raise SettingError("--heatmap is of the one square: it goes with --crops single, without --fit tiles")
