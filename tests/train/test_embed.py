from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from wordsight.train.cache import cache_key, load_embeddings, store_embeddings
from wordsight.train.embed import embed_texts
from wordsight.train.errors import EncoderError, SettingError
from wordsight.train.fused_text import FusedText
from wordsight.train.prompts import PromptPair, random_prompts
from wordsight.train.text_tower import fits_short_contexts


@pytest.fixture
def prompts():
    normal, anomalous = random_prompts(PromptPair(), 30, seed=0)
    return ["a", *normal, *anomalous, "a photo of a damaged object"]


def whole_context(encoder, prompts):
    with torch.inference_mode():
        return F.normalize(encoder.model.encode_text(encoder.tokenize(prompts)).float(), dim=-1).numpy()


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_buckets_agree_with_the_whole_context_in_the_prompts_order(tiny, prompts, batch_size):
    found = embed_texts(tiny, prompts, batch_size=batch_size, progress=False)
    expected = whole_context(tiny, prompts)
    assert np.abs(expected - expected[::-1]).max() > 0.1  # a wrong order would show
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.dtype == np.float32


def test_no_batch_runs_longer_than_its_longest_prompt(tiny, prompts, monkeypatch):
    contexts = []

    def watched(self, tokens, call=FusedText.__call__):
        contexts.append(tokens.shape[1])
        return call(self, tokens)

    monkeypatch.setattr(FusedText, "__call__", watched)
    embed_texts(tiny, prompts, batch_size=8, progress=False)
    lengths = np.sort([int(row.argmax()) + 1 for row in tiny.tokenize(prompts)])
    sample = lengths[[0, len(lengths) // 2, -1]].tolist()  # held against the tower's own forward beforehand
    assert contexts == sample + [lengths[start : start + 8].max() for start in range(0, len(lengths), 8)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_fused_tower_that_disagrees_is_told_and_not_used(tiny, prompts, precision, monkeypatch):
    monkeypatch.setattr(FusedText, "__call__", lambda self, tokens: torch.ones(len(tokens), 24))
    with pytest.warns(UserWarning, match="disagrees with the model's own forward"):
        found = embed_texts(tiny, prompts, precision=precision, progress=False)
    assert (found * whole_context(tiny, prompts)).sum(axis=1).min() > 0.99


def test_bf16_in_buckets_is_as_near_as_autocast_at_the_whole_context(tiny, prompts):
    # The tiny tower's blown-up weights are hard on bf16 itself, so it is held against how far autocast is off.
    found = embed_texts(tiny, prompts, precision="bf16", progress=False)
    exact = whole_context(tiny, prompts)
    with torch.autocast("cpu", torch.bfloat16):
        expected = whole_context(tiny, prompts)
    assert 1e-4 < np.abs(found - exact).max() < 2 * np.abs(expected - exact).max()
    assert (found * exact).sum(axis=1).min() > 0.99


def test_bf16_keeps_the_directions_of_trained_weights(prompts):
    from wordsight.train.encoders import load_encoder

    mini = load_encoder("mini")
    bf16 = embed_texts(mini, prompts, precision="bf16", progress=False)
    assert (bf16 * whole_context(mini, prompts)).sum(axis=1).min() > 0.9999


def test_mini_allows_short_contexts(prompts):
    from wordsight.train.encoders import load_encoder

    mini = load_encoder("mini")
    assert fits_short_contexts(mini.model, mini.tokenize(prompts))
    np.testing.assert_allclose(embed_texts(mini, prompts, progress=False), whole_context(mini, prompts), atol=1e-5)


def test_a_tower_that_looks_both_ways_runs_whole_and_says_so(tiny, prompts):
    tiny.model.attn_mask = torch.zeros_like(tiny.model.attn_mask)
    with pytest.warns(UserWarning, match="does not allow short contexts"):
        found = embed_texts(tiny, prompts, progress=False)
    np.testing.assert_allclose(found, whole_context(tiny, prompts), atol=1e-5)


def test_a_prompt_that_may_have_been_cut_is_refused(tiny):
    with pytest.raises(SettingError, match=r"1 of 2 prompts fill .* 77 tokens"):
        embed_texts(tiny, ["short", "x1y2z3 " * 40], progress=False)


@pytest.mark.filterwarnings("ignore:the text tower")
def test_broken_weights_are_reported(tiny):
    with torch.no_grad():
        tiny.model.ln_final.weight.fill_(float("nan"))
    with pytest.raises(EncoderError, match="not finite"):
        embed_texts(tiny, ["a", "b"], progress=False)


@pytest.mark.parametrize("wrong", [{"precision": "fp8"}, {"batch_size": 0}])
def test_settings_out_of_range_are_refused(tiny, wrong):
    with pytest.raises(SettingError, match="got"):
        embed_texts(tiny, ["a"], **wrong)


def test_kept_embeddings_are_used_and_belong_to_one_encoder_and_list(tiny, prompts, tmp_path, monkeypatch):
    first = embed_texts(tiny, prompts, progress=False, cache=tmp_path)
    other_weights = replace(tiny, sha256="0" * 64)
    monkeypatch.setattr(tiny.model, "encode_text", None)  # computing anything fails from here on
    np.testing.assert_array_equal(embed_texts(tiny, prompts, progress=False, cache=tmp_path), first)
    for encoder, texts, precision in (
        (other_weights, prompts, "fp32"),
        (tiny, prompts[::-1], "fp32"),
        (tiny, prompts, "bf16"),
    ):
        with pytest.raises(TypeError):
            embed_texts(encoder, texts, precision=precision, progress=False, cache=tmp_path)


@pytest.mark.parametrize("fault", ["flip", "cut", "empty"])
def test_a_damaged_entry_is_computed_again_with_a_notice(tiny, prompts, tmp_path, fault):
    first = embed_texts(tiny, prompts, progress=False, cache=tmp_path)
    (entry,) = tmp_path.iterdir()
    content = bytearray(entry.read_bytes())
    content[-5] ^= 1
    entry.write_bytes({"flip": content, "cut": content[:-9], "empty": b""}[fault])
    with pytest.warns(UserWarning, match="damaged"):
        again = embed_texts(tiny, prompts, progress=False, cache=tmp_path)
    np.testing.assert_array_equal(again, first)
    key = cache_key(tiny.name, tiny.sha256, "fp32", prompts)
    np.testing.assert_array_equal(load_embeddings(tmp_path, key, *first.shape), first)


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="cannot be kept"):
        store_embeddings(tmp_path / "file", "key", np.zeros((1, 2), np.float32))


def test_the_oldest_entries_go_when_the_cache_is_full(tmp_path, monkeypatch):
    import os

    monkeypatch.setattr("wordsight.train.cache._LIMIT_BYTES", 500)
    for age, key in ((300, "old"), (200, "middle")):
        store_embeddings(tmp_path, key, np.zeros((1, 16), np.float32))
        when = (tmp_path / f"{key}.safetensors").stat().st_mtime - age
        os.utime(tmp_path / f"{key}.safetensors", (when, when))
    store_embeddings(tmp_path, "new", np.zeros((1, 16), np.float32))
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["middle", "new"]
