"""Planted runs: results of a made-up encoder whose numbers the tests know."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import SimpleNamespace

import pytest

from wordsight.benchmarks.paper.plan import Setting
from wordsight.benchmarks.paper.results import Run

SETTING = Setting("MVTec-AD", "Bottle", "0-shot unknown object", "CLIP + ours", "a", "a damaged", 10_000)
METRICS: Mapping[str, float] = {"AUROC": 0.9, "AUPR": 0.8, "F1-max": 0.7}


def run(setting: Setting = SETTING, seed: int | None = 0, **changes: object) -> Run:
    values: dict[str, object] = {
        "encoder": "planted", "encoder_sha256": "0" * 64, "crops": "single", "metrics": METRICS, "good": 3,
        "defective": 4,
    }  # fmt: skip
    return Run(setting, seed=seed, **{**values, **changes})  # type: ignore[arg-type]


def runs(settings: Iterable[Setting], seeds: Iterable[int | None] = (0,), **changes: object) -> list[Run]:
    chosen = list(seeds)
    return [run(setting, seed, **changes) for setting in settings for seed in chosen]


def with_auroc(given: Run, auroc: float) -> Run:
    return replace(given, metrics={**METRICS, "AUROC": auroc})


@pytest.fixture
def planted() -> SimpleNamespace:
    return SimpleNamespace(SETTING=SETTING, METRICS=METRICS, run=run, runs=runs, with_auroc=with_auroc)
