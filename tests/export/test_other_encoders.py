"""MobileCLIP2, SigLIP2 and PE-Core the whole way: checkpoint, head, exported file, TensorRT's parser and builder.

The models are shrunken, their structure is the real one: timm's own classes with the arguments of the smallest real
member of each family but fewer and narrower layers, under the real names, so that everything open_clip says about
these (normalisation, resizing, publisher) takes part.
"""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import open_clip
import pytest
import timm
import torch
from open_clip import factory
from safetensors.torch import load_file, save_file
from timm.models.eva import Eva
from timm.models.fastvit import FastVit, RepConditionalPosEnc
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from wordsight.benchmarks.fold import random_checkpoint
from wordsight.export.attention import with_plain_attention
from wordsight.export.errors import ExportError
from wordsight.export.fused import FusedDetector
from wordsight.export.graph import build_graph
from wordsight.export.onnx import export_model
from wordsight.export.parity import parity_frames
from wordsight.export.timm_towers import merge_branches
from wordsight.runtime.manifest import read_manifest
from wordsight.train import encoders
from wordsight.train.checkpoint import save_heads
from wordsight.train.fit import Settings, train_heads

SIZE, WIDTH = 64, 48


def wordsight_fastvit(pretrained: bool = False, num_classes: int = 0, global_pool: str = "avg", **_: object) -> FastVit:
    """MobileCLIP2-S0's `fastvit_mci0`: RepMixer stages, squeeze and excite, attention behind a position encoding."""
    return FastVit(
        layers=(1, 1, 1, 1),
        embed_dims=(16, 32, 64, 128),
        mlp_ratios=(3, 3, 3, 3),
        se_downsamples=(False, False, True, True),
        pos_embs=(None, None, None, partial(RepConditionalPosEnc, spatial_shape=(7, 7))),
        token_mixers=("repmixer", "repmixer", "repmixer", "attention"),
        lkc_use_act=True,
        num_classes=num_classes,
        global_pool=global_pool,
    )


def wordsight_siglip(
    pretrained: bool = False, num_classes: int = 0, global_pool: str = "map", **_: object
) -> nn.Module:
    """SigLIP2's `vit_base_patch32_siglip_256`: no class token, read out by an attention pool."""
    return VisionTransformer(
        img_size=SIZE, patch_size=16, embed_dim=WIDTH, depth=2, num_heads=4, class_token=False,
        act_layer="gelu_tanh", num_classes=num_classes, global_pool=global_pool,
    )  # fmt: skip


def wordsight_pe(pretrained: bool = False, num_classes: int = 0, global_pool: str = "map", **_: object) -> Eva:
    """PE-Core's `vit_pe_core_tiny_patch16_384`: rotary positions, a norm before the blocks, an attention pool."""
    return Eva(
        img_size=SIZE, patch_size=16, embed_dim=WIDTH, depth=2, num_heads=3, attn_type="rope",
        use_pre_transformer_norm=True, use_rot_pos_emb=True, ref_feat_shape=(4, 4), rope_grid_offset=1.0,
        rope_grid_indexing="xy", attn_pool_num_heads=4, attn_pool_mlp_ratio=4.0,
        norm_layer=partial(nn.LayerNorm, eps=1e-5), num_classes=num_classes, global_pool=global_pool,
    )  # fmt: skip


MOBILE, SIGLIP, PE = "MobileCLIP2-S0", "ViT-B-16-SigLIP2", "PE-Core-T-16-384"
TOWERS = {MOBILE: wordsight_fastvit, SIGLIP: wordsight_siglip, PE: wordsight_pe}
for entry in TOWERS.values():
    timm.models.register_model(entry)


@pytest.fixture(scope="module")
def shrunken():
    """The three names with shrunken towers; everything else that open_clip knows of them stays."""
    with pytest.MonkeyPatch.context() as patch:
        for name, tower in TOWERS.items():
            config = copy.deepcopy(factory._MODEL_CONFIGS[name])
            config["embed_dim"] = WIDTH
            config["vision_cfg"] |= {"image_size": SIZE, "timm_model_name": tower.__name__}
            config["text_cfg"] |= {"width": 32, "heads": 2, "layers": 2, "vocab_size": 49408}
            patch.setitem(factory._MODEL_CONFIGS, name, config)
        # SigLIP's tokenizer lies on the hub: CLIP's stands in for it, at SigLIP's context of 64.
        tokenizer_of = encoders.tokenizer_of
        clip = partial(open_clip.tokenize, context_length=64)
        patch.setattr(encoders, "tokenizer_of", lambda name, path: clip if name == SIGLIP else tokenizer_of(name, path))
        yield


