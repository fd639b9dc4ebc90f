"""Results of runs as a folder of small JSON files, one a run, so that an interrupted benchmark goes on where it was.

A run is one `Setting` with one encoder, one crop set and one seed. Its file appears whole or not at all:

    DIR/<dataset>/<class or "all">/<setup>.<method>.<seed or "noseed">.<12 hex digits of what identifies the run>.json

    {"schema": 1,
     "dataset": "MVTec-AD", "class": "Bottle", "setup": "0-shot unknown object", "method": "CLIP + ours",
     "normal": "a", "anomalous": "a damaged", "num_pairs": 10000,
     "encoder": "ViT-B-16-plus-240:laion400m_e32", "encoder_sha256": "...", "random_weights": false,
     "crops": "full + 2x2 at 0.7", "seed": 0, "model_sha256": "...",
     "good": 20, "defective": 63, "metrics": {"AUROC": 0.991, "AUPR": 0.997, "F1-max": 0.976}}

Metrics are fractions, 0 ... 1. A run that cannot be done has `"reason"` in place of `"metrics"`, and counts of 0.
`normal`, `anomalous` and `num_pairs` are null as in `plan.Setting`; `seed` is null where no seed decides anything.
A runner asks `is_done` before each run, and calls `save_run` after it.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from wordsight.benchmarks.paper.figures import METRICS
from wordsight.benchmarks.paper.plan import Setting
from wordsight.runtime.errors import WordsightError
from wordsight.runtime.files import check_output_folder, whole_file

SCHEMA = 1


class ResultError(WordsightError):
    """A file of results cannot be used."""


@dataclass(frozen=True)
class Run:
    """One detector on one class with one seed.

    Raises:
        ValueError: neither metrics nor a reason, or both; a metric missing, unknown or outside 0 ... 1.
    """

    setting: Setting
    encoder: str
    """The encoder's spec, without a machine's path: a local checkpoint is told by its hash."""
    encoder_sha256: str
    crops: str
    """The name of the crop set; "single" for one view."""
    seed: int | None
    metrics: Mapping[str, float] | None = None
    reason: str | None = None
    good: int = 0
    defective: int = 0
    random_weights: bool = False
    """Such runs show that the way works and how long it takes; they never become a cell."""
    model_sha256: str = ""

    def __post_init__(self) -> None:
        """Refuse what could not be read as a result."""
        if (self.metrics is None) == (not self.reason):
            raise ValueError("a run has metrics, or a reason why there are none")
        if self.metrics is not None:
            if set(self.metrics) != set(METRICS):
                raise ValueError(f"expected the metrics {list(METRICS)}, got {sorted(self.metrics)}")
            for name, value in self.metrics.items():
                if not isinstance(value, (int, float)) or not math.isfinite(value) or not 0 <= value <= 1:
                    raise ValueError(f"{name} is {value}; expected a fraction, 0 ... 1")
            if min(self.good, self.defective) < 1:
                raise ValueError(f"metrics of {self.good} good and {self.defective} defective pictures")


def run_path(folder: Path, setting: Setting, encoder_sha256: str, crops: str, seed: int | None) -> Path:
    """Where the file of a run lies; the same for the same run on every machine."""
    identity = json.dumps([asdict(setting), encoder_sha256, crops, seed], sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    number = "noseed" if seed is None else f"seed{seed}"
    name = f"{_slug(setting.setup)}.{_slug(setting.method)}.{number}.{digest}.json"
    return folder / _slug(setting.dataset) / (_slug(setting.category) or "all") / name


def is_done(folder: Path, setting: Setting, encoder_sha256: str, crops: str, seed: int | None) -> bool:
    """Whether a run has its file with metrics; a run with a reason is tried again.

    Raises:
        ResultError: the file is damaged.
    """
    path = run_path(folder, setting, encoder_sha256, crops, seed)
    return path.is_file() and load_run(path).metrics is not None


def save_run(folder: Path, run: Run) -> Path:
    """Write a run's file, whole or not at all, in place of an older one of the same run; return its path."""
    path = run_path(folder, run.setting, run.encoder_sha256, run.crops, run.seed)
    check_output_folder(path.parent)
    setting = asdict(run.setting)
    setting["class"] = setting.pop("category")
    rest = {f.name: getattr(run, f.name) for f in fields(run) if f.name not in ("setting", "metrics", "reason")}
    outcome = {"reason": run.reason} if run.metrics is None else {"metrics": dict(run.metrics)}
    with whole_file(path, "w") as file:
        file.write(json.dumps({"schema": SCHEMA, **setting, **rest, **outcome}, indent=1, allow_nan=False) + "\n")
    return path


def load_run(path: Path) -> Run:
    """The run of one file.

    Raises:
        ResultError: it cannot be read, or is none of these files.
    """
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict) or values.pop("schema", None) != SCHEMA:
            raise ValueError(f"expected an object with schema {SCHEMA}")
        values["category"] = values.pop("class")
        setting = Setting(**{f.name: values.pop(f.name) for f in fields(Setting)})
        return Run(setting, **values)
    except OSError as error:
        raise ResultError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResultError(f"{path} is no result of a run ({error}): delete it and run again") from error


def load_runs(folder: Path) -> list[Run]:
    """All runs of a folder, sorted by path; unfinished files of an interrupted run are passed over.

    Raises:
        ResultError: the folder is missing or empty, or a file in it is no result.
    """
    if not folder.is_dir():
        raise ResultError(f"expected a folder of results, got {folder}, which is not a folder")
    paths = sorted(path for path in folder.rglob("*.json") if not path.name.startswith("."))
    if not paths:
        raise ResultError(f"no results (*.json) in {folder}")
    return [load_run(path) for path in paths]


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
