"""Fit and resize in the graph: the grey levels of open_clip's transform, in every engine at hand, and nothing else."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import open_clip
import pytest
from onnx import TensorProto, helper
from PIL import Image

from wordsight.export.errors import ExportError
from wordsight.export.exact import halved
from wordsight.export.resize import with_resize
from wordsight.runtime.manifest_input import FITTED_NAME
from wordsight.runtime.preprocess import resampling_weights

MODES = {"crop": "shortest", "squash": "squash", "pad": "longest"}
SIZES = [  # height, width: tiny, equal, nearly so, wide, tall (vertical pass first), enlarged on one side
    (1, 1), (3, 2), (48, 48), (47, 48), (49, 48), (48, 64), (64, 48), (200, 40), (40, 200), (300, 90), (90, 300),
    (480, 640), (720, 1280), (500, 20),
]  # fmt: skip


def bare(size: int) -> onnx.ModelProto:
    """A graph that gives back what it takes, as float32: what follows the resize sees just that."""
    axes = ["batch", size, size, 3]
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["frames"], ["float"], name="cast", to=TensorProto.FLOAT),
            helper.make_node("Identity", ["float"], ["seen"], name="identity"),
        ],
        "bare",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, axes)],
        [helper.make_tensor_value_info("seen", TensorProto.FLOAT, axes)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def seen(model: onnx.ModelProto, frames: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"frames": frames})[0]


def camera_frames(height: int, width: int) -> np.ndarray:
    """Noise, and black and white of noise, which reaches over both ends of the scale."""
    noise = np.random.default_rng(height * 31 + width).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    noise[1] = np.where(noise[1] > 127, 255, 0)
    return noise


def by_open_clip(frame: np.ndarray, size: int, fit: str) -> np.ndarray:
    transform = open_clip.image_transform(size, is_train=False, resize_mode=MODES[fit], mean=(0,) * 3, std=(1,) * 3)
    rgb = transform(Image.fromarray(frame[:, :, ::-1].copy())).numpy().transpose(1, 2, 0)
    return np.rint(rgb[:, :, ::-1] * 255)


@pytest.mark.parametrize("fit", MODES)
@pytest.mark.parametrize("size", [48, 240])
def test_the_graph_gives_the_grey_levels_of_open_clip(fit, size):
    for height, width in SIZES:
        if fit == "pad" and min(height, width) * size / max(height, width) < 0.5:
            continue  # open_clip refuses a side that vanishes
        frames = camera_frames(height, width)
        got = seen(with_resize(bare(size), (height, width), size, fit), frames)
        wanted = np.stack([by_open_clip(frame, size, fit) for frame in frames])
        np.testing.assert_array_equal(got, wanted, err_msg=f"{height}x{width}")


def test_a_large_camera_is_exact_as_well():
    frames = camera_frames(3000, 4096)[1:]
    got = seen(with_resize(bare(96), (3000, 4096), 96, "crop"), frames)
    np.testing.assert_array_equal(got[0], by_open_clip(frames[0], 96, "crop"))


@pytest.mark.parametrize(("length", "target"), [(1080, 240), (16_384, 240), (20, 240), (241, 240), (96, 1)])
def test_both_halves_are_the_weights_and_their_sums_are_exact_in_float32(length, target):
    weights = resampling_weights(length, target)
    found = halved(weights)
    np.testing.assert_array_equal(found.high.astype(np.float64) * found.step + found.low, weights)
    for half in (found.high, found.low):
        assert np.all(half == np.rint(half))
        for part in (np.clip(half, 0, None), np.clip(-half, 0, None)):
            assert 255 * part.astype(np.float64).sum(axis=1).max() < 2**24
    if length < 10 * target:  # whole numbers that TF32 and fp16 hold
        assert max(np.abs(found.high).max(), np.abs(found.low).max()) <= 2**11


def test_a_side_whose_sums_would_not_be_exact_is_refused():
    with pytest.raises(ExportError, match="too long to be resized exactly"):
        halved(np.full((1, 4096), 2.0**22))


def test_what_is_cut_away_is_not_multiplied():
    """Of a wide frame the products are those of its centre: as many as of a square camera."""

    def multiplied(width: int) -> int:
        graph = with_resize(bare(48), (480, width), 48, "crop").graph
        sizes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
        return sum(
            int(np.prod(sizes[name])) for node in graph.node if node.op_type == "MatMul"
            for name in node.input if name in sizes
        )  # fmt: skip

    assert multiplied(1920) <= 1.1 * multiplied(480)


def test_a_camera_of_the_encoders_size_costs_no_product():
    graph = with_resize(bare(48), (48, 48), 48, "crop").graph
    assert "MatMul" not in {node.op_type for node in graph.node}


def test_only_a_cast_reads_the_uint8_frames_and_the_fitted_value_has_its_name():
    model = with_resize(bare(48), (480, 640), 48, "pad")
    readers = [node.op_type for node in model.graph.node if "frames" in node.input]
    assert readers == ["Cast"]
    assert FITTED_NAME in {output for node in model.graph.node for output in node.output}
    assert bare(48).graph.node[0].op_type == "Cast"


def test_a_graph_of_another_make_is_refused():
    late = bare(48)
    late.graph.node[0].op_type = "Identity"
    with pytest.raises(ExportError, match="cast to float first"):
        with_resize(late, (480, 640), 48, "crop")
    with pytest.raises(ExportError, match="expected a graph of 96x96"):
        with_resize(bare(48), (480, 640), 96, "crop")


@pytest.mark.openvino
def test_openvino_gives_the_same_grey_levels():
    from wordsight.runtime.backends.openvino import core_for, settings_for

    frames = camera_frames(480, 640)
    model = with_resize(bare(96), (480, 640), 96, "crop")
    core = core_for("f32")
    compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", settings_for("f32"))
    np.testing.assert_array_equal(compiled(frames)[0], seen(model, frames))


@pytest.mark.tensorrt
@pytest.mark.parametrize(("camera", "fit"), [((1080, 1920), "crop"), ((900, 300), "pad"), ((96, 300), "squash")])
def test_tensorrt_takes_the_resize(camera, fit, build_engine):
    model = with_resize(bare(96), camera, 96, fit)
    assert build_engine(model.SerializeToString(), camera, ("seen",)) is not None
