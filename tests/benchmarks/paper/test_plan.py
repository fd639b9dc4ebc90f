"""What fills a cell: classes, words and N_p."""

from collections import Counter

import pytest

from wordsight.benchmarks.paper.figures import load
from wordsight.benchmarks.paper.plan import all_settings, settings_of, sweep_settings
from wordsight.benchmarks.paper.wordpairs import NUM_PAIRS_SWEEP, pair_of, row_of, word_pairs


def _cell(*key):
    return next(cell for cell in load() if cell.key == key)


def test_a_class_is_one_setting_and_a_mean_one_a_class():
    one = settings_of(_cell(5, "Metal nut", "0-shot known object", "CLIP + ours", "AUROC"))
    assert [(s.dataset, s.category, s.normal, s.anomalous, s.num_pairs) for s in one] == [
        ("MVTec-AD", "Metal nut", "a", "a damaged", 10_000)
    ]
    many = settings_of(_cell(1, "MVTec-AD", "0-shot known object", "CLIP + ours", "AUROC"))
    assert len(many) == 15
    assert one[0] in many
    assert len(settings_of(_cell(1, "VisA", "1-shot", "CLIP + ours", "AUPR"))) == 12
    assert [s.category for s in settings_of(_cell(4, "SewerML", "0-shot", "Ours", "AUROC"))] == [""]


def test_methods_without_a_head_have_no_pairs_and_winclip_has_its_own_words():
    clip = settings_of(_cell(4, "SewerML", "0-shot", "CLIP", "AUROC"))[0]
    assert (clip.normal, clip.num_pairs) == ("a", None)
    winclip = settings_of(_cell(5, "Pill", "4-shot", "WinCLIP", "AUROC"))[0]
    assert (winclip.normal, winclip.anomalous, winclip.num_pairs) == (None, None, None)


def test_systems_that_are_not_held_here_need_nothing():
    assert {c.method for c in load() if not settings_of(c)} == {"SPADE", "PaDiM", "PatchCore", "RegAD"}


def test_table_3_takes_its_own_words():
    rows = dict.fromkeys(cell.row for cell in load() if cell.table == 3)
    assert list(rows) == [row_of(pair) for pair in word_pairs()]
    setting = settings_of(_cell(3, "a good / a broken", "0-shot unknown object", "CLIP", "AUROC"))[0]
    assert (setting.normal, setting.anomalous) == ("a good", "a broken")
    assert pair_of("an / a damaged").guiding() == ("a photo of an object", "a photo of a damaged object")
    with pytest.raises(ValueError, match="no row 'a / a damaged'"):
        pair_of("a / a damaged")


def test_the_sweep_shares_its_best_point_with_table_1():
    table = set(settings_of(_cell(1, "MVTec-AD", "0-shot unknown object", "CLIP + ours", "AUROC")))
    assert set(sweep_settings(10_000)) == table
    assert not table & set(sweep_settings(1_000))


def test_every_setting_is_planned_once():
    planned = list(all_settings())
    assert max(Counter(planned).values()) == 1
    needed = {setting for cell in load() for setting in settings_of(cell)}
    needed |= {setting for n in NUM_PAIRS_SWEEP for setting in sweep_settings(n)}
    assert set(planned) == needed
