"""Patches in the space of texts, and the heat map that is read from them, beside torch's own attention and by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from open_clip.timm_model import TimmModel

from wordsight.export import heatmap as heatmap_module
from wordsight.export.attention import with_plain_attention
from wordsight.export.errors import ExportError
from wordsight.export.fused import FusedDetector
from wordsight.export.heatmap import VALUE_BLOCKS, text_tokens
from wordsight.export.parity import parity_frames
from wordsight.export.plain import reference_outputs
from wordsight.export.plain_heatmap import patches_in_text_space
from wordsight.runtime import Model
from wordsight.runtime.cli import main
from wordsight.runtime.manifest import read_manifest
from wordsight.train.checkpoint import load_heads


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("layers", [2, 8])
@pytest.mark.parametrize("variant", [{}, {"pool_type": "avg"}, {"ls_init_value": 0.5}])
@pytest.mark.parametrize("patches_too", [True, False])
def test_value_value_attention_is_torchs_own_with_one_projection(
    vit_tower, images, layers: int, variant, patches_too: bool
):
    tower = vit_tower(layers, **variant)
    tokens = text_tokens(with_plain_attention(tower), patches=patches_too)
    embedding, *patches, heat = tokens(images)
    torch.testing.assert_close(heat.reshape(3, 4, 4, 24), patches_in_text_space(tower, images), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(embedding, tower(images), atol=1e-5, rtol=1e-5)
    last = tower.forward_intermediates(images, indices=1, normalize_intermediates=True, output_fmt="NLC")
    projected = last["image_intermediates"][-1] @ tower.proj
    if patches_too:
        torch.testing.assert_close(patches[0], projected, atol=1e-5, rtol=1e-5)
    assert (heat - projected).abs().max() > 0.1
    assert (tokens.grid, tokens.blocks) == ((4, 4), min(layers, VALUE_BLOCKS))


def test_one_block_by_hand(vit_tower, images):
    """Head by head: x + W_o softmax(V V^T / sqrt(d)) V, then norm and projection."""
    tower = vit_tower(1)
    _, heat = text_tokens(with_plain_attention(tower))(images)
    block = tower.transformer.resblocks[0]
    x = tower._embeds(images)[:, 1:]
    v = block.ln_1(x) @ block.attn.in_proj_weight[96:].T + block.attn.in_proj_bias[96:]
    mixed = [torch.softmax(h @ h.transpose(1, 2) / 12**0.5, dim=-1) @ h for h in v.split(12, dim=-1)]
    by_hand = tower.ln_post(x + block.attn.out_proj(torch.cat(mixed, dim=-1))) @ tower.proj
    torch.testing.assert_close(heat, by_hand, atol=1e-5, rtol=1e-5)


def test_a_resnets_embedding_is_a_mean_of_its_places(resnet_tower):
    tower = resnet_tower()
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    tokens = text_tokens(with_plain_attention(tower))
    embedding, heat = tokens(images)
    torch.testing.assert_close(heat.reshape(2, 3, 3, 24), patches_in_text_space(tower, images), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(embedding, tower(images), atol=1e-5, rtol=1e-5)

    pool = tower.attnpool
    pool.q_proj.weight.zero_()
    pool.q_proj.bias.zero_()  # every place weighs the same now, as does the mean, which the pool puts before them
    embedding, heat = tokens(images)
    grid = tower.forward_intermediates(images, indices=1)["image_intermediates"][-1]
    mean = pool.c_proj(pool.v_proj(grid.mean(dim=(2, 3)) + pool.positional_embedding[0]))
    torch.testing.assert_close((mean + heat.sum(dim=1)) / 10, embedding, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "variant",
    [
        {"attentional_pool": True},
        {"final_ln_after_pool": True},
        {"pool_type": "none"},
        {"qk_norm": True, "block_type": "custom"},
    ],
)
def test_vision_transformers_without_such_patches_are_refused(vit_tower, variant: dict[str, object]):
    with pytest.raises(ExportError, match="leave --heatmap out"):
        text_tokens(with_plain_attention(vit_tower(1, **variant)))


def test_other_towers_are_refused_by_name(resnet_tower):
    with pytest.raises(ExportError, match="TimmModel: leave --heatmap out") as caught:
        text_tokens(with_plain_attention(TimmModel("vit_tiny_patch16_224", embed_dim=24)))
    assert "\n" not in str(caught.value)
    with pytest.raises(ExportError, match="leave --patches out"):
        text_tokens(resnet_tower(), patches=True)


@pytest.fixture(scope="module")
def plain_file(mini_file: Callable[..., Path]) -> Path:
    return mini_file(objects=("screw", "metal nut"), patches_output=True)


@pytest.fixture(scope="module")
def file(mini_file: Callable[..., Path]) -> Path:
    return mini_file(objects=("screw", "metal nut"), patches_output=True, heatmap=True)


def test_a_files_map_is_both_scores_of_every_cell(file: Path, plain_file: Path):
    frames = parity_frames(96)
    with Model(file) as model, Model(plain_file) as without:
        got, usual = model.score(frames), without.score(frames)
    assert got.heatmap is not None
    assert (got.heatmap.shape, got.heatmap.dtype) == ((8, 12, 12), np.float32)
    assert usual.heatmap is None
    for name in ("score", "s_pr", "s_fnn", "embedding", "s_fnn_seeds", "s_pr_objects", "patches"):
        np.testing.assert_allclose(getattr(got, name), getattr(usual, name), atol=1e-6, err_msg=name)

    manifest = read_manifest(file)
    prompts = [manifest.prompts.guiding_normal, manifest.prompts.guiding_anomalous]
    from wordsight.train.encoders import load_encoder

    encoder = load_encoder("mini")
    heads = load_heads(file.with_suffix(".safetensors")).heads
    with torch.inference_mode():
        texts = encoder.model.encode_text(encoder.tokenize(prompts))
        texts = F.normalize(texts, dim=-1)
        cells = torch.from_numpy(got.patches)  # (8, 144, 128), unit: mini's patches are its grid
        s_pr = (100 * cells @ texts.T).softmax(dim=-1)[..., 1]
        s_fnn = torch.stack([head.eval()(cells.reshape(-1, 128)).sigmoid() for head in heads]).mean(dim=0)
    by_hand = 0.5 * s_pr + 2.0 * s_fnn.reshape(8, 144)  # the weights that the file was exported with
    np.testing.assert_allclose(got.heatmap.reshape(8, 144), by_hand.numpy(), atol=2e-5)
    assert np.ptp(got.heatmap[4]) > 0.1


def test_the_map_goes_from_left_to_right_and_down(file: Path):
    frame = np.full((96, 96, 3), 120, np.uint8)
    marked = frame.copy()
    marked[24:32, 64:72] = 0  # row 3, column 8 of 12 x 12 cells of 8 pixels
    with Model(file) as model:
        before, after = model.score([frame, marked]).heatmap
    change = np.abs(after - before)
    assert np.unravel_index(change.argmax(), change.shape) == pytest.approx((3, 8), abs=1)


def test_the_manifest_names_the_way(file: Path, plain_file: Path):
    manifest = read_manifest(file)
    assert manifest.outputs["heatmap"] == ("N", 12, 12)
    assert (manifest.heatmap.way, manifest.heatmap.blocks) == ("grid", 0)
    assert 0 < manifest.parity.max["heatmap"] <= 1e-5
    assert manifest.from_json(manifest.to_json()) == manifest
    assert read_manifest(plain_file).heatmap.way == ""


@pytest.fixture
def parts(small_encoder, heads):
    return small_encoder, heads(24, 10), torch.randn(2, 24, generator=torch.Generator().manual_seed(2))


def maps(parts, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The fused module's map and the plain reading's."""
    fused = FusedDetector(*parts, w_pr=0.5, w_fnn=2.0, heatmap=True)
    plain = reference_outputs(*parts, frames, w_pr=0.5, w_fnn=2.0, heatmap=True)["heatmap"]
    with torch.inference_mode():
        outputs = dict(zip(fused.output_names, fused(torch.from_numpy(frames)), strict=True))
    return outputs["heatmap"].numpy(), plain


