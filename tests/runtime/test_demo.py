"""What ships in the package: `wordsight run --demo` needs no torch, no data and no network."""

import json

import pytest

from wordsight.runtime import Model
from wordsight.runtime.demo import demo_model, demo_pictures
from wordsight.runtime.golden import require_golden
from wordsight.runtime.pictures import read_picture


@pytest.fixture(scope="module")
def scored():
    pictures = demo_pictures()
    with Model(demo_model()) as model:
        return pictures, model.score([read_picture(path) for path in pictures]), model.manifest


def test_every_damaged_part_scores_above_every_good_one(scored):
    pictures, scores, _ = scored
    damaged = [score for path, score in zip(pictures, scores.score, strict=True) if "damaged" in path.stem]
    good = [score for path, score in zip(pictures, scores.score, strict=True) if "good" in path.stem]
    assert len(damaged) == len(good) == 4
    assert min(damaged) > max(good)


def test_the_file_says_what_it_is(scored):
    *_, manifest = scored
    about = json.loads(manifest.to_json())
    assert about["encoder"]["name"] == "mini"
    assert "not a product encoder" in about["encoder"]["note"]
    assert about["parity"]["status"] == "passed"
    assert about["cost"]["flops"] > 0


def test_a_line_may_start_on_it():
    with Model(demo_model()) as model:
        assert "of the manifest" in require_golden(model)
