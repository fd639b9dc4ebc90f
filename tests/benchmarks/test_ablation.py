"""`wordsight bench ablation`: leads and spreads by hand, heads by the file's own nodes, and the command, twice."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from wordsight.benchmarks import ablation as bench
from wordsight.benchmarks.ablation import Pictures, Row, Scores
from wordsight.benchmarks.building import train_and_export
from wordsight.benchmarks.cli import app
from wordsight.benchmarks.datasets import held_out
from wordsight.benchmarks.metrics import rank_auroc
from wordsight.benchmarks.select_cli import write_choice
from wordsight.benchmarks.selection import Configuration, Judged
from wordsight.runtime import Model
from wordsight.runtime.errors import SettingError, WordsightError
from wordsight.train.encoders import load_encoder
from wordsight.train.fit import Settings

BASE = Settings(num_pairs=20, widths=(8,))


pytestmark = pytest.mark.usefixtures("graphs_written_once")  # the command exports the same heads more than once


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("mini")


def pictures(count=200, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], count // 2)
    return Pictures(labels, rng.random(count), rng.standard_normal((count, 4)).astype(np.float32))


def test_the_lead_is_that_of_the_means_and_its_interval_is_paired():
    seen = pictures()
    rng = np.random.default_rng(1)
    default = seen.labels + rng.standard_normal((3, 200))
    ours = default + 0.02 * seen.labels  # hardly better, but on the very same pictures
    found = bench.lead([seen], [ours], [default])
    by_hand = np.mean([rank_auroc(seen.labels, a) - rank_auroc(seen.labels, b)
                       for a, b in zip(ours, default, strict=True)])  # fmt: skip
    assert found.value == pytest.approx(by_hand)
    assert 0 < found.low < found.value < found.high
    # Pictures drawn apart for the two would blur a lead as small as this one.
    alone = bench.resample(seen.labels, ours)["auroc"] - bench.resample(seen.labels, default, seed=9)["auroc"]
    assert found.high - found.low < 0.2 * np.subtract(*np.percentile(alone, [97.5, 2.5]))
    nothing = bench.lead([seen], [default], [default])
    assert (nothing.value, nothing.low, nothing.high) == (0, 0, 0)
    worse = bench.lead([seen], [default], [ours])
    assert worse.high < 0


def test_several_sets_count_the_same():
    sets = [pictures(40), pictures(400, seed=2)]
    scores = [np.stack([p.labels + 0.0]) for p in sets]
    scores[1] = 1 - scores[1]  # right on the one, wrong on the other
    assert bench.areas(sets, scores) == pytest.approx([0.5])


def test_the_spread_of_ensembles_is_that_of_their_mean_scores():
    seen = pictures()
    rng = np.random.default_rng(3)
    heads = 0.5 * seen.labels + rng.standard_normal((40, 200))
    found = bench.spread([seen], [heads], 10)
    by_hand = np.std([rank_auroc(seen.labels, heads[i : i + 10].mean(axis=0)) for i in (0, 10, 20, 30)], ddof=1)
    assert found.ensembles == pytest.approx(by_hand)
    assert found.singles == pytest.approx(np.std([rank_auroc(seen.labels, h) for h in heads], ddof=1))
    assert (found.draws, found.heads) == (4, 10)
    twins = np.repeat(heads[:4], 10, axis=0)  # an ensemble of one head ten times is that head
    assert bench.spread([seen], [twins], 10).ratio == pytest.approx(1, abs=0.2)
    with pytest.raises(WordsightError, match="at least 2 draws"):
        bench.spread([seen], [heads[:19]], 10)


def test_rank_correlation_sees_order_alone():
    rows = [Row(str(i), text, np.array([area]), np.array([-area]), 0, 0, None, None)
            for i, (text, area) in enumerate([(0.1, 0.5), (0.2, 0.6), (0.3, 0.99)])]  # fmt: skip
    assert bench.rank_correlation(rows) == pytest.approx(1)
    assert bench.rank_correlation(rows, "total") == pytest.approx(-1)


def test_the_heads_of_a_file_score_embeddings_as_the_whole_file_does(encoder, tmp_path):
    for centre in (False, True):
        settings = Settings(num_pairs=20, widths=(8,), centre=centre)
        path, _ = train_and_export(encoder, settings, [0, 1], tmp_path)
        data = held_out(20)
        seen, by_runtime = bench.see(path, data)
        with Model(path, backend="ort-cpu") as model:
            scores = model.score([sample.load() for sample in data.test])
        np.testing.assert_array_equal(by_runtime, scores.s_fnn_seeds.T)
        np.testing.assert_array_equal(seen.s_pr, scores.s_pr)
        by_heads = bench.head_scores(path, seen.embedding)
        np.testing.assert_allclose(by_heads, by_runtime, atol=1e-5)
        bench.check_agreement(by_runtime, by_heads)
        with pytest.raises(WordsightError, match="disagree"):
            bench.check_agreement(by_runtime, by_heads + 1e-3)


def test_a_row_folds_scores_not_areas():
    seen = pictures()
    rng = np.random.default_rng(4)
    s_fnn = rng.random((5, 200))
    found = bench.row("x", 0.9, [seen], Scores([s_fnn], [s_fnn + seen.s_pr]), None)
    assert found.folded_s_fnn == pytest.approx(rank_auroc(seen.labels, s_fnn.mean(axis=0)))
    assert found.folded_total == pytest.approx(rank_auroc(seen.labels, seen.s_pr + s_fnn.mean(axis=0)))
    assert found.lead_s_fnn is None


@pytest.fixture
def chosen(encoder, tmp_path):
    folder = tmp_path / "chosen"
    folder.mkdir()
    judged = []
    for name, changes, area in (("the paper's default", {}, 0.7), ("widths 8-4", {"widths": (8, 4)}, 0.6),
                                ("centre", {"centre": True}, 0.8)):  # fmt: skip
        from dataclasses import replace

        judged.append(Judged(Configuration(name, changes, replace(BASE, **changes)), np.full((3, 3), area)))
    write_choice(folder / "choice.json", encoder, BASE, 3, judged, judged[2])
    return folder


def test_the_command_scores_what_was_judged_and_goes_on(chosen, tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- ablation: begin -->\n<!-- ablation: end -->\n")
    arguments = ["ablation", "-o", str(chosen), "--seeds", "3", "--redraws", "2", "--pictures", "40",
                 "--json", str(tmp_path / "f.json"), "--into", str(page)]  # fmt: skip
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.exception
    document = (tmp_path / "f.json").read_text()
    figures = {f["name"]: f for f in json.loads(document)["figures"]}
    for name in ("the paper's default", "widths 8-4", "centre"):
        assert figures[f"auroc.s_fnn/{name}"]["n"] == 3
    assert figures["lead.s_fnn.chosen"] == {**figures["lead.s_fnn/centre"], "name": "lead.s_fnn.chosen"}
    lead = figures["auroc.s_fnn/centre"]["value"] - figures["auroc.s_fnn/the paper's default"]["value"]
    assert figures["lead.s_fnn/centre"]["value"] == pytest.approx(lead)
    assert figures["ratio.ensemble_std_over_single.s_fnn"]["n"] == 2
    assert figures["std.single.s_fnn"]["n"] == 6
    assert -1 <= figures["rank_correlation.text.s_fnn"]["value"] <= 1
    assert "| centre (chosen) |" in page.read_text()

    def never(*_, **__):
        raise AssertionError("everything is there already")

    monkeypatch.setattr("wordsight.train.fit.train_heads", never)
    monkeypatch.setattr("wordsight.export.onnx.export_model", never)
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 0, again.exception
    assert json.loads((tmp_path / "f.json").read_text())["figures"] == json.loads(document)["figures"]
    monkeypatch.undo()
    fewer = CliRunner().invoke(
        app, ["ablation", "-o", str(chosen), "--seeds", "4", "--redraws", "0", "--pictures", "40"]
    )
    assert fewer.exit_code == 0, fewer.exception  # the default has six heads by now: of each, four are looked at
    grown = CliRunner().invoke(app, [*arguments, "--redraws", "0"])
    assert grown.exit_code == 0, grown.exception
    again = {f["name"]: f for f in json.loads((tmp_path / "f.json").read_text())["figures"]}
    for name in ("auroc.s_fnn/the paper's default", "auroc.s_fnn/centre", "lead.sum/widths 8-4"):
        assert again[name]["value"] == pytest.approx(figures[name]["value"], abs=1e-9)


def test_no_picture_is_scored_before_a_choice_is_written(tmp_path, chosen):
    refused = CliRunner().invoke(app, ["ablation", "-o", str(tmp_path)])
    assert isinstance(refused.exception, SettingError)
    assert "choose on text first" in str(refused.exception)
    (chosen / "choice.json").write_text("{}")
    refused = CliRunner().invoke(app, ["ablation", "-o", str(chosen)])
    assert "is damaged" in str(refused.exception)
    refused = CliRunner().invoke(app, ["ablation", "-o", str(chosen), "--redraws", "1"])
    assert isinstance(refused.exception, SettingError)
    refused = CliRunner().invoke(app, ["ablation", "-o", str(chosen), "--encoder", "ViT-B-16:openai"])
    assert "for mini alone" in str(refused.exception)


def test_another_encoders_choice_is_refused(chosen):
    path = chosen / "choice.json"
    choice = json.loads(path.read_text())
    choice["encoder"]["sha256"] = "0" * 64
    path.write_text(json.dumps(choice))
    result = CliRunner().invoke(app, ["ablation", "-o", str(chosen), "--pictures", "40"])
    assert result.exit_code != 0
    assert not (chosen / "scores").exists()
