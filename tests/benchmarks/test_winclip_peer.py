"""The comparison's own machinery, without the peer: what it would miss, and what it says when the peer fails."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from wordsight.benchmarks import metrics, peer_metrics, winclip_peer
from wordsight.benchmarks.peer_process import Peer
from wordsight.runtime.errors import MissingPart, WordsightError
from wordsight.runtime.figures import Figure


def test_the_cases_hold_ties_and_both_classes():
    cases = peer_metrics.metric_cases()
    distinct = [len(np.unique(scores)) for _, scores in cases]
    assert min(distinct) == 1
    assert max(distinct) == 200
    for labels, scores in cases:
        assert set(labels.tolist()) == {0, 1}
        assert scores.dtype == np.float32
        assert 0 <= scores.min() <= scores.max() <= 1  # beyond that torchmetrics would take them for logits


def rows_of_scikit_learn(cases):
    rows = []
    for labels, scores in cases:
        precision, recall, _ = precision_recall_curve(labels, scores)
        f1 = max(2 * p * r / (p + r) if p + r else 0 for p, r in zip(precision, recall, strict=True))
        area, mean = roc_auc_score(labels, scores), average_precision_score(labels, scores)
        rows.append({"x.auroc": area, "x.aupr": mean, "x.f1_max": f1})
    return rows


def test_a_peer_that_agrees_and_one_that_is_off_in_one_figure():
    cases = peer_metrics.metric_cases()
    rows = rows_of_scikit_learn(cases)
    assert peer_metrics.metric_difference(rows, cases) < 1e-12
    rows[2]["x.aupr"] += 1e-3
    assert peer_metrics.metric_difference(rows, cases) == pytest.approx(1e-3)


def test_a_peer_that_breaks_ties_by_order_is_noticed():
    cases = peer_metrics.metric_cases()
    rows = rows_of_scikit_learn(cases)
    labels, scores = cases[1]
    order = np.lexsort((labels, scores))  # ties in favour of the defective
    ranks = np.empty(len(order))
    ranks[order] = np.arange(len(order))
    rows[1]["x.auroc"] = metrics.auroc(labels, ranks)
    assert peer_metrics.metric_difference(rows, cases) > 0.01


def figures(**changes: float) -> list[Figure]:
    values = {name: limit / 2 for name, limit in winclip_peer.LIMITS.items()}
    values["difference.winclip.map.22_templates"] = 1e-2
    return [Figure(name, value) for name, value in {**values, **changes}.items()]


def test_limits_and_the_control():
    assert winclip_peer.failures(figures()) == []
    (over,) = winclip_peer.failures(figures(**{"difference.winclip.map": 2e-4}))
    assert "difference.winclip.map is 0.0002, limit 0.0001" in over
    (blind,) = winclip_peer.failures(figures(**{"difference.winclip.map.22_templates": 1e-6}))
    assert "sees nothing" in blind


def test_a_file_that_is_timed_must_agree_too():
    (over,) = winclip_peer.failures(figures(**{"difference.winclip.map.fp32": 2e-4}))
    assert "difference.winclip.map.fp32 is 0.0002" in over


def seconds_of_rounds(**changes: list[float]) -> dict[str, list[float]]:
    seconds = {"anomalib": [6.0, 9.0, 6.0], "int8": [1.0, 3.0, 2.0], "bf16": [2.0, 2.0, 2.0], "fp32": [3.0, 3.0, 3.0]}
    return {**seconds, "torch_fp32": [6.0, 6.0, 6.0], **changes}


def test_a_ratio_for_each_precision_and_the_best_of_them():
    figures = {figure.name: figure for figure in winclip_peer.window_ratios(seconds_of_rounds())}
    values = {name: figure.value for name, figure in figures.items() if name.startswith("ratio.")}
    name = "ratio.window_pass_vs_anomalib"
    # round by round: int8 6, 3, 3; bf16 3, 4.5, 3; fp32 2, 3, 2; torch in fp32 1, 1.5, 1
    assert values == {name: 3, f"{name}.int8": 3, f"{name}.bf16": 3, f"{name}.fp32": 2, f"{name}.torch_fp32": 1}
    assert (figures[f"{name}.bf16"].low, figures[f"{name}.bf16"].high) == (3, 4.5)
    assert figures["seconds.window_pass.anomalib"].value == 6
    assert set(values) <= set(winclip_peer.MEANING)


@pytest.mark.parametrize(("fast", "expected"), [("int8", 12), ("bf16", 12), ("fp32", 12), ("torch_fp32", 3)])
def test_the_best_is_whichever_is_best_and_never_the_control(fast: str, expected: float):
    figures = {
        figure.name: figure for figure in winclip_peer.window_ratios(seconds_of_rounds(**{fast: [0.5, 0.5, 0.5]}))
    }
    best = figures["ratio.window_pass_vs_anomalib"]
    assert best.value == expected
    assert (best.low, best.high) == ((12, 18) if expected == 12 else (3, 6))


def test_without_the_environment_it_says_what_makes_it(tmp_path: Path):
    with pytest.raises(MissingPart, match="make peers"):
        Peer(tmp_path / "bin" / "python", tmp_path, 1)


@pytest.mark.skipif(os.name == "nt", reason="a script stands in for Python")
def test_a_peer_that_dies_is_an_error_with_its_last_word(tmp_path: Path):
    stand_in = tmp_path / "python"
    stand_in.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no module named anomalib')\n")
    stand_in.chmod(0o755)
    peer = Peer(stand_in, tmp_path, 1)
    with pytest.raises(WordsightError, match="ended at 'scores': no module named anomalib"):
        peer.ask("scores")
    peer.close()


def test_the_peers_side_imports_nothing_of_ours():
    source = Path(winclip_peer.__file__).with_name("peers_anomalib.py").read_text(encoding="utf-8")
    assert "import wordsight" not in source
    assert "from wordsight" not in source


def test_shapes_that_differ_are_an_error_and_not_broadcast():
    with pytest.raises(WordsightError, match="shape"):
        winclip_peer._largest(np.zeros((2, 1)), np.zeros((2, 3)))
