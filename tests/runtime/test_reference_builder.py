"""References built from frames by tiny real models: batches, hashes, origins, and WinCLIP's map of a real graph."""

import hashlib

import numpy as np
import pytest

from wordsight.runtime.few_shot import s_img_map
from wordsight.runtime.manifest_input import CropSpec
from wordsight.runtime.model import Model
from wordsight.runtime.reference_builder import ReferenceBuilder, frame_sha256
from wordsight.runtime.references import Origin, ReferencesError, origin_of
from wordsight.runtime.references_file import read_references

pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")

BLUE, RED = (200, 0, 0), (0, 0, 200)
SIDE = 8


def plain(colour):
    return np.full((SIDE, SIDE, 3), colour, np.uint8)


def windows_model(path, writer, **changes):
    """A model of 8x8 frames whose patches are its pixels and whose windows are means of 2x2 and 3x3 of them."""

    def ints(name, values):
        return writer.message(
            5, writer.message(1, name), *(writer.integer(8, v) for v in values), writer.integer(20, 7)
        )

    nodes = [writer.node("Transpose", ["float"], ["planes"], ints("perm", [0, 3, 1, 2]))]
    places, outputs = [], {"patches": ("N", SIDE**2, 3)}
    nodes.append(writer.node("Reshape", ["float", "shape_1"], ["patches"]))
    shapes = [writer.message(5, writer.tensor("shape_1", np.array([-1, SIDE**2, 3], np.int64)))]
    places.append(writer.value(12, "patches", 1, ["batch", SIDE**2, 3]))
    for reach in (2, 3):
        count = (SIDE - reach + 1) ** 2
        name, shape = f"windows_{reach}", f"shape_{reach}"
        kernel = ints("kernel_shape", [reach, reach])
        nodes.append(writer.node("AveragePool", ["planes"], [f"pooled_{reach}"], kernel))
        nodes.append(writer.node("Transpose", [f"pooled_{reach}"], [f"last_{reach}"], ints("perm", [0, 2, 3, 1])))
        nodes.append(writer.node("Reshape", [f"last_{reach}", shape], [name]))
        shapes.append(writer.message(5, writer.tensor(shape, np.array([-1, count, 3], np.int64))))
        places.append(writer.value(12, name, 1, ["batch", count, 3]))
        outputs[name] = ("N", count, 3)
    known = writer.manifest()
    text = writer.manifest(outputs={**known.outputs, **outputs}, **changes).to_json()
    body = writer.graph() + b"".join([*nodes, *shapes, *places])
    path.write_bytes(b"".join(writer.model_parts(text, body)))
    return path


def test_patches_and_windows_of_a_real_graph_give_the_map(tmp_path, onnx_writer, wordsight, save_picture):
    path = windows_model(tmp_path / "w.onnx", onnx_writer)
    save_picture(tmp_path / "blue.png", plain(BLUE))
    done = wordsight("reference", "add", path, "blue.png", "-o", "r", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "embedding 3, patches 64x3, windows_2 49x3, windows_3 36x3" in done.out
    frame = plain(BLUE)
    frame[5, 2] = RED
    with Model(path) as model:
        scores = model.score([plain(BLUE), frame])
        maps = s_img_map(scores, read_references(tmp_path / "r", for_model=model))
    expected = np.zeros((SIDE, SIDE))
    expected[5, 2] += 0.5
    for reach in (2, 3):
        # A window with the red pixel has the colour (n - 1 blue, 1 red); one without has distance 0, and a patch with
        # any such window has a harmonic mean of 0.
        distance = (1 - (reach**2 - 1) / np.hypot(reach**2 - 1, 1)) / 2
        for row in range(SIDE):
            for column in range(SIDE):
                tops = range(max(0, row - reach + 1), min(row, SIDE - reach) + 1)
                lefts = range(max(0, column - reach + 1), min(column, SIDE - reach) + 1)
                hit = [t <= 5 < t + reach and left <= 2 < left + reach for t in tops for left in lefts]
                expected[row, column] += distance if all(hit) else 0
    np.testing.assert_allclose(maps[1], expected / 3, atol=1e-5)
    np.testing.assert_allclose(maps[0], 0, atol=1e-6)


def test_what_a_model_says_of_itself_is_what_must_agree(tmp_path, onnx_writer):
    spec = onnx_writer.InputSpec(size=16, fit="pad", mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    text = onnx_writer.manifest(input=spec, crops=CropSpec(name="two", boxes=((0, 0, 8), (8, 8, 8)))).to_json()
    path = tmp_path / "m.onnx"
    path.write_bytes(b"".join(onnx_writer.model_parts(text, onnx_writer.graph(16))))
    with Model(path) as model:
        assert origin_of(model) == Origin(
            encoder="test", weights="mini", encoder_sha256="a" * 64, embed_dim=3, size=16, fit="pad", camera=(),
            crops="two", boxes=((0, 0, 8), (8, 8, 8)), model_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )  # fmt: skip


def test_batches_change_nothing(tiny_model):
    rng = np.random.default_rng(0)
    frames = rng.integers(1, 256, (7, 9, 12, 3), dtype=np.uint8)
    built = []
    with Model(tiny_model) as model:
        for batch in (1, 3, 32):
            builder = ReferenceBuilder(model, batch=batch)
            assert [builder.add(frame, f"{i}") for i, frame in enumerate(frames)] == [True] * 7
            assert builder.add(frames[2], "again") is False
            built.append(builder.finish())
        with pytest.raises(ReferencesError, match="at least one reference"):
            ReferenceBuilder(model).finish()
    assert builder.duplicates == ["again"]
    for other in built[1:]:
        np.testing.assert_array_equal(other.vectors["embedding"], built[0].vectors["embedding"])


def test_the_hash_is_of_the_frame_and_its_shape():
    frame = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert frame_sha256(frame) != frame_sha256(frame.reshape(4, 2, 3))
    turned = frame.transpose(1, 0, 2)
    assert frame_sha256(turned) == frame_sha256(np.ascontiguousarray(turned))


def test_a_model_without_vectors_is_refused(tmp_path, onnx_writer):
    path = tmp_path / "bare.onnx"
    text = onnx_writer.manifest(outputs={"score": ("N",), "s_pr": ("N",), "s_fnn": ("N",)}).to_json()
    path.write_bytes(b"".join(onnx_writer.model_parts(text)))
    with Model(path) as model, pytest.raises(ReferencesError, match=r"bare\.onnx lacks embedding, patches"):
        ReferenceBuilder(model)
