"""`wordsight bench select`: held-out texts that are held out, the rule by hand, and the command from nothing, twice."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from wordsight.benchmarks.cli import app
from wordsight.benchmarks.select_texts import SETS, Texts, held_out_texts, words
from wordsight.benchmarks.selection import Configuration, Judged, alone, choose, combination, judge, kept_heads
from wordsight.runtime.errors import SettingError
from wordsight.train.compositional import ensemble
from wordsight.train.encoders import load_encoder
from wordsight.train.fit import Settings, fit_head
from wordsight.train.mini.nouns import HELD_OUT
from wordsight.train.prompts import PromptPair
from wordsight.train.wordings import natural, states

BASE = Settings(num_pairs=20, widths=(8,))


def content(state):
    """The words of a state that say something."""
    return set(re.findall(r"\w+", state)) - {"a", "an", "with", "without", "in", "the", "it", "as", "that"}


def test_held_out_words_are_in_no_list_that_training_draws_from():
    learned = {word for side in states() for state in side for word in content(state)}
    asked = {word for kind in ("normal", "anomalous") for state in words(kind) for word in content(state)}
    assert not asked & learned
    assert not set(words("noun")) & {*natural().nouns, *natural().words}
    # The generator's held-out nouns judge pictures: no choice is made on them, not even by their names.
    assert not set(words("noun")) & {noun for noun, *_ in HELD_OUT}
    said = {text for of_set in held_out_texts(PromptPair()) for text in [*of_set.normal, *of_set.anomalous]}
    assert not said & {*natural().sentences, *(t for side in ensemble() for t in side)}


def test_every_set_has_texts_of_both_kinds_and_none_in_both():
    sets = held_out_texts(PromptPair("a", "a damaged"))
    assert tuple(one.name for one in sets) == SETS
    for one in sets:
        assert len(set(one.normal)) == len(one.normal) >= 50
        assert len(set(one.anomalous)) == len(one.anomalous) >= 50
        assert not set(one.normal) & set(one.anomalous)
        assert not any("{}" in text for text in [*one.normal, *one.anomalous])


def test_each_option_changes_what_its_name_says_and_nothing_else():
    first, *others = alone(BASE)
    assert first.settings == BASE
    assert len({one.name for one in others}) == len({one.file_name for one in others}) == len(others)
    for one in others:
        assert one.settings == replace(BASE, **one.changes) != BASE
    assert {"lr", "dropout", "widths", "num_pairs", "states", "natural", "counterfactual", "noise", "centre"} == {
        name for one in others for name in one.changes
    }


def judged(name, changes, *seeds):
    return Judged(Configuration(name, changes, replace(BASE, **changes)), np.array([seeds, seeds]))


def test_the_rule():
    default = judged("default", {}, 0.80, 0.82, 0.84)
    clear = judged("noise 0.3", {"noise": 0.3}, 0.83, 0.84, 0.88)  # leads by 0.03, standard error 0.0058
    better = judged("noise 1", {"noise": 1.0}, 0.84, 0.85, 0.89)
    unsure = judged("states", {"states": True}, 0.95, 0.72, 0.80)  # leads by 0.003, standard error 0.09
    other = judged("natural", {"natural": 0.5}, 0.81, 0.83, 0.85)
    worse = judged("centre", {"centre": True}, 0.7, 0.7, 0.7)
    assert clear.lead(default) == pytest.approx((0.03, np.std([0.03, 0.02, 0.04], ddof=1) / 3**0.5))
    assert choose([default, unsure, worse]) is default
    assert choose([default, clear, better, unsure]) is better
    assert combination([default, clear, better, unsure, worse]) is None  # one axis alone is no combination
    both = combination([default, clear, better, other, unsure, worse])
    assert both.changes == {"noise": 1.0, "natural": 0.5}
    assert both.settings == replace(BASE, noise=1.0, natural=0.5)


def test_heads_are_judged_by_their_logits_on_text_and_centred_ones_from_the_mean():
    rng = np.random.default_rng(0)
    direction = np.eye(6, dtype=np.float32)[0]
    normal, anomalous = (rng.standard_normal((60, 6)).astype(np.float32) + 2 * s * direction + 5 for s in (-1, 1))
    settings = replace(BASE, num_pairs=60, centre=True, epochs=20, lr=0.01)
    head = fit_head(normal, anomalous, settings, 0)
    rows = np.concatenate([normal[:10], anomalous[:15]])
    of = Texts("x", ["n"] * 10, ["a"] * 15)
    found = judge(Configuration("centre", {}, settings), [head], [of], [rows]).areas
    import torch

    logits = head.of_texts(torch.from_numpy(rows)).numpy()
    by_hand = np.mean(logits[10:, None] > logits[None, :10])
    assert found.shape == (1, 1)
    assert found[0, 0] == pytest.approx(by_hand)
    assert by_hand > 0.8


def test_kept_heads_are_read_grown_and_never_mistaken_for_others(tmp_path):
    encoder = load_encoder("mini")
    plain = Configuration("the paper's default", {}, BASE)
    two, path = kept_heads(encoder, plain, 2, tmp_path)
    before = path.read_bytes()
    again, _ = kept_heads(encoder, plain, 2, tmp_path)
    assert path.read_bytes() == before  # nothing was trained anew
    three, _ = kept_heads(encoder, plain, 3, tmp_path)
    whole, _ = kept_heads(encoder, Configuration("all at once", {}, BASE), 3, tmp_path)
    for heads in (two, again, three):
        for one, other in zip(heads, whole, strict=False):
            assert all((a == b).all() for a, b in zip(one.state_dict().values(), other.state_dict().values(),
                                                      strict=True))  # fmt: skip
    assert len(kept_heads(encoder, plain, 1, tmp_path)[0]) == 1
    with pytest.raises(SettingError, match="other settings"):
        kept_heads(encoder, replace(plain, settings=replace(BASE, lr=0.01)), 2, tmp_path)


def test_the_command_writes_a_choice_goes_on_and_fills_the_page(tmp_path, monkeypatch):
    import wordsight.benchmarks.selection as bench

    few = [one for one in alone(replace(BASE, num_pairs=20)) if one.name in ("the paper's default", "states")]
    monkeypatch.setattr(bench, "alone", lambda base: [replace(one, settings=replace(base, **one.changes))
                                                      for one in few])  # fmt: skip
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- select: begin -->\nold\n<!-- select: end -->\nafter\n")
    arguments = ["select", "-o", str(tmp_path / "out"), "--pairs", "20", "--seeds", "3",
                 "--json", str(tmp_path / "f.json"), "--into", str(page)]  # fmt: skip
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.exception
    choice = json.loads((tmp_path / "out" / "choice.json").read_text())
    assert [one["name"] for one in choice["configurations"]][:2] == ["the paper's default", "states"]
    assert choice["chosen"] in [one["name"] for one in choice["configurations"]]
    assert f"chosen: {choice['chosen']}" in result.output
    figures = {f["name"]: f for f in json.loads((tmp_path / "f.json").read_text())["figures"]}
    mean = np.mean([figures[f"text_auroc.{name}/states"]["value"] for name in SETS])
    assert figures["text_auroc.mean/states"]["value"] == pytest.approx(mean)
    text = page.read_text()
    assert re.fullmatch(r"before\n.*after\n", text, re.DOTALL)
    assert "old" not in text
    assert "| states |" in text

    def never(*_, **__):
        raise AssertionError("heads are there already")

    monkeypatch.setattr("wordsight.train.fit.train_heads", never)
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 0, again.exception
    assert json.loads((tmp_path / "out" / "choice.json").read_text()) == choice


def test_a_page_without_marks_is_refused_before_any_work(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("nothing here\n")
    result = CliRunner().invoke(app, ["select", "-o", str(tmp_path / "out"), "--into", str(page)])
    assert isinstance(result.exception, SettingError)
    assert page.read_text() == "nothing here\n"
