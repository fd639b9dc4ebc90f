"""`wordsight audit` on drawn pictures with a real exported file: the damaged ones are odd, more often than not."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from wordsight.export.onnx import export_model
from wordsight.runtime import Model
from wordsight.runtime.audit import audit
from wordsight.runtime.audit_cli import _figures
from wordsight.runtime.sources import open_source
from wordsight.train.checkpoint import save_heads
from wordsight.train.encoders import load_encoder
from wordsight.train.fit import Settings, train_heads
from wordsight.train.mini import training_nouns


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    encoder, settings = load_encoder("mini"), Settings(num_pairs=40)
    save_heads(folder / "h", train_heads(encoder, settings, [0], progress=False), settings, [0], encoder)
    export_model(folder / "h", folder / "m.onnx", encoder_spec="mini", patches_output=True)
    for number, shown in enumerate(training_nouns(60, seed=11)):
        place = folder / "parts" / ("bad" if shown.label else "good") / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place), shown.image)
    with Model(folder / "m.onnx") as model:
        return audit(model, [open_source(folder / "parts")], folder)


def test_damaged_parts_are_odder_than_good_ones(found):
    labels = np.array([Path(picture.source).parent.name == "bad" for picture in found.pictures])
    assert 20 < labels.sum() < 40
    area = roc_auc_score(labels, found.mutual)
    assert area > 0.6
    figures = {figure.name: figure for figure in _figures(found, labels=True)}
    assert figures["auroc.mutual"].value == pytest.approx(area)
    assert figures["auroc.sum"].value == pytest.approx(roc_auc_score(labels, found.score))
    json.dumps([figure.as_json() for figure in figures.values()], allow_nan=False)


def test_its_patches_are_a_grid(found):
    assert found.patches == 144
    assert found.heat.shape == (60, 12, 12)
    assert found.heat_kind == "mutual"
    np.testing.assert_array_equal(found.heat.max(axis=(1, 2)), found.mutual_own)
