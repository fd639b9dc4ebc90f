import importlib.util
import json
import pickle
import sys
import types
import urllib.error

import numpy as np
import open_clip
import pytest
import safetensors.torch
import torch
from safetensors.torch import load_file, save_file

from wordsight.train.clip import temperature_of, tokenizer_of
from wordsight.train.embed import embed_texts
from wordsight.train.encoders import load_encoder
from wordsight.train.errors import DeviceAbsent, EncoderError, SettingError, WeightsUnreachable
from wordsight.train.licences import licence_of, licence_of_file
from wordsight.train.prompts import PromptPair, random_prompts
from wordsight.train.text_tower import fits_short_contexts
from wordsight.train.weights import read_state, sources_of

TINY = "wordsight-tiny"


def test_a_local_checkpoint_gives_the_model_it_came_from(tiny, tiny_model, tiny_checkpoint):
    import hashlib

    assert (tiny.name, tiny.weights) == (TINY, str(tiny_checkpoint))
    assert tiny.spec == f"{TINY}:{tiny_checkpoint}"
    assert tiny.sha256 == hashlib.sha256(tiny_checkpoint.read_bytes()).hexdigest()
    assert (tiny.image_size, tiny.embed_dim) == (32, 24)
    assert tiny.mean == open_clip.OPENAI_DATASET_MEAN
    assert tiny.std == open_clip.OPENAI_DATASET_STD
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(tiny.model.encode_image(images), tiny_model.encode_image(images))


def test_wrapped_and_half_precision_checkpoints_of_torch_load(tiny_model, tmp_path):
    state = {f"module.{key}": value.half() for key, value in tiny_model.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "tiny.pt")
    loaded = load_encoder(f"{TINY}:{tmp_path / 'tiny.pt'}").model.state_dict()
    for key, value in tiny_model.state_dict().items():
        assert torch.equal(loaded[key], value.half().float())


def damaged(kind, good, folder):
    path = folder / "bad.safetensors"
    state = load_file(good)
    if kind == "pickle":
        path.write_bytes(pickle.dumps({"a": 1}))
    elif kind == "torch":
        torch.save(state, path)
    elif kind == "cut":
        path.write_bytes(good.read_bytes()[:-100])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "code":
        path = path.with_suffix(".pt")
        torch.save({"state_dict": state, "args": np.random.default_rng}, path)
    elif kind == "script":
        path = path.with_suffix(".pt")
        torch.jit.script(torch.nn.Linear(1, 1)).save(path)
    elif kind == "noise":
        path = path.with_suffix(".bin")
        path.write_bytes(b"noise" * 50)
    elif kind == "missing":
        del state["ln_final.bias"]
        save_file(state, path)
    elif kind == "unexpected":
        save_file({**state, "visual.extra": torch.zeros(1)}, path)
    elif kind == "shape":
        save_file({**state, "ln_final.bias": torch.zeros(5)}, path)
    return path


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("pickle", "is a pickle under the name of safetensors"),
        ("torch", "is a pickle under the name of safetensors"),
        ("cut", "not whole safetensors"),
        ("empty", "is empty"),
        ("code", "more than tensors"),
        ("script", "TorchScript"),
        ("noise", "more than tensors, or is no checkpoint|damaged"),
        ("absent", "there is no checkpoint"),
        ("missing", r"does not fit wordsight-tiny: ln_final.bias missing"),
        ("unexpected", r"visual.extra not of this model"),
        ("shape", r"ln_final.bias is \(5,\), expected \(32,\)"),
    ],
)
def test_a_checkpoint_that_cannot_be_used_is_refused_in_one_line(tiny_checkpoint, tmp_path, kind, says):
    path = damaged(kind, tiny_checkpoint, tmp_path)
    with pytest.raises(EncoderError, match=says) as caught:
        load_encoder(f"{TINY}:{path}")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("first", "second"), [(0x80, None), (ord("P"), ord("K"))])
def test_safetensors_whose_length_begins_as_a_pickle_does_are_read(tmp_path, first, second):
    """The first bytes are the length of the header: ViT-B-16-SigLIP2-256's is 0x8880."""
    path = tmp_path / "w.safetensors"
    for filling in range(25_000):
        content = safetensors.torch.save({"a": torch.ones(2)}, {"filling": "x" * filling})
        if content[0] == first and second in (None, content[1]):
            break
    path.write_bytes(content)
    assert (content[0], content[1] if second else None) == (first, second)
    assert torch.equal(read_state(path)["a"], torch.ones(2))


