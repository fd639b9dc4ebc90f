"""What `wordsight doctor` says of engines: each is tried with real frames, for what is listed may still not run."""

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from wordsight.runtime.doctor import Finding

if TYPE_CHECKING:
    from wordsight.runtime.backends.auto import Trial
    from wordsight.runtime.errors import WordsightError
    from wordsight.runtime.manifest import Manifest

_RUNTIME = "pip install 'wordsight[runtime]'"
_ALLOWED = {"openvino-bf16": 0.1}
"""A score of the packaged model further than this from the first engine's is no rounding; 0.001 where none is named."""


def engine_findings() -> list[Finding]:
    """One finding a backend, and which one `auto` takes for the packaged model; without any no frame can be scored."""
    from wordsight.runtime.demo import demo_model
    from wordsight.runtime.errors import MissingPart

    try:
        packaged = demo_model()
    except MissingPart as error:
        return [Finding("engines", "missing", "not tried: the packaged model is not there", error.install)]
    # A name of its own for it: engines are built beside a model, and a look at a machine should leave nothing on it.
    with contextlib.ExitStack() as stack:
        model = packaged
        with contextlib.suppress(OSError):  # a full disk: where no name fits, no engine does
            model = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wordsight-")), packaged.name)
            model.symlink_to(packaged)
        return _try_all(model if model.exists() else packaged)


def _try_all(model: Path) -> list[Finding]:
    from wordsight.runtime.backends import ENGINES, open_backend
    from wordsight.runtime.backends.auto import run_trial, trial_frames
    from wordsight.runtime.errors import WordsightError
    from wordsight.runtime.manifest import read_manifest

    manifest = read_manifest(model)
    findings: list[Finding] = []
    reference: Trial | None = None
    for name in ENGINES:
        try:
            with open_backend(name, model, manifest, batch=8) as backend:
                trial = run_trial(name, backend, trial_frames(manifest))
        except WordsightError as error:
            findings.append(_refused(name, error))
            continue
        reference = reference or trial
        findings.append(_ran(trial, reference))
    return [*findings, _chosen(model, manifest, findings)]


def _ran(trial: "Trial", reference: "Trial") -> Finding:
    import numpy as np

    apart = float(np.abs(trial.scores - reference.scores).max())
    told = f"{trial.backend.name}, {trial.frame_s * 1000:.1f} ms a frame of the packaged model"
    if trial is not reference:
        told += f", scores within {apart:.0e} of {reference.name}"
    if not apart <= _ALLOWED.get(trial.name, 1e-3):
        return Finding(f"engine {trial.name}", "problem", told, "use another --backend and report this")
    return Finding(f"engine {trial.name}", "ok", told)


def _refused(name: str, error: "WordsightError") -> Finding:
    from wordsight.runtime.backends.base import brief
    from wordsight.runtime.errors import MissingPart

    if isinstance(error, MissingPart):
        return Finding(f"engine {name}", "missing", brief(error), error.install)
    return Finding(f"engine {name}", "problem", brief(error), "use another --backend")


def _chosen(model: Path, manifest: "Manifest", findings: list[Finding]) -> Finding:
    from wordsight.runtime.backends import open_backend
    from wordsight.runtime.errors import MissingPart, WordsightError

    try:
        with open_backend("auto", model, manifest) as backend:
            return Finding("engine auto takes", "ok", f"{backend.name} ({backend.reason})", vital=True)
    except WordsightError as error:
        install = error.install if isinstance(error, MissingPart) else _RUNTIME
        return Finding("engine", "missing", "no engine runs here", install, vital=True)
