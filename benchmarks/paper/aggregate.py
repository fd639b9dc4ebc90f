"""From runs to records: mean and spread over seeds of each cell's metric, classes averaged within each seed first."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from wordsight.benchmarks.paper.compare import Record
from wordsight.benchmarks.paper.figures import METRICS, Cell, load
from wordsight.benchmarks.paper.plan import Setting, settings_of, sweep_settings
from wordsight.benchmarks.paper.results import ResultError, Run
from wordsight.benchmarks.paper.wordpairs import NUM_PAIRS_SWEEP

QUOTED = "a system of others, quoted by the paper; Wordsight does not hold it"
NO_FOLDER = "not run: no folder of results was given (--results DIR)"
RANDOM = "random weights: they say nothing about accuracy"

_SEVERAL_CROPS = "results of several crop sets for one cell"

_Index = dict[Setting, dict[int | None, Run]]


def records(runs: Sequence[Run] | None) -> list[Record]:
    """One record for every printed cell; None for `runs` means that no folder was given.

    Raises:
        ResultError: runs of several encoders, or of several crop sets for one setting, which no mean may mix.
    """
    index = _index(runs or [])
    return [_record(cell, index, runs is not None) for cell in load()]


def sweep(runs: Sequence[Run]) -> dict[int, tuple[float, float | None]]:
    """Mean AUROC and its std over seeds, in percent, for every N_p of Figure 4 that was run on all classes."""
    index = _index(runs)
    points = {}
    for num_pairs in NUM_PAIRS_SWEEP:
        per_seed, _ = _over_classes(sweep_settings(num_pairs), METRICS[0], index)
        if per_seed:
            points[num_pairs] = _mean_std(per_seed)
    return points


def choose(runs: Iterable[Run], encoder: str | None) -> list[Run]:
    """The runs of one encoder; all runs where None.

    Raises:
        ResultError: there is none of that encoder; the message names those there are.
    """
    every = list(runs)
    chosen = [run for run in every if encoder is None or run.encoder == encoder]
    if not chosen:
        raise ResultError(
            f"no results of {encoder}; there are those of {', '.join(sorted({r.encoder for r in every}))}"
        )
    return chosen


def _index(runs: Iterable[Run]) -> _Index:
    index: _Index = {}
    encoders: dict[str, str] = {}
    for run in runs:
        encoders[run.encoder_sha256] = run.encoder
        seeds = index.setdefault(run.setting, {})
        if run.seed in seeds and seeds[run.seed].encoder_sha256 == run.encoder_sha256:
            both = sorted({run.crops, seeds[run.seed].crops})
            raise ResultError(f"{_SEVERAL_CROPS} ({' and '.join(both)}): keep one of them")
        seeds[run.seed] = run
    if len(encoders) > 1:
        raise ResultError(f"results of several encoders ({', '.join(sorted(encoders.values()))}): name one (--encoder)")
    return index


def _record(cell: Cell, index: _Index, given: bool) -> Record:
    settings = settings_of(cell)
    if not settings:
        return Record(*cell.key, reason=QUOTED)
    if not given:
        return Record(*cell.key, reason=NO_FOLDER)
    per_seed, reason = _over_classes(settings, cell.metric, index)
    if not per_seed:
        return Record(*cell.key, reason=reason)
    mean, std = _mean_std(per_seed)
    run = next(run for run in index[settings[0]].values() if _counts(run))  # all have its encoder and crop set
    return Record(*cell.key, mean=mean, std=std, seeds=len(per_seed), encoder=run.encoder, crops=run.crops)


def _over_classes(settings: Sequence[Setting], metric: str, index: _Index) -> tuple[list[float], str]:
    """The metric in percent of every seed that all classes have, averaged over classes; or nothing, and why."""
    columns: list[Mapping[int | None, float]] = []
    missing, told = [], ""
    crops = set()
    for setting in settings:
        runs = index.get(setting, {})
        values = {s: run.metrics[metric] for s, run in runs.items() if run.metrics and _counts(run)}
        crops |= {run.crops for run in runs.values() if _counts(run)}
        if values:
            columns.append(values)
            continue
        missing.append(setting.category or setting.dataset)
        for run in runs.values():
            told = RANDOM if run.random_weights else run.reason or told
    if missing and told:
        return [], told
    if missing:
        return [], f"not run: {_some(missing, len(settings))}"
    if len(crops) > 1:
        raise ResultError(
            f"results of several crop sets for one cell ({' and '.join(sorted(crops))}): keep one of them"
        )
    shared = set.intersection(*(set(column) for column in columns))
    if not shared:
        return [], "no seed was run on all classes"
    order = sorted(shared, key=lambda seed: -1 if seed is None else seed)
    return [100 * float(np.mean([column[seed] for column in columns])) for seed in order], ""


def _counts(run: Run) -> bool:
    return run.metrics is not None and not run.random_weights


def _some(missing: list[str], of: int) -> str:
    return missing[0] if of == 1 else f"{len(missing)} of {of} classes, the first {missing[0]}"


def _mean_std(values: Sequence[float]) -> tuple[float, float | None]:
    """Over seeds; the std is the sample's (n - 1)."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None
