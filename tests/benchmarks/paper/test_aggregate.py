"""From planted runs to cells: means over classes, spread over seeds, and blanks with their reasons."""

import numpy as np
import pytest

from wordsight.benchmarks.paper import aggregate
from wordsight.benchmarks.paper.figures import load
from wordsight.benchmarks.paper.plan import settings_of, sweep_settings
from wordsight.benchmarks.paper.results import ResultError

TABLE_1 = (1, "MVTec-AD", "0-shot unknown object", "CLIP + ours", "AUROC")
BOTTLE = (5, "Bottle", "0-shot unknown object", "CLIP + ours", "AUROC")


def _record(runs, key):
    return next(record for record in aggregate.records(runs) if record.key == key)


def _settings(key=TABLE_1):
    return settings_of(next(cell for cell in load() if cell.key == key))


def test_classes_are_averaged_within_a_seed_and_then_seeds(planted):
    rng = np.random.default_rng(0)
    areas = rng.uniform(0.5, 1, (15, 10))
    runs = [
        planted.with_auroc(planted.run(setting, seed), areas[i, seed])
        for i, setting in enumerate(_settings())
        for seed in range(10)
    ]
    record = _record(runs, TABLE_1)
    assert record.mean == pytest.approx(100 * areas.mean())
    assert record.std == pytest.approx(100 * areas.mean(0).std(ddof=1))
    assert (record.seeds, record.encoder, record.crops) == (10, "planted", "single")
    bottle = _record(runs, BOTTLE)
    assert bottle.mean == pytest.approx(100 * areas[0].mean())
    assert bottle.std == pytest.approx(100 * areas[0].std(ddof=1))
    assert _record(runs, (*TABLE_1[:4], "F1-max")).mean == pytest.approx(70)


def test_one_seed_has_no_spread(planted):
    record = _record(planted.runs(_settings(), [None]), TABLE_1)
    assert (record.mean, record.std, record.seeds) == (pytest.approx(90), None, 1)


def test_a_missing_class_leaves_the_mean_blank_and_is_named(planted):
    runs = planted.runs(_settings()[:-2])
    record = _record(runs, TABLE_1)
    assert record.mean is None
    assert record.reason == "not run: 2 of 15 classes, the first Wood"
    assert _record(runs, BOTTLE).mean == pytest.approx(90)


def test_only_seeds_that_all_classes_have_count(planted):
    first, *rest = _settings()
    runs = [planted.with_auroc(planted.run(first, seed), 0.1 * seed) for seed in (1, 2, 3)]
    runs += planted.runs(rest, [2, 3, 4])
    record = _record(runs, TABLE_1)
    assert record.seeds == 2
    assert record.mean == pytest.approx(100 * (0.25 + 14 * 0.9) / 15)
    apart = planted.runs([first], [1]) + planted.runs(rest, [2])
    assert _record(apart, TABLE_1).reason == "no seed was run on all classes"


def test_random_weights_never_become_a_cell(planted):
    record = _record(planted.runs(_settings(), random_weights=True), TABLE_1)
    assert (record.mean, record.reason) == (None, aggregate.RANDOM)
    mixed = planted.runs(_settings()[1:]) + planted.runs(_settings()[:1], random_weights=True)
    assert _record(mixed, TABLE_1).reason == aggregate.RANDOM


def test_a_runs_own_reason_reaches_the_cell(planted):
    runs = planted.runs(_settings(), metrics=None, reason="windows need a ViT")
    assert _record(runs, TABLE_1).reason == "windows need a ViT"


def test_without_a_folder_nothing_is_filled_and_every_blank_has_a_reason():
    records = aggregate.records(None)
    assert len(records) == len(load())
    assert {record.mean for record in records} == {None}
    assert {record.reason for record in records} == {aggregate.NO_FOLDER, aggregate.QUOTED}
    assert {r.method for r in records if r.reason == aggregate.QUOTED} == {"SPADE", "PaDiM", "PatchCore", "RegAD"}


def test_encoders_and_crop_sets_are_never_mixed(planted):
    two = [planted.run(), planted.run(encoder="other", encoder_sha256="1" * 64)]
    with pytest.raises(ResultError, match=r"several encoders \(other, planted\)"):
        aggregate.records(two)
    assert aggregate.choose(two, "other") == two[1:]
    with pytest.raises(ResultError, match="no results of third; there are those of other, planted"):
        aggregate.choose(two, "third")
    with pytest.raises(ResultError, match=r"several crop sets for one cell \(2x2 and single\)"):
        aggregate.records([planted.run(), planted.run(crops="2x2")])
    spread = planted.runs(_settings()[1:]) + planted.runs(_settings()[:1], crops="2x2")
    with pytest.raises(ResultError, match="several crop sets"):
        aggregate.records(spread)


def test_the_sweep_has_the_points_that_were_run(planted):
    runs = planted.runs(sweep_settings(10_000), [0, 1])
    runs += [planted.with_auroc(run, 0.5) for run in planted.runs(sweep_settings(1_000))]
    runs += planted.runs(sweep_settings(2_000)[:3])
    points = aggregate.sweep(runs)
    assert points == {10_000: (pytest.approx(90), pytest.approx(0, abs=1e-9)), 1_000: (pytest.approx(50), None)}
