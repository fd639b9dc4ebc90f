"""The control on synthetic embeddings: true labels are learned, shuffled ones are not."""

import numpy as np
import pytest

from wordsight.benchmarks import controls
from wordsight.benchmarks.metrics import over_heads
from wordsight.train.fit import Settings, fit_head


@pytest.fixture(scope="module")
def clouds():
    rng = np.random.default_rng(0)
    shift = rng.standard_normal(16) * 0.6
    normal, anomalous = (rng.standard_normal((400, 16)) + sign * shift for sign in (-1, 1))
    pictures = np.concatenate([rng.standard_normal((150, 16)) - shift, rng.standard_normal((150, 16)) + shift])
    return normal.astype(np.float32), anomalous.astype(np.float32), pictures.astype(np.float32), [0] * 150 + [1] * 150


def test_shuffled_labels_end_near_chance_and_true_ones_do_not(clouds):
    normal, anomalous, pictures, labels = clouds
    settings = Settings(num_pairs=400, widths=(16, 8, 4), lr=1e-2, lr_decay=1.0, batch_pairs=16)
    ticks = []
    heads = controls.shuffled_heads(normal, anomalous, settings, 24, lambda: ticks.append(1))
    control = over_heads(controls.head_aurocs(heads, pictures, labels))
    assert len(ticks) == control.n == 24
    # Single heads scatter widely along the one direction that matters here: hence the interval, not a fixed margin.
    assert control.low - 0.1 < 0.5 < control.high + 0.1
    true = fit_head(normal, anomalous, settings, 0)
    assert controls.head_aurocs([true], pictures, labels)[0] > 0.95
