from __future__ import annotations

import numpy as np
import pytest
import torch

from wordsight.train import compositional
from wordsight.train.embed import embed_texts
from wordsight.train.encoders import Encoder, load_encoder
from wordsight.train.errors import SettingError


@pytest.fixture(scope="module")
def mini() -> Encoder:
    return load_encoder("mini")


@pytest.mark.parametrize(("templates", "counts", "distinct"), [(22, (154, 88), (154, 88)), (21, (147, 84), (140, 80))])
def test_the_number_of_prompts(templates: int, counts: tuple[int, int], distinct: tuple[int, int]):
    prompts = compositional.ensemble("bottle", templates)
    assert tuple(map(len, prompts)) == counts
    assert tuple(len(set(p)) for p in prompts) == distinct  # of the 21 one stands there twice
    assert all("bottle" in p and p.endswith(".") and "{" not in p for side in prompts for p in side)


def test_known_prompts_of_both_classes():
    normal, anomalous = compositional.ensemble("metal nut")
    assert "a jpeg corrupted photo of a metal nut without flaw." in normal
    assert "a photo of the flawless metal nut for visual inspection." in normal
    assert "a photo of a large damaged metal nut." in anomalous
    assert "a cropped photo of the metal nut with defect." in anomalous
    assert not set(normal) & set(anomalous)


def test_the_21_templates_lack_one_and_hold_another_twice():
    longer, shorter = compositional.ensemble("X", 22)[0], compositional.ensemble("X", 21)[0]
    lost = set(longer) - set(shorter)
    assert {text for text in lost if text.endswith(" a X.")} == {
        "a cropped photo of a X.",
        "a jpeg corrupted photo of a X.",
    }
    assert shorter.count("a jpeg corrupted photo of the X.") == 2


@pytest.mark.parametrize("name", ["", " ", "two\nlines", 3])
def test_a_name_that_is_none(name: object):
    with pytest.raises(SettingError, match="--object"):
        compositional.ensemble(name)  # type: ignore[arg-type]


def test_another_list_is_refused():
    with pytest.raises(SettingError, match="22 or 21"):
        compositional.ensemble("object", 20)


def test_braces_in_a_name_stay_braces():
    assert "a photo of a {0}." in compositional.ensemble("{0}")[0]


def test_the_two_means_against_numpy_where_lengths_differ():
    rows = np.array([[10.0, 0, 0], [0, 1, 0], [0, 0, 0.5]])

    def unit(x):
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    raw, each = unit(rows.mean(0)), unit(unit(rows).mean(0))
    assert abs(raw - each).max() > 0.3
    for name, expected in (("raw", raw), ("unit", each)):
        np.testing.assert_allclose(compositional.mean_of(torch.from_numpy(rows), name), expected, atol=1e-6)
    with pytest.raises(SettingError, match="raw or unit"):
        compositional.mean_of(torch.from_numpy(rows), "median")


def test_raw_embeddings_are_open_clips_own_at_the_full_context(mini: Encoder):
    prompts = compositional.ensemble("gear")[1][:9]
    with torch.inference_mode():
        expected = mini.model.encode_text(mini.tokenize(prompts))
    torch.testing.assert_close(
        compositional.raw_embeddings(mini, prompts, batch_size=4), expected, atol=1e-4, rtol=1e-4
    )
    norms = expected.norm(dim=-1)
    assert norms.max() - norms.min() > 1e-3  # not unit rows: the two means could not differ


def test_class_embeddings_of_the_unit_mean_against_the_layers_other_way_to_embed(mini: Encoder):
    got = compositional.class_embeddings(mini, "gear", mean="unit")
    for row, prompts in zip(got, compositional.ensemble("gear"), strict=True):
        mean = embed_texts(mini, prompts, progress=False).mean(0)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-5)
    assert (got[0] - got[1]).abs().max() > 1e-3


def test_a_name_longer_than_the_context(mini: Encoder):
    with pytest.raises(SettingError, match="shorter --object"):
        compositional.class_embeddings(mini, "very " * 80 + "long thing")
