"""References as a file: what is written is read, and each way a file can be wrong is told by name."""

import json
import pickle
import tracemalloc

import numpy as np
import pytest

from wordsight.runtime import references_file
from wordsight.runtime.references import Origin, ReferenceFrame, References, ReferencesError
from wordsight.runtime.references_file import METADATA_KEY, default_path, read_references, write_references

DIM = 4


def origin(**changes):
    facts = dict(
        encoder="test", weights="mini", encoder_sha256="a" * 64, embed_dim=DIM, size=8, fit="crop", camera=(),
        crops="single", boxes=(), model_sha256="c" * 64,
    )  # fmt: skip
    return Origin(**{**facts, **changes})


def references_of(count=5, seed=0, **changes):
    rng = np.random.default_rng(seed)
    vectors = {
        "embedding": rng.normal(size=(count, DIM)).astype(np.float32),
        "patches": rng.normal(size=(count, 9, 6)).astype(np.float32),
    }
    vectors = {name: array / np.linalg.norm(array, axis=-1, keepdims=True) for name, array in vectors.items()}
    frames = tuple(
        ReferenceFrame(name=f"teil ä{at}.png", frame=at, sha256=f"{seed * 1000 + at:064x}") for at in range(count)
    )
    return References(origin(**changes), frames, vectors)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "r.safetensors"
    write_references(path, references_of())
    return path


