"""The audit's area under the ROC curve beside scikit-learn's, ties included."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from wordsight.runtime.mutual import area_under_curve


def test_area_under_the_curve_is_that_of_scikit_learn():
    rng = np.random.default_rng(4)
    labels, scores = rng.integers(0, 2, 200), rng.integers(0, 30, 200) / 30
    assert area_under_curve(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
