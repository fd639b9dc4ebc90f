"""Which options of an export go together: looked at before anything is loaded."""

from __future__ import annotations

import math
from typing import get_args

from wordsight.export.graph import OPSETS
from wordsight.export.precision import FP8_OPSET, PRECISIONS
from wordsight.runtime.errors import SettingError
from wordsight.runtime.fits import Fit
from wordsight.runtime.manifest_input import MAX_ASPECT


def check_settings(
    fit: str | None, camera: tuple[int, ...], precision: str, w_pr: float, w_fnn: float, opset: int
) -> None:
    """Raise SettingError for a value out of range, or a frame's size without tiles; arguments as in `export_model`."""
    if fit is not None and fit not in get_args(Fit):
        raise SettingError(f"--fit takes {', '.join(get_args(Fit))}, got {fit}")
    if fit == "tiles" and not camera:
        raise SettingError("--fit tiles needs the size of the camera's frames: --frame WIDTHxHEIGHT, such as 1920x1080")
    if fit != "tiles" and camera:
        raise SettingError(f"--frame goes with --fit tiles, got {f'--fit {fit}' if fit else 'no --fit'}")
    if camera and (len(camera) != 2 or min(camera) < 1 or max(camera) > MAX_ASPECT * min(camera)):
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
