"""The fused text tower against open_clip's own forward."""

import copy

import open_clip
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from wordsight.train.fused_text import Prefixes, fuse_text
from wordsight.train.prompts import PromptPair, random_prompts

ARCHITECTURE = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


def made(**text):
    """A small model of open_clip's with other settings of its text tower, weights spread wide."""
    torch.manual_seed(0)
    model = open_clip.model.CLIP(**ARCHITECTURE | {"text_cfg": ARCHITECTURE["text_cfg"] | text}).eval()
    for parameter in model.parameters():
        parameter.data.add_(torch.randn_like(parameter), alpha=0.1)  # norms, scales and biases too
    return model


def tokens_of(count=40):
    normal, anomalous = random_prompts(PromptPair(), count // 2, seed=1)
    return open_clip.tokenize(sorted([*normal, *anomalous, "a", "a photo", "a photo of a"]))


def cut(tokens):
    return tokens[:, : int(tokens.argmax(dim=1).max()) + 1]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "text",
    [{}, {"ls_init_value": 0.5}, {"proj_bias": True}, {"act_kwargs": {"approximate": "tanh"}}, {"layers": 1}],
    ids=str,
)
def test_equals_the_towers_own_forward(text, packed):
    model, tokens = made(**text), tokens_of()
    with torch.inference_mode():
        expected = model.encode_text(tokens)
        found = fuse_text(model, packed=packed)(cut(tokens))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert (expected - expected.roll(1, 0)).abs().max() > 0.1  # a wrong row would show


def test_quick_gelu_is_kept():
    torch.manual_seed(0)
    model, tokens = open_clip.model.CLIP(**ARCHITECTURE, quick_gelu=True).eval(), tokens_of()
    with torch.inference_mode():
        torch.testing.assert_close(fuse_text(model, packed=True)(cut(tokens)), model.encode_text(tokens))


@pytest.mark.parametrize("packed", [False, True])
def test_bf16_is_as_near_as_autocast(packed):
    model, tokens = made(), tokens_of()
    with torch.inference_mode():
        exact = F.normalize(model.encode_text(tokens), dim=-1)
        with torch.autocast("cpu", torch.bfloat16):
            autocast = F.normalize(model.encode_text(tokens).float(), dim=-1)
        found = F.normalize(fuse_text(model, "bf16", packed)(cut(tokens)), dim=-1)
    off = (found - exact).abs().max()
    assert 1e-5 < off < 2 * (autocast - exact).abs().max()


def test_a_callers_autocast_changes_nothing():
    model, tokens = made(), tokens_of()
    fused = fuse_text(model)
    with torch.inference_mode():
        alone = fused(cut(tokens))
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(fused(cut(tokens)), alone)


@pytest.mark.parametrize("shuffled", [False, True])
def test_prefixes_hold_every_place_and_few_twice(shuffled):
    tokens = cut(tokens_of())
    if shuffled:
        tokens = tokens[torch.randperm(len(tokens), generator=torch.Generator().manual_seed(0))]
    prefixes, flat = Prefixes.of(tokens), tokens.flatten()
    seen = set()
    for row, end in zip(range(len(tokens)), prefixes.end.tolist(), strict=True):
        for at in range(end + 1):
            place = int(prefixes.place[prefixes.row[row, at]])
            first, column = divmod(place, tokens.shape[1])
            assert (column, int(flat[place])) == (at, int(tokens[row, at]))
            assert torch.equal(tokens[first, : at + 1], tokens[row, : at + 1])
            seen.add(tuple(tokens[row, : at + 1].tolist()))
    assert len(seen) <= len(prefixes.place) <= int((prefixes.end + 1).sum())
    assert shuffled or len(prefixes.place) == len(seen)  # sorted rows: every prefix once


def hooked(model):
    model.transformer.resblocks[0].register_forward_hook(lambda *_: None)


def half(model):
    model.transformer.half()


def both_ways(model):
    model.attn_mask = torch.zeros_like(model.attn_mask)


def own_block(model):
    block = model.transformer.resblocks[0]
    block.mlp = nn.Sequential(block.mlp, nn.Identity())


def subclassed(model):
    block = model.transformer.resblocks[1]
    block.__class__ = type("Block", (type(block),), {})


@pytest.mark.parametrize("change", [hooked, half, both_ways, own_block, subclassed])
def test_what_is_built_otherwise_is_left_to_its_own_forward(change):
    model = made()
    assert fuse_text(model) is not None
    changed = copy.deepcopy(model)
    change(changed)
    assert fuse_text(changed) is None


def test_other_pools_and_class_tokens_are_left_to_their_own_forward():
    assert fuse_text(made(pool_type="last")) is None
    assert fuse_text(made(embed_cls=True, pool_type="last")) is None
