import json
import pickle
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from wordsight.train.checkpoint import load_heads, save_heads
from wordsight.train.errors import HeadFileError, OutputError
from wordsight.train.fit import Settings
from wordsight.train.head import Head
from wordsight.train.prompts import PromptPair
from wordsight.train.weights import read_state

SETTINGS = Settings(pair=PromptPair("a good", "a bad", "nut"), widths=(8, 4), num_pairs=7)


@pytest.fixture
def saved(tiny, tmp_path):
    heads = [Head(24, (8, 4)).eval() for _ in range(2)]
    save_heads(tmp_path / "head.safetensors", heads, SETTINGS, (3, 9), tiny)
    return tmp_path / "head.safetensors", heads


def record_of(path):
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["wordsight"])


def test_heads_come_back_with_all_they_were_saved_with(saved, tiny):
    path, heads = saved
    found = load_heads(path)
    assert found.settings == SETTINGS
    assert found.seeds == (3, 9)
    assert found.encoder["sha256"] == tiny.sha256
    assert found.encoder_spec == tiny.spec
    assert set(found.metadata["tools"]) >= {"torch", "open_clip_torch"}
    e = torch.randn(5, 24)
    for before, after in zip(heads, found.heads, strict=True):
        assert torch.equal(before(e), after(e))
    assert "seed9.layers.0.weight" in load_file(path)


def test_settings_past_the_paper_and_the_mean_of_texts_are_kept(tiny, tmp_path):
    path = tmp_path / "head.safetensors"
    settings = replace(SETTINGS, states=True, natural=0.25, counterfactual=True, noise=0.1, centre=True)
    head = Head(24, (8, 4), text_mean=torch.randn(24)).eval()
    save_heads(path, [head], settings, (3,), tiny)
    found = load_heads(path)
    assert found.settings == settings
    e = torch.randn(5, 24)
    assert torch.equal(found.heads[0].of_texts(e), head.of_texts(e))
    assert not torch.equal(head.of_texts(e), head(e))
    tensors = {key: value.clone() for key, value in load_file(path).items() if "text_mean" not in key}
    save_file(tensors, path, {"wordsight": json.dumps(record_of(path))})
    with pytest.raises(HeadFileError, match="do not fit"):
        load_heads(path)


def test_head_files_from_before_these_settings_still_load(saved):
    path, heads = saved
    tensors, record = {key: value.clone() for key, value in load_file(path).items()}, record_of(path)
    for name in ("states", "natural", "counterfactual", "noise", "centre"):
        del record["settings"][name]
    save_file(tensors, path, {"wordsight": json.dumps(record)})
    found = load_heads(path)
    assert found.settings == SETTINGS
    e = torch.randn(5, 24)
    assert torch.equal(found.heads[0](e), heads[0](e))


def test_a_failed_write_leaves_what_was_there(saved, tiny, monkeypatch):
    path, heads = saved
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_heads(path, heads[:1], SETTINGS, (1,), tiny)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_outputs_that_cannot_be_are_refused(saved, tiny, tmp_path):
    for path in (tmp_path, tmp_path / "no" / "head.safetensors"):
        with pytest.raises(OutputError):
            save_heads(path, saved[1], SETTINGS, (3, 9), tiny)


def change(kind, path):
    # Copies: what was read is mapped from the file that is about to be written over.
    tensors, record = {key: value.clone() for key, value in load_file(path).items()}, record_of(path)
    if kind == "pickle":
        path.write_bytes(pickle.dumps({}))
        return
    if kind == "zip":
        torch.save(tensors, path)
        return
    if kind == "empty":
        path.write_bytes(b"")
        return
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:-10])
        return
    if kind == "foreign":
        save_file(tensors, path)
        return
    if kind == "newer":
        record |= {"schema": 2, "wordsight": "9.0"}
    elif kind == "shape":
        tensors["seed3.layers.4.weight"] = torch.zeros(4, 9)
    elif kind == "norm":
        del tensors["seed3.layers.1.running_mean"]
    elif kind == "absent":
        record["seeds"] = [3, 9, 11]
    elif kind == "setting":
        record["settings"]["dropout"] = 4
    elif kind == "type":
        record["settings"]["lr"] = "much"
    elif kind == "encoder":
        del record["encoder"]["sha256"]
    elif kind == "nan":
        tensors["seed9.layers.0.bias"][0] = float("nan")
    elif kind == "list":
        record = [record]
    save_file(tensors, path, {"wordsight": json.dumps(record)})


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("pickle", "is a pickle"),
        ("zip", "is a pickle"),
        ("empty", "empty"),
        ("cut", "cut short"),
        ("foreign", "no head of Wordsight"),
        ("newer", "newer Wordsight .9.0, schema 2"),
        ("shape", r"seed3.layers.4.weight has the shape \(4, 9\), expected \(4, 8\)"),
        ("norm", "do not fit"),
        ("absent", "seed11"),
        ("setting", "damaged record"),
        ("type", "damaged record"),
        ("encoder", "damaged record"),
        ("nan", "not finite"),
        ("list", "damaged record"),
    ],
)
def test_a_file_that_is_no_whole_head_is_refused(saved, kind, says):
    change(kind, saved[0])
    with pytest.raises(HeadFileError, match=says):
        load_heads(saved[0])


def test_a_head_file_whose_header_has_a_pickles_first_byte_is_read(saved):
    path, heads = saved
    tensors, record = {key: value.clone() for key, value in load_file(path).items()}, record_of(path)
    for length in range(400):  # a longer record is a longer header
        save_file(tensors, path, {"wordsight": json.dumps({**record, "filler": "x" * length})})
        if path.read_bytes()[:1] == b"\x80":
            break
    else:
        raise AssertionError("no header begins with 0x80")
    e = torch.randn(5, 24)
    assert torch.equal(load_heads(path).heads[1](e), heads[1](e))
    assert set(read_state(path)) == set(tensors)


def test_missing_files_and_folders_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none.safetensors"):
        with pytest.raises(HeadFileError):
            load_heads(path)