def test_the_plain_reading_agrees_and_notices_what_is_off(parts, monkeypatch: pytest.MonkeyPatch):
    frames = parity_frames(parts[0].image_size)
    fused, plain = maps(parts, frames)
    assert plain.shape == (8, *((4, 4) if parts[0].name == "vit" else (3, 3)))
    np.testing.assert_allclose(fused, plain, atol=1e-5)
    assert np.abs(fused.transpose(0, 2, 1) - plain).max() > 1e-4  # columns first would be noticed
    if parts[0].name == "vit":
        monkeypatch.setattr(heatmap_module, "VALUE_BLOCKS", 5)
        assert np.abs(maps(parts, frames)[0] - plain).max() > 1e-4  # as would another number of blocks


def test_it_changes_no_other_output(parts):
    frames = torch.from_numpy(parity_frames(parts[0].image_size))
    more = [{"patches_output": True}, {"winclip": torch.eye(24)[None, :2]}] if parts[0].name == "vit" else []
    for options in [{}, *more]:
        found = []
        for heatmap in (False, True):
            fused = FusedDetector(*parts, seeds_output=True, heatmap=heatmap, **options)
            with torch.inference_mode():
                found.append(dict(zip(fused.output_names, fused(frames), strict=True)))
        usual, got = found
        assert got.keys() - usual.keys() == {"heatmap"}
        for name, value in usual.items():
            torch.testing.assert_close(got[name], value, atol=1e-5, rtol=0)


def command(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


@pytest.mark.parametrize("words", [["--crops", "full+2x2@0.7"], ["--fit", "tiles", "--frame", "192x108"]])
def test_a_heat_map_of_several_squares_is_refused(plain_file: Path, tmp_path: Path, capfd, words: list[str]):
    head = plain_file.with_suffix(".safetensors")
    assert command("export", head, "-o", tmp_path / "m.onnx", "--heatmap", *words) == 2
    told = capfd.readouterr().err
    assert "--heatmap is of the one square" in told
    assert len(told.splitlines()) <= 2
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_it_and_info_tells_of_it(plain_file: Path, tmp_path: Path, capfd):
    out = tmp_path / "m.onnx"
    assert command("export", plain_file.with_suffix(".safetensors"), "-o", out, "--heatmap") == 0
    assert "heatmap" in capfd.readouterr().out
    assert command("info", out) == 0
    assert "heatmap [N, 12, 12]" in " ".join(capfd.readouterr().out.split())