def test_nothing_in_a_pickle_runs(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    torch.save({"state_dict": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(EncoderError):
        read_state(tmp_path / "trap.pt")
    assert not (tmp_path / "sprung").exists()


def test_other_weights_than_expected_are_refused(tiny_checkpoint):
    with pytest.raises(EncoderError, match="expected SHA-256 0000"):
        load_encoder(f"{TINY}:{tiny_checkpoint}", expected_sha256="0" * 64)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("ViT-B16:openai", "did you mean ViT-B-16"),
        ("vit-b-32:openai", "did you mean ViT-B-32"),
        ("ViT-B-32:nope", "tags are openai, laion400m_e31"),
        ("ViT-B-32", "which weights"),
        ("ViT-B-32:/nowhere/w.pt", "there is no checkpoint /nowhere/w.pt"),
    ],
)
def test_unknown_names_lead_to_known_ones(spec, says):
    with pytest.raises(EncoderError, match=says):
        load_encoder(spec)


@pytest.fixture
def offline(monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *a, **k: None)


@pytest.mark.parametrize(
    ("spec", "file", "pass_as"),
    [
        ("ViT-B-16-plus-240:laion400m_e32", "vit_b_16_plus_240-laion400m_e32-699c4b84.pt", "ViT-B-16-plus-240:/"),
        ("ViT-B-16:laion2b_s34b_b88k", "laion/CLIP-ViT-B-16-laion2B-s34B-b88K", "ViT-B-16:/"),
        ("ViT-B-32:openai", "timm/vit_base_patch32_clip_224.openai", "ViT-B-32-quickgelu:/"),
    ],
)
def test_without_network_the_file_to_fetch_is_named(offline, spec, file, pass_as):
    with pytest.raises(WeightsUnreachable) as caught:
        load_encoder(spec)
    message = str(caught.value)
    assert file in message
    assert f"--encoder {pass_as}" in message
    assert len(message.splitlines()) <= 7
    assert caught.value.exit_code == 3


def test_a_repository_that_two_tags_share_is_not_trusted():
    shared = open_clip.get_pretrained_cfg("ViT-B-16-plus-240", "laion400m_e32")["hf_hub"]
    assert shared == open_clip.get_pretrained_cfg("ViT-B-16-plus-240", "laion400m_e31")["hf_hub"]
    url, hub = sources_of("ViT-B-16-plus-240", "laion400m_e32")
    assert "laion400m_e32" in url
    assert hub is None


def test_an_absent_device_is_exit_3():
    with pytest.raises(DeviceAbsent, match="--device cpu") as caught:
        load_encoder("mini", device="cuda:99")
    assert caught.value.exit_code == 3
    with pytest.raises(EncoderError, match="auto, cpu or cuda"):
        load_encoder("mini", device="tpu9")


def test_mini_says_what_it_is():
    mini = load_encoder("mini", device="auto")
    assert (mini.spec, mini.image_size, mini.embed_dim) == ("mini", 96, 128)
    assert "not a product encoder" in mini.note


def test_the_papers_architecture_loads_from_a_file(tmp_path):
    name = "ViT-B-16-plus-240"
    path = tmp_path / "random.safetensors"
    save_file(open_clip.create_model(name).state_dict(), path)
    encoder = load_encoder(f"{name}:{path}")
    assert (encoder.image_size, encoder.embed_dim) == (240, 640)
    prompts = ["a photo of a object", "x9k2f a photo of a damaged object"]
    with torch.inference_mode():
        whole = encoder.model.encode_text(encoder.tokenize(prompts), normalize=True).numpy()
    cosines = (embed_texts(encoder, prompts, progress=False) * whole).sum(axis=1)
    assert cosines.min() > 0.9999


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        ("ViT-B-16-plus-240", "MIT"),
        ("MobileCLIP2-S0", "Apple-AMLR (research only)"),
        ("MobileCLIP-S1", "Apple-AMLR (research only)"),
        ("ViT-B-16-SigLIP2", "Apache-2.0"),
        ("PE-Core-T-16-384", "Apache-2.0"),
        ("convnext_xxlarge", "MIT"),
    ],
)
def test_the_publishers_licence_is_named(name, licence):
    tag = open_clip.list_pretrained_tags_by_model(name)[0]
    config = open_clip.get_pretrained_cfg(name, tag)
    assert licence_of(tag, config) == licence
    assert licence_of_file(name, config) == (
        licence if config.get("url") else f"unknown: local checkpoint; published weights of {name}: {licence}"
    )


def test_of_weights_of_ones_own_no_licence_is_known(tiny):
    assert tiny.licence == "unknown: local checkpoint"


def test_the_temperature_is_the_papers_unless_a_sigmoid_trained_the_model(tiny, tiny_model):
    assert tiny.temperature == temperature_of(tiny_model) == 0.01  # whatever its own logit scale is
    sigmoid = open_clip.create_model(TINY, init_logit_bias=-10.0, init_logit_scale=np.log(112))
    assert temperature_of(sigmoid) == pytest.approx(1 / 112)
    for broken in (float("nan"), 200.0):
        sigmoid.logit_scale.data.fill_(broken)
        with pytest.raises(EncoderError, match="logit_scale is"):
            temperature_of(sigmoid)


