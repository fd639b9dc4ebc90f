"""Our file of references beside the safetensors package's reader and writer."""

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from wordsight.runtime.references import Origin, ReferenceFrame, References
from wordsight.runtime.references_file import METADATA_KEY, read_references, write_references


def references_of():
    rng = np.random.default_rng(0)
    vectors = {
        "embedding": rng.normal(size=(3, 5)).astype(np.float32),
        "patches": rng.normal(size=(3, 4, 7)).astype(np.float32),
    }
    vectors = {name: array / np.linalg.norm(array, axis=-1, keepdims=True) for name, array in vectors.items()}
    origin = Origin(
        encoder="test", weights="mini", encoder_sha256="a" * 64, embed_dim=5, size=8, fit="crop", camera=(),
        crops="single", boxes=(), model_sha256="c" * 64,
    )  # fmt: skip
    frames = tuple(ReferenceFrame(name=f"ä{at}.png", frame=0, sha256=f"{at:064x}") for at in range(3))
    return References(origin, frames, vectors)


def test_the_package_reads_what_we_write(tmp_path):
    ours = references_of()
    write_references(tmp_path / "r", ours)
    with safe_open(tmp_path / "r", framework="numpy") as file:
        assert set(file.keys()) == set(ours.vectors)
        assert list(file.metadata()) == [METADATA_KEY]
        for name, array in ours.vectors.items():
            np.testing.assert_array_equal(file.get_tensor(name), array)


def test_we_read_what_the_package_writes(tmp_path):
    ours = references_of()
    write_references(tmp_path / "r", ours)
    with safe_open(tmp_path / "r", framework="numpy") as file:
        metadata = file.metadata()
    save_file(ours.vectors, tmp_path / "theirs", metadata)
    read = read_references(tmp_path / "theirs")
    assert read.frames == ours.frames
    for name, array in ours.vectors.items():
        np.testing.assert_array_equal(read.vectors[name], array)
