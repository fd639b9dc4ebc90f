"""What `bench paper --cost` counts, against counts worked out by hand, and the command on mini."""

import json
from dataclasses import replace

import pytest
import typer
from typer.testing import CliRunner

from wordsight.benchmarks.paper import cost
from wordsight.benchmarks.paper.cli import paper
from wordsight.benchmarks.paper.cost import Line, Units
from wordsight.benchmarks.paper.figures import CLIP, KNOWN, SINGLE_CROP, SUM, UNKNOWN, WINCLIP
from wordsight.benchmarks.paper.jobs import jobs, shots_of
from wordsight.benchmarks.paper.plan import Setting, all_settings

MULTI = "full+2x2@0.7"
app = typer.Typer()
app.command()(paper)


def settings(**changes):
    one = Setting("SewerML", "", UNKNOWN, SUM, "a", "a damaged", 1000)
    return [replace(one, **changes)]


def test_one_setting_costs_its_words_one_file_and_its_pictures():
    counts = cost.count(3, settings())
    assert (counts.prompts, counts.fitted_pairs) == (2 * 3 * 1000, 3 * 1000)
    assert dict(counts.exports) == {MULTI: 1}
    assert dict(counts.pictures) == {(MULTI, "SewerML"): 130_046}
    assert counts.comparisons == 0


def test_settings_of_one_file_share_it():
    one, two = cost.count(3, settings()), cost.count(3, settings() + settings(setup=KNOWN) + settings(method=CLIP))
    assert (two.prompts, two.pictures, two.passes) == (one.prompts, one.pictures, one.passes)
    other = cost.count(3, settings() + settings(anomalous="a broken"))
    assert other.prompts == 2 * one.prompts
    assert other.pictures == {key: 2 * n for key, n in one.pictures.items()}
    assert (
        cost.count(3, settings() + settings(setup=SINGLE_CROP)).prompts == one.prompts
    )  # another file, the same heads


def test_good_pictures_are_scored_where_references_are_taken_and_nowhere_else():
    few = settings(dataset="MVTec-AD", category="Bottle")
    assert cost.count(3, few).pictures == {(MULTI, "MVTec-AD"): round(1725 / 15)}
    few = settings(dataset="MVTec-AD", category="Bottle", setup="4-shot")
    assert cost.count(3, few).pictures == {(MULTI, "MVTec-AD"): round((1725 + 3629) / 15)}
    winclip = settings(dataset="MVTec-AD", category="Bottle", setup="4-shot", method=WINCLIP, normal=None,
                       anomalous=None, num_pairs=None)  # fmt: skip
    counts = cost.count(1, winclip)
    assert dict(counts.exports) == {MULTI: 1, "single": 1}
    # One draw of 1, of 2 and of 4 among 242 pictures: close to seven distinct ones.
    assert counts.pictures["single", "MVTec-AD"] == pytest.approx((1725 + 3629) / 15 + 7, abs=1)
    assert counts.comparisons == pytest.approx(7 * 1725 / 15, rel=0.02)


def test_all_of_the_paper_is_counted_from_the_plan():
    counts = cost.count(10)
    recipes = {(s.normal or "a", s.anomalous or "a damaged", s.num_pairs or 10_000) for s in all_settings()}
    assert len(recipes) == 22  # Table 3 has 16 pairs of words besides the default, which Figure 4 takes with 6 N_p
    assert counts.fitted_pairs == 10 * sum(size for _, _, size in recipes)
    assert counts.exports[MULTI] == len(recipes)
    # Every file of these sees all of MVTec AD.
    assert counts.pictures[MULTI, "MVTec-AD"] == len(recipes) * 1725 + 3629
    assert counts.pictures[MULTI, "SewerML"] == 130_046
    assert counts.passes < counts.settings


def test_jobs_hold_every_setting_once():
    every = list(all_settings())
    found = [setting for job in jobs(every) for setting in job.settings]
    assert sorted(map(str, found)) == sorted(map(str, every))
    for job in jobs(every):
        assert all((s.setup == SINGLE_CROP) == (job.crops == "single") for s in job.settings)
        taken = [place for place, of_class in job.by_place() for s in of_class if shots_of(s)]
        assert set(taken) <= job.referenced


def test_hours_are_units_times_counts():
    units = Units(0.5, 0.001, {MULTI: 60.0}, {MULTI: 2.0}, None, {MULTI: 1000}, 640)
    found = {line.stage: line for line in cost.lines(units, cost.count(3, settings()))}
    assert found["text embeddings"].hours == pytest.approx(0.5 * 6000 / 3600)
    assert found[f"SewerML, {MULTI}"].hours == pytest.approx(2 * 130_046 / 3600)
    assert "association" not in found
    assert Line("x", 7200.0, 3, "files").hours == 6


def test_the_command_on_mini_prints_and_writes_every_stage(tmp_path):
    target = tmp_path / "cost.json"
    result = CliRunner().invoke(app, ["--cost", "--encoder", "mini", "--seeds", "2", "--json", str(target)])
    assert result.exit_code == 0, result.output
    assert "without Sewer-ML" in result.output
    figures = {figure["name"]: figure["value"] for figure in json.loads(target.read_text())["figures"]}
    stages = [name.partition("/")[2] for name in figures if name.startswith("seconds/")]
    assert {"text embeddings", "heads", f"MVTec-AD, {MULTI}", f"VisA, {MULTI}"} <= set(stages)
    total = sum(figures[f"seconds/{s}"] * figures[f"count/{s}"] for s in stages) / 3600
    assert figures["hours/total"] == pytest.approx(total)
    assert min(figures[f"seconds/{s}"] for s in stages) > 0


def test_without_a_folder_the_tables_are_refused_and_cost_takes_no_data(tmp_path):
    from wordsight.runtime.errors import SettingError

    assert isinstance(CliRunner().invoke(app, []).exception, SettingError)
    assert isinstance(CliRunner().invoke(app, ["--cost", "--data", str(tmp_path)]).exception, SettingError)