@pytest.mark.parametrize("variant", [{"no_causal_mask": True}, {"no_causal_mask": True, "pool_type": "last"}])
def test_towers_that_read_the_padding_run_whole_even_where_weights_hardly_tell_texts_apart(variant):
    """As MobileCLIP2's and SigLIP2's: with such weights a trial alone would let them pass."""
    from open_clip.transformer import TextTransformer

    class TextOnly(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.text = TextTransformer(width=32, heads=2, layers=2, output_dim=24, **variant)
            for parameter in self.text.parameters():
                parameter.data.mul_(1e-3)
            self.text.text_projection.data.normal_()
            self.text.ln_final.bias.data.fill_(1)

        def encode_text(self, tokens):
            return self.text(tokens)

    torch.manual_seed(0)
    model = TextOnly().eval()
    tokens = open_clip.tokenize(["a photo of a object", "x9k2f a photo of a damaged object"])
    with torch.inference_mode():
        whole, cut = (torch.nn.functional.normalize(model.text(t), dim=-1) for t in (tokens, tokens[:, :12]))
        assert (whole * cut).sum(-1).min() > 0.9999  # so it would
        assert not fits_short_contexts(model, tokens)


@pytest.mark.parametrize("pad", [0, 1])
def test_a_prompt_that_may_have_been_cut_is_refused_by_siglips_layout(tiny, pad):
    """Words from 2 on, an end token 1, then the filling: 0 in SigLIP2, 1 again in SigLIP."""
    from dataclasses import replace

    def tokenize(texts):
        rows = [[*[2] * min(len(text.split()), 76), 1] for text in texts]
        return torch.tensor([row + [pad] * (77 - len(row)) for row in rows])

    tiny.model.attn_mask = torch.zeros_like(tiny.model.attn_mask)
    encoder = replace(tiny, tokenize=tokenize)
    with pytest.warns(UserWarning, match="does not allow short contexts"):
        embed_texts(encoder, ["a " * 75, "a"], progress=False)
    with pytest.raises(SettingError, match="1 of 2 prompts fill the encoder's whole context of 77"):
        embed_texts(encoder, ["a " * 90, "a"], progress=False)


def test_the_words_that_are_advised_fit_pe_cores_context_of_32():
    longest = max(int((open_clip.tokenize(prompts, context_length=77) != 0).sum(1).max())
                  for prompts in random_prompts(PromptPair(), 10_000, 0, 3, 5))  # fmt: skip
    assert longest == 30


def test_without_network_siglips_tokenizer_is_named(offline, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", types.ModuleType("transformers"))

    def absent(*args, **kwargs):
        raise OSError("no tokenizer here")

    monkeypatch.setattr("open_clip.get_tokenizer", absent)
    with pytest.raises(WeightsUnreachable) as caught:
        tokenizer_of("ViT-B-16-SigLIP2")
    message = str(caught.value)
    assert "Fetch tokenizer.json and tokenizer_config.json of timm/ViT-B-16-SigLIP2" in message
    assert "--encoder ViT-B-16-SigLIP2:/path/to/checkpoint" in message
    assert len(message.splitlines()) <= 7
    assert caught.value.exit_code == 3


def test_without_transformers_the_line_that_installs_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(WeightsUnreachable, match=r"pip install 'wordsight\[siglip\]'") as caught:
        tokenizer_of("ViT-B-16-SigLIP2")
    assert caught.value.exit_code == 3
    assert tokenizer_of("MobileCLIP2-S0")(["a"]).shape == (1, 77)  # CLIP's own needs nothing
    assert tokenizer_of("PE-Core-T-16-384")(["a"]).shape == (1, 32)


needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="needs: pip install 'wordsight[siglip]'"
)


@pytest.fixture
def tokenizer_folder(tmp_path):
    """A tokenizer as the hub keeps SigLIP2's: fast, lower-case words, `<eos>` 1 behind them, `<pad>` 0."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["<pad>", "<eos>", "<unk>", "a", "photo", "of", "object", "damaged"]
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    made.save(str(tmp_path / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "eos_token": "<eos>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    return tmp_path


@needs_transformers
def test_the_tokenizer_beside_a_checkpoint_is_taken(tokenizer_folder):
    tokenize = tokenizer_of("ViT-B-16-SigLIP2", tokenizer_folder / "open_clip_model.safetensors")
    tokens = tokenize(["A photo, of a DAMAGED object!"])  # SigLIP drops capitals and punctuation
    assert tokens.shape == (1, 64)
    assert tokens[0, :8].tolist() == [3, 4, 5, 3, 7, 6, 1, 0]


@needs_transformers
def test_a_damaged_tokenizer_is_one_line(tokenizer_folder):
    (tokenizer_folder / "tokenizer.json").write_text("{")
    with pytest.raises(EncoderError, match="is no tokenizer that can be read") as caught:
        tokenizer_of("ViT-B-16-SigLIP2", tokenizer_folder / "w.safetensors")
    assert len(str(caught.value).splitlines()) == 1
