"""Bad input to `wordsight train` and `wordsight export`: a short message, the right exit code, and nothing is lost.

The command line runs as it does for a user, `main` and all, but in this process: starting torch takes seconds.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import resource
import shutil
import socket
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from wordsight.runtime.cli import main

NAME = "bad-input-vit"
FEW = ("--pairs", "8", "--widths", "8,4", "--no-cache")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An open_clip model with random weights, small enough to train on and export within seconds."""
    folder = tmp_path_factory.mktemp("checkpoint")
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    (folder / f"{NAME}.json").write_text(json.dumps(config), encoding="utf-8")
    open_clip.add_model_config(folder / f"{NAME}.json")
    torch.manual_seed(0)
    save_file(open_clip.create_model(NAME).state_dict(), folder / "weights.safetensors")
    return folder / "weights.safetensors"


@pytest.fixture(scope="module")
def trained(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("head") / "head.safetensors"
    with pytest.raises(SystemExit) as end:
        main(["train", "--encoder", f"{NAME}:{checkpoint}", *FEW, "-o", str(path)])
    assert end.value.code == 0
    return path


@pytest.fixture
def head(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(trained, tmp_path / "head.safetensors"))


@contextlib.contextmanager
def full_disk(most_bytes: int) -> Iterator[None]:
    """No file may grow beyond this: the system itself fails the write, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("kind", ["pickle", "misfit", "cut", "absent"])
def test_train_on_a_checkpoint_that_cannot_be_used(refused, checkpoint: Path, tmp_path: Path, kind: str):
    path = tmp_path / "weights.safetensors"
    if kind == "pickle":
        path.write_bytes(pickle.dumps({"a": 1}))
    elif kind == "misfit":
        state = load_file(checkpoint)
        save_file({key: value for key, value in state.items() if key != "ln_final.bias"}, path)
    elif kind == "cut":
        path.write_bytes(checkpoint.read_bytes()[:-100])
    said = refused(2, "train", "--encoder", f"{NAME}:{path}", *FEW, "-o", tmp_path / "out.safetensors")
    assert {
        "pickle": "is a pickle under the name of safetensors",
        "misfit": f"does not fit {NAME}: ln_final.bias missing",
        "cut": "not whole safetensors",
        "absent": "there is no checkpoint",
    }[kind] in said


SPECS = {
    "ViT-B-16-plus-240:laion400m_e32": "vit_b_16_plus_240-laion400m_e32-699c4b84.pt",
    "ViT-B-16:laion2b_s34b_b88k": "open_clip_model.safetensors",
}


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *a, **k: None)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("why", ["HF_HUB_OFFLINE", "unreachable"])
def test_train_without_network_names_the_file_and_how_to_pass_it(
    refused, no_weights, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spec: str, why: str
):
    asked = []

    def unreachable(request, **_):
        asked.append(request.full_url)
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    if why == "HF_HUB_OFFLINE":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    said = refused(3, "train", "--encoder", spec, *FEW, "-o", tmp_path / "out.safetensors")
    assert f"--encoder {spec.partition(':')[0]}:/path/to/{SPECS[spec]}" in said
    assert said.count(SPECS[spec]) >= 2  # which to fetch, and how to pass it
    assert "HF_HUB_OFFLINE is set" in said if why == "HF_HUB_OFFLINE" else "not known" in said
    assert bool(asked) == (why == "unreachable")


@pytest.mark.parametrize("spec", SPECS)
def test_train_does_not_wait_long_for_a_network_that_never_answers(
    refused, no_weights, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spec: str
):
    from wordsight.train import weights

    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and says nothing
        place = f"http://127.0.0.1:{silent.getsockname()[1]}"
        honest = weights.urllib.request.Request
        monkeypatch.setattr("urllib.request.Request", lambda url, **kw: honest(f"{place}/file", **kw))
        monkeypatch.setattr(weights, "_TIMEOUT_S", 300.0)
        monkeypatch.setattr(weights, "_DEADLINE_S", 0.3)
        start = time.monotonic()
        said = refused(3, "train", "--encoder", spec, *FEW, "-o", tmp_path / "out.safetensors")
    assert time.monotonic() - start < 300
    assert "no answer within 0.3 s" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--pairs", "0"], "--pairs must be at least 1, got 0"),
        (["--min-length", "9", "--max-length", "3"], "--min-length must not exceed --max-length"),
        (["--seeds", "0"], "--seeds must be at least 1"),
        (["--dropout", "1"], "--dropout must be at least 0 and below 1"),
        (["--lr", "nan"], "--lr must lie between 0 and 1"),
        (["--epochs", "0"], "--epochs must be at least 1"),
        (["--widths", "8,"], "--widths takes numbers"),
        (["--normal", "A damaged"], "must differ"),
        (["--pairs", "many"], "--pairs"),
        (["--device", "tpu9"], "--device takes auto, cpu or cuda"),
    ],
)
def test_train_with_settings_out_of_range(refused, checkpoint: Path, tmp_path: Path, words: list[str], says: str):
    said = refused(2, "train", "--encoder", f"{NAME}:{checkpoint}", "-o", tmp_path / "out.safetensors", *words)
    assert says in said


@pytest.mark.parametrize("older", [False, True])
def test_train_onto_a_full_disk_leaves_what_was_there(refused, checkpoint: Path, tmp_path: Path, older: bool):
    out = tmp_path / "out.safetensors"
    if older:
        out.write_bytes(b"the head of yesterday")
    with full_disk(1000):
        said = refused(2, "train", "--encoder", f"{NAME}:{checkpoint}", *FEW, "-o", out)
    assert f"{out}: file too large" in said  # what the system says of a file over its limit; ENOSPC goes the same way


@pytest.mark.parametrize("words", [("train", "--encoder"), ("export",)])
def test_an_interrupt_while_writing_leaves_what_was_there(
    refused, checkpoint: Path, head: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
):
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    out.write_bytes(b"the file of yesterday")
    monkeypatch.setattr("os.fsync", interrupt)
    subject = (f"{NAME}:{checkpoint}", *FEW) if words[0] == "train" else (head,)
    assert "interrupted" in refused(130, *words, *subject, "-o", out)


@pytest.mark.parametrize("command", ["train", "export"])
@pytest.mark.parametrize("option", ["-o", "--json"])
@pytest.mark.parametrize("wrong", ["folder", "no/such/file"])
def test_outputs_that_cannot_be(refused, checkpoint: Path, head: Path, tmp_path: Path, command, option, wrong):
    (tmp_path / "folder").mkdir()
    subject = ("--encoder", f"{NAME}:{checkpoint}", *FEW) if command == "train" else (head,)
    outputs = {"-o": tmp_path / "out", option: tmp_path / wrong}
    assert "folder" in refused(2, command, *subject, *(word for pair in outputs.items() for word in pair))


@pytest.mark.parametrize("kind", ["pickle", "cut", "empty", "absent", "foreign", "newer"])
def test_export_of_what_is_no_head(refused, head: Path, tmp_path: Path, kind: str):
    if kind == "pickle":
        head.write_bytes(pickle.dumps({"a": 1}))
    elif kind == "cut":
        head.write_bytes(head.read_bytes()[:-10])
    elif kind == "empty":
        head.write_bytes(b"")
    elif kind == "absent":
        head.unlink()
    else:
        save_file({"a": torch.zeros(1)}, head, {"wordsight": '{"schema": 99}'} if kind == "newer" else None)
    said = refused(2, "export", head, "-o", tmp_path / "out.onnx")
    assert {
        "pickle": "is a pickle, not a head file",
        "cut": "cut short",
        "empty": "is empty",
        "absent": "there is no head file",
        "foreign": "no head of Wordsight",
        "newer": "newer Wordsight",
    }[kind] in said


@pytest.mark.parametrize("kind", ["another encoder", "other weights", "weights gone"])
def test_export_with_what_the_head_was_not_trained_for(refused, checkpoint: Path, tmp_path: Path, head: Path, kind):
    spec = "mini"
    if kind == "other weights":
        save_file({key: value + 1 for key, value in load_file(checkpoint).items()}, tmp_path / "other.safetensors")
        spec = f"{NAME}:{tmp_path / 'other.safetensors'}"
    elif kind == "weights gone":
        spec = f"{NAME}:{tmp_path / 'gone.safetensors'}"
    said = refused(2, "export", head, "--encoder", spec, "-o", tmp_path / "out.onnx")
    assert {
        "another encoder": f"trained for the encoder {NAME}, got mini",
        "other weights": "other weights",
        "weights gone": "there is no checkpoint",
    }[kind] in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--fit", "stretch"], "--fit"),
        (["--precision", "int3"], "is not one of 'fp32', 'fp16', 'bf16', 'int8', 'fp8'"),
        (["--opset", "17"], "--opset takes 18 to 20"),
        (["--weights", "0", "0"], "not both 0"),
        (["--weights", "nan", "1"], "--weights takes two numbers"),
        (["--device", "tpu9"], "--device takes auto, cpu or cuda"),
    ],
)
def test_export_with_settings_out_of_range(refused, head: Path, tmp_path: Path, words: list[str], says: str):
    assert says in refused(2, "export", head, "-o", tmp_path / "out.onnx", *words)


def test_export_onto_a_full_disk_leaves_what_was_there(refused, head: Path, tmp_path: Path):
    out = tmp_path / "out.onnx"
    out.write_bytes(b"the model of yesterday")
    with full_disk(4000):
        assert f"{out}: file too large" in refused(2, "export", head, "-o", out)