def liven(model: nn.Module) -> None:
    """Weights as if trained: fresh ones hide faults behind norms that change nothing, and hardly see the picture."""
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, std=0.8 * module.weight[0].numel() ** -0.5)
    for name, parameter in model.named_parameters():
        if "gamma" in name or "layer_scale" in name:
            nn.init.uniform_(parameter, 0.3, 1)
        elif parameter.ndim == 1 and "attn_pool" not in name:
            parameter.data += 0.2 * torch.randn_like(parameter)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)


@dataclass
class Shipped:
    """One family taken the whole way."""

    name: str
    encoder: encoders.Encoder
    path: Path


@pytest.fixture(scope="module", params=list(TOWERS))
def shipped(request, shrunken, tmp_path_factory) -> Shipped:
    name, folder = request.param, tmp_path_factory.mktemp("family")
    spec = random_checkpoint(name, folder)
    weights = load_file(spec.partition(":")[2])
    model = factory.create_model(name)
    model.load_state_dict(weights)
    liven(model)
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, spec.partition(":")[2])

    encoder = encoders.load_encoder(spec)
    settings = Settings(num_pairs=4, batch_pairs=2, min_length=3, max_length=5)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not allow short contexts")
        save_heads(folder / "h", train_heads(encoder, settings, range(2), progress=False), settings, range(2), encoder)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*short contexts")  # of two prompts there is nothing to warn of
        assert export_model(folder / "h", folder / "model.onnx", seeds_output=True)
    return Shipped(name, encoder, folder / "model.onnx")


def test_the_file_agrees_with_torch_and_says_how_to_feed_it(shipped):
    manifest = read_manifest(shipped.path)
    assert manifest.parity.status == "passed"
    assert max(manifest.parity.max.values()) <= 1e-5
    tag = open_clip.list_pretrained_tags_by_model(shipped.name)[0]
    known = open_clip.get_pretrained_cfg(shipped.name, tag)
    assert (manifest.input.mean, manifest.input.std) == (known["mean"], known["std"])
    assert manifest.input.fit == {"shortest": "crop", "squash": "squash"}[known["resize_mode"]]
    assert ("trained on bilinear" in manifest.encoder.note) == (known["interpolation"] == "bilinear")
    assert {MOBILE: "Apple-AMLR (research only)"}.get(shipped.name, "Apache-2.0") in manifest.encoder.licence
    assert manifest.score.temperature == pytest.approx(0.07 if shipped.name == SIGLIP else 0.01)


def test_embeddings_tell_frames_apart(shipped):
    """Or parity would have compared constants."""
    frames = parity_frames(SIZE)
    session = ort.InferenceSession(shipped.path, providers=["CPUExecutionProvider"])
    unit = session.run(["embedding"], {"frames": frames})[0]
    assert (unit @ unit.T).min() < 0.99
    with torch.inference_mode():
        rgb = torch.from_numpy(frames[..., ::-1].copy()).permute(0, 3, 1, 2) / 255
        mean, std = (torch.tensor(x)[:, None, None] for x in (shipped.encoder.mean, shipped.encoder.std))
        wanted = shipped.encoder.model.encode_image((rgb - mean) / std, normalize=True)
    np.testing.assert_allclose(unit, wanted, atol=1e-5)


@pytest.mark.tensorrt
def test_parser_and_builder_take_the_file(shipped, build_engine):
    manifest = read_manifest(shipped.path)
    assert build_engine(shipped.path.read_bytes(), manifest.input.shape, tuple(manifest.outputs)) is not None


def test_attention_is_the_plain_chain_with_the_scale_before_the_first_product(shipped):
    """MatMul, Softmax, MatMul, which engines fuse, and no numbers gathered one by one."""
    graph = onnx.load(shipped.path).graph
    kinds = Counter(node.op_type for node in graph.node)
    made = {name: node for node in graph.node for name in node.output}
    softmaxes = [node for node in graph.node if node.op_type == "Softmax"]
    assert len(softmaxes) == {MOBILE: 1, SIGLIP: 3, PE: 3}[shipped.name]
    assert all(made[node.input[0]].op_type == "MatMul" for node in softmaxes)
    assert not kinds.keys() & {"Range", "Einsum", "Resize", "If", "Loop"}


