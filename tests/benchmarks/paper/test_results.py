"""The folder of results: what is saved is read again, interruptions leave nothing half, damage is named."""

import json
from dataclasses import replace

import pytest

from wordsight.benchmarks.paper import results
from wordsight.benchmarks.paper.results import ResultError, is_done, load_run, load_runs, run_path, save_run


def _place(folder, run):
    return run_path(folder, run.setting, run.encoder_sha256, run.crops, run.seed)


@pytest.mark.parametrize("seed", [None, 0, 9])
def test_a_run_comes_back_as_it_was(planted, tmp_path, seed):
    run = planted.run(seed=seed, model_sha256="ab")
    path = save_run(tmp_path, run)
    assert path == _place(tmp_path, run)
    assert load_runs(tmp_path) == [run]
    values = json.loads(path.read_text())
    assert values["class"] == "Bottle"
    assert values["metrics"]["AUROC"] == 0.9


def test_every_part_of_a_runs_identity_has_a_file_of_its_own(planted, tmp_path):
    run, setting = planted.run(), planted.SETTING
    others = [
        replace(run, seed=1), replace(run, seed=None), replace(run, crops="2x2"), replace(run, encoder_sha256="1" * 64),
        *(replace(run, setting=replace(setting, **change)) for change in (
            {"dataset": "VisA"}, {"category": "Cable"}, {"category": ""}, {"setup": "1-shot"}, {"method": "Ours"},
            {"normal": "a good"}, {"anomalous": "a broken"}, {"num_pairs": 1_000},
        )),
    ]  # fmt: skip
    for one in (run, *others):
        save_run(tmp_path, one)
    assert len(load_runs(tmp_path)) == len(others) + 1


def test_a_run_again_replaces_its_file(planted, tmp_path):
    save_run(tmp_path, planted.run(reason="no such data set", metrics=None, good=0, defective=0))
    save_run(tmp_path, planted.run())
    assert load_runs(tmp_path) == [planted.run()]


def test_done_is_what_has_metrics(planted, tmp_path):
    run = planted.run()
    asked = (run.setting, run.encoder_sha256, run.crops, run.seed)
    assert not is_done(tmp_path, *asked)
    save_run(tmp_path, planted.run(reason="the set is not here", metrics=None))
    assert not is_done(tmp_path, *asked), "a run that failed is tried again"
    save_run(tmp_path, run)
    assert is_done(tmp_path, *asked)
    assert not is_done(tmp_path, run.setting, run.encoder_sha256, run.crops, 1)


def test_an_interrupted_write_leaves_the_older_file_and_nothing_else(planted, tmp_path, monkeypatch):
    path = save_run(tmp_path, planted.run())
    before = path.read_bytes()

    def broken(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(results.json, "dumps", broken)
    with monkeypatch.context() as patch:
        patch.setattr(results, "run_path", lambda *_: path)
        with pytest.raises(KeyboardInterrupt):
            save_run(tmp_path, planted.run())
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]


def test_what_a_killed_process_leaves_is_passed_over(planted, tmp_path):
    path = save_run(tmp_path, planted.run())
    (path.parent / ".wordsight-0123456789abcdef.part").write_text('{"schema": 1, "data')
    (path.parent / ".hidden.json").write_text("{")
    assert load_runs(tmp_path) == [planted.run()]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": 2}', '{"schema": 1}', "\x00\x01", "null"])
def test_a_damaged_file_is_named(planted, tmp_path, text):
    path = save_run(tmp_path, planted.run())
    path.write_text(text)
    with pytest.raises(ResultError, match="is no result of a run") as caught:
        load_runs(tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("key", "value"), [("metrics", {"AUROC": 1.0}), ("surprise", 1), ("metrics", None)])
def test_a_file_with_a_wrong_value_is_named(planted, tmp_path, key, value):
    path = save_run(tmp_path, planted.run())
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(ResultError, match="delete it and run again"):
        load_run(path)


def test_no_folder_and_an_empty_folder_are_said(tmp_path):
    with pytest.raises(ResultError, match="not a folder"):
        load_runs(tmp_path / "none")
    with pytest.raises(ResultError, match=r"no results \(\*\.json\)"):
        load_runs(tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metrics": None}, "a reason why"),
        ({"reason": "both"}, "a reason why"),
        ({"metrics": {"AUROC": 0.5}}, "expected the metrics"),
        ({"metrics": {"AUROC": 91.5, "AUPR": 0.8, "F1-max": 0.7}}, "a fraction"),
        ({"metrics": {"AUROC": float("nan"), "AUPR": 0.8, "F1-max": 0.7}}, "a fraction"),
        ({"good": 0}, "0 good"),
    ],
)
def test_a_run_that_says_nothing_or_too_much_is_refused(planted, changes, said):
    with pytest.raises(ValueError, match=said):
        planted.run(**changes)