def parts_of(path):
    """Header and numbers of a file, read as the format says and not with our reader."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def rewrite(path, header, numbers):
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + numbers)


def test_what_is_written_is_read(path):
    read, written = read_references(path), references_of()
    assert read.origin == written.origin
    assert read.frames == written.frames
    assert read.label == str(path)
    assert list(read.vectors) == list(written.vectors)
    for name, array in written.vectors.items():
        np.testing.assert_array_equal(read.vectors[name], array)
        assert read.vectors[name].dtype == np.float32


def test_it_lies_beside_the_model():
    assert str(default_path("a/line3.onnx")) == "a/line3.onnx.references.safetensors"


def test_the_same_references_are_the_same_bytes(path, tmp_path):
    write_references(tmp_path / "again", references_of())
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_boxes_and_cameras_survive(tmp_path):
    odd = references_of(fit="tiles", camera=(1080, 1920), crops="full+2x2", boxes=((0, 0, 8), (1, 2, 3)))
    write_references(tmp_path / "r", odd)
    assert read_references(tmp_path / "r").origin == odd.origin


def test_every_cut_and_every_flipped_bit_is_noticed(path):
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for length in {0, 1, 7, 8, 9, len(whole) - 1, *rng.integers(0, len(whole), 30).tolist()}:
        path.write_bytes(whole[:length])
        with pytest.raises(ReferencesError, match=r"r\.safetensors"):
            read_references(path)
    begin = 8 + int.from_bytes(whole[:8], "little")
    for place in rng.integers(begin, len(whole), 30).tolist():
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ReferencesError, match="hash that its header names"):
            read_references(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(ReferencesError, match=f"too long: expected {len(whole):,} bytes, got {len(whole) + 1:,}"):
        read_references(path)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("it was unpickled",))


@pytest.mark.parametrize("kind", ["pickle", "npz", "npz of objects", "text", "zeros", "folder", "absent"])
def test_what_holds_no_references_is_refused_and_never_unpickled(tmp_path, kind):
    path = tmp_path / "odd.file"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Bomb()))
    elif kind.startswith("npz"):
        array = np.array([Bomb()], object) if "objects" in kind else np.ones(3)
        with path.open("wb") as file:
            np.savez(file, embedding=array)
    elif kind == "folder":
        path.mkdir()
    elif kind != "absent":
        path.write_bytes(b"hello, references" if kind == "text" else bytes(100))
    with pytest.raises(ReferencesError, match=r"odd\.file") as caught:
        read_references(path)
    assert "wordsight reference add" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"dtype": "F16"}, r"got embedding F16 \[5, 4\]"),
        ({"dtype": None}, "got embedding None"),
        ({"shape": [5, 3]}, "should lie at bytes 0 to 60"),
        ({"shape": [4, 5]}, "of 5 references"),
        ({"shape": "5,4"}, "got embedding F32 5,4"),
        ({"shape": [5.0, 4]}, "got embedding F32"),
        ({"shape": [-5, -4]}, "got embedding F32"),
        ({"shape": [10**4000, 10**4000]}, "got embedding F32"),
        ({"shape": [1] * 100}, "got embedding F32"),
        ({"data_offsets": [8, 88]}, r"got \[8, 88\]"),
        ({"data_offsets": [True, 80]}, "should lie at bytes"),
    ],
)
def test_an_array_of_another_kind_is_refused(path, entry, says):
    header, numbers = parts_of(path)
    header["embedding"] |= entry
    rewrite(path, header, numbers)
    with pytest.raises(ReferencesError, match=says):
        read_references(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda facts: facts.update(schema=2), "header key schema: expected 1; a later one needs a later Wordsight"),
        (lambda facts: facts.pop("origin"), "header key origin is missing"),
        (lambda facts: facts["origin"].update(size="8"), "header key origin.size: expected a whole number"),
        (lambda facts: facts["origin"].update(model_sha256="x"), "model_sha256: expected 64"),
        (lambda facts: facts["frames"].pop(), "of 4 references"),
        (lambda facts: facts["frames"].clear(), "at least one reference"),
        (lambda facts: facts["frames"][0].update(sha256=3), r"header key frames\[0\].sha256"),
        (lambda facts: facts.update(frames=[facts["frames"][0]] * 10_001), "at most 10000"),
        (lambda facts: facts.update(sha256="0" * 64), "hash that its header names"),
    ],
)
def test_a_header_that_was_changed_is_refused(path, change, says):
    header, numbers = parts_of(path)
    facts = json.loads(header["__metadata__"][METADATA_KEY])
    change(facts)
    header["__metadata__"][METADATA_KEY] = json.dumps(facts)
    rewrite(path, header, numbers)
    with pytest.raises(ReferencesError, match=says):
        read_references(path)


@pytest.mark.parametrize("text", ["[]", "{}", "33", '{"__metadata__": 3}', '{"a": 1, "a": 2}', "[" * 100_000, "{\xff"])
def test_a_header_that_is_none_is_refused(path, text):
    data = text.encode("latin-1")
    path.write_bytes(len(data).to_bytes(8, "little") + data)
    with pytest.raises(ReferencesError, match="its header is not that of references"):
        read_references(path)


def test_a_header_cannot_ask_for_more_memory_than_the_file_has(path, monkeypatch):
    whole = path.read_bytes()
    header, numbers = parts_of(path)
    header["patches"] = {"dtype": "F32", "shape": [5, 2**20, 20], "data_offsets": [80, 80 + 4 * 5 * 2**20 * 20]}
    rewrite(path, header, numbers)
    tracemalloc.start()
    try:
        with pytest.raises(ReferencesError, match="truncated"):
            read_references(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    monkeypatch.setattr(references_file, "MAX_BYTES", 1000)
    path.write_bytes(whole)
    with pytest.raises(ReferencesError, match="expected at most 1,000 bytes of numbers"):
        read_references(path)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(path, monkeypatch, error):
    old = path.read_bytes()
    original = np.ascontiguousarray

    class Failing:
        """An array whose bytes run out: the first goes to the disk, the second does not."""

        def __init__(self, array):
            self.array, self.nbytes, self.shape = array, array.nbytes, array.shape
            self.reads = 0

        @property
        def data(self):
            self.reads += 1
            if self.reads > 1 and self.array.ndim == 3:  # the first time is for the hash
                raise error
            return self.array.data

    monkeypatch.setattr(references_file.np, "ascontiguousarray", lambda array, dtype: Failing(original(array, dtype)))
    with pytest.raises(type(error)):
        write_references(path, references_of(7))
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]
