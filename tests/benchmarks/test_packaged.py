"""The packaged demo must be of the encoder and of the generator that are packaged beside it."""

import numpy as np

from wordsight.benchmarks.packaged import NOUNS, write_pictures
from wordsight.runtime import Model
from wordsight.runtime.demo import demo_model, demo_pictures
from wordsight.runtime.pictures import read_picture
from wordsight.train import mini
from wordsight.train.files import sha256_of


def test_the_model_was_exported_from_the_packaged_weights():
    with Model(demo_model()) as model:
        assert model.manifest.encoder.sha256 == sha256_of(mini.WEIGHTS), "make packaged-demo"


def test_the_pictures_are_the_generators(tmp_path):
    drawn = sorted(write_pictures(tmp_path))
    assert len(drawn) == 2 * len(NOUNS)
    assert [path.name for path in drawn] == [path.name for path in demo_pictures()]
    for ours, packaged in zip(drawn, demo_pictures(), strict=True):
        # Another OpenCV may round a pixel otherwise.
        difference = np.abs(read_picture(ours).astype(int) - read_picture(packaged))
        assert difference.mean() < 0.1, "make packaged-demo"