def test_the_count_is_the_sum_over_layers_by_hand(shipped):
    """Parameters and operations, against hooks on torch's own modules plus attention's two products."""
    total = 0

    def count(module: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal total
        total += 2 * output.numel() * module.weight[0].numel()

    twin = merge_branches(with_plain_attention(shipped.encoder.model.visual))
    hooks = [m.register_forward_hook(count) for m in twin.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    with torch.inference_mode():
        twin(torch.zeros(1, 3, SIZE, SIZE))
    for hook in hooks:
        hook.remove()
    # Tokens x tokens x width, twice, two operations each; the attention pool asks with one token.
    patches = (SIZE // 16) ** 2
    tokens = patches + (shipped.name == PE)  # PE has a class token
    total += 0 if shipped.name == MOBILE else 4 * WIDTH * (2 * tokens * tokens + tokens)
    if shipped.name == MOBILE:
        total += 4 * 128 * (SIZE // 32) ** 4
    manifest = read_manifest(shipped.path)
    head = 2 * 2 * (WIDTH * 512 + 512 * 256 + 256 * 128 + 128) + 2 * WIDTH  # two seeds, and the prompts' direction
    assert manifest.cost.flops == pytest.approx(total + head, rel=1e-3)
    assert manifest.cost.bytes == 4 * manifest.cost.parameters
    own = sum(parameter.numel() for parameter in twin.parameters())
    assert manifest.cost.parameters == pytest.approx(own + head / 2, rel=0.03)


def test_what_these_towers_lack_is_one_line(shipped, heads):
    guiding = torch.randn(2, WIDTH)
    for option in ("patches_output", "heatmap"):
        with pytest.raises(ExportError) as caught:
            FusedDetector(shipped.encoder, heads(WIDTH, 1), guiding, **{option: True})
        assert len(str(caught.value).splitlines()) == 1


@pytest.fixture(scope="module")
def mobile(shrunken):
    torch.manual_seed(0)
    model = factory.create_model(MOBILE).eval()
    liven(model)
    return model.requires_grad_(False).visual.double()  # rounding aside, merging is exact


def test_merged_branches_compute_the_same_for_less(mobile):
    state = {key: value.clone() for key, value in mobile.state_dict().items()}
    branched, merged = with_plain_attention(mobile), merge_branches(with_plain_attention(mobile))
    images = torch.randn(3, 3, SIZE, SIZE, dtype=torch.float64)
    with torch.inference_mode():
        wanted = mobile(images)
        assert wanted.std(dim=0).min() > 1e-3  # pictures are told apart
        torch.testing.assert_close(branched(images), wanted, atol=1e-9, rtol=1e-9)
        torch.testing.assert_close(merged(images), wanted, atol=1e-9, rtol=1e-9)
    for kind, share in ((nn.Conv2d, 0.8), (nn.BatchNorm2d, 0.2)):
        count = [sum(isinstance(module, kind) for module in tower.modules()) for tower in (branched, merged)]
        assert count[1] < share * count[0]
    assert mobile.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[key]) for key, value in mobile.state_dict().items())


def test_a_branch_left_out_would_be_seen(mobile):
    merged = merge_branches(with_plain_attention(mobile))
    images = torch.randn(3, 3, SIZE, SIZE, dtype=torch.float64)
    first = next(m for m in merged.modules() if isinstance(m, nn.Conv2d))
    first.weight = nn.Parameter(first.weight * 0.9, requires_grad=False)
    with torch.inference_mode():
        assert (merged(images) - mobile(images)).abs().max() > 1e-3


def test_s_pr_of_a_sigmoid_model_is_what_its_own_probabilities_say(shrunken, tmp_path, heads):
    """Of two sentences of which one holds: by open_clip's own logits, with a trained scale and bias."""
    torch.manual_seed(0)
    model = factory.create_model(SIGLIP).eval()
    liven(model)
    model.logit_scale.data.fill_(4.7)  # SigLIP2's trained scale and bias are near these
    model.logit_bias.data.fill_(-16.5)
    path = tmp_path / "siglip.safetensors"
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
    encoder = encoders.load_encoder(f"{SIGLIP}:{path}")
    assert encoder.temperature == pytest.approx(np.exp(-4.7))

    frames = parity_frames(SIZE)
    images = (torch.from_numpy(frames[..., ::-1].copy()).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    tokens = encoder.tokenize(["a photo of a object", "a photo of a damaged object"])
    with torch.inference_mode():
        logits, _ = encoder.model.double().get_logits(images.double(), tokens)
        normal, anomalous = torch.sigmoid(logits).unbind(dim=1)
        one_holds = anomalous * (1 - normal) / (anomalous * (1 - normal) + normal * (1 - anomalous))
        encoder.model.float()
        guiding = encoder.model.encode_text(tokens)
    detector = FusedDetector(encoder, heads(WIDTH, 1), guiding, temperature=encoder.temperature)
    graph = build_graph(detector).SerializeToString()
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    s_pr = session.run(["s_pr"], {"frames": frames})[0]
    np.testing.assert_allclose(s_pr, one_holds, atol=1e-5)
    assert np.ptp(s_pr) > 1e-3  # the scores differ from frame to frame ...
    wrong = torch.sigmoid((torch.logit(one_holds)) * encoder.temperature / 0.05)
    assert (wrong - one_holds).abs().max() > 1e-3  # ... and another temperature would be seen
