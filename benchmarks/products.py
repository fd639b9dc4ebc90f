"""Square matrix products by every engine at hand, for the arithmetic ceiling (ceiling.py).

The second factor is a constant of the graph, as weights are, so that an engine may pack it beforehand.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Product = Callable[[], Any]
"""Multiplies once, and returns the engine's own kind of array."""
Factory = Callable[[int, int], Product]
"""From size and threads to a product; what can be prepared once is prepared before."""


def operands(size: int, precision: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """The two square factors: float32, or for int8 unsigned 0 to 127 and signed -127 to 127.

    7 bits on one side keep the 16-bit intermediate sums of processors without VNNI from overflowing.
    """
    rng = np.random.default_rng(0)
    if precision == "int8":
        return rng.integers(0, 128, (size, size), np.uint8), rng.integers(-127, 128, (size, size), np.int8)
    return rng.standard_normal((size, size), np.float32), rng.standard_normal((size, size), np.float32)


def _torch(precision: str, size: int, threads: int) -> Product:
    """`torch.mm`; the caller sets torch's threads, which are the process's own."""
    import torch

    left, right = (torch.from_numpy(array) for array in operands(size, precision))
    if precision == "int8":
        return partial(torch._int_mm, left.to(torch.int8), right)
    if precision == "bf16":
        left, right = left.bfloat16(), right.bfloat16()
    return partial(torch.mm, left, right)


def _ort(precision: str, nodes: str, size: int, threads: int) -> Product:
    """ONNX Runtime on the processor."""
    from wordsight.runtime.backends.ort import installed

    ort = installed()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    graph = product_graph(nodes, size)
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    left = operands(size, precision)[0]
    return lambda: session.run(None, {"x": left})[0]


def _openvino(precision: str, nodes: str, size: int, threads: int) -> Product:
    """OpenVINO on the processor; "bf16" computes an fp32 graph so, and is refused where the processor has none."""
    from wordsight.runtime.backends.openvino import core_for, settings_for

    hint: Literal["f32", "bf16"] = "bf16" if precision == "bf16" else "f32"
    core = core_for(hint)
    compiled = core.compile_model(core.read_model(product_graph(nodes, size)), "CPU", settings_for(hint, threads))
    request = compiled.create_infer_request()
    left = operands(size, precision)[0]
    return lambda: request.infer({"x": left}, share_inputs=True)[0]


def product_graph(nodes: str, size: int) -> bytes:
    """An ONNX file with one product of the input `x` and a constant.

    Args:
        nodes: "MatMul" in float32; "MatMulInteger", uint8 times int8 to int32; "QLinearMatMul", to uint8; "QDQ", the
            same with quantised tensors around a float MatMul, as exported int8 files have it.
        size: rows and columns of both factors.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    right = operands(size, "fp32" if nodes == "MatMul" else "int8")[1]
    constants = {
        "w": right,
        "one": np.float32(1),
        "zero": np.uint8(0),
        "w_scale": np.full(size, 1 / 64, np.float32),
        "w_zero": np.zeros(size, np.int8),
        "y_scale": np.float32(size),
        "middle": np.uint8(128),
    }
    made = {
        "MatMul": [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "MatMulInteger": [helper.make_node("MatMulInteger", ["x", "w"], ["y"])],
        "QLinearMatMul": [
            helper.make_node(
                "QLinearMatMul", ["x", "one", "zero", "w", "w_scale", "w_zero", "y_scale", "middle"], ["y"]
            )
        ],
        "QDQ": [
            helper.make_node("DequantizeLinear", ["x", "one", "zero"], ["x_float"]),
            helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["w_float"], axis=1),
            helper.make_node("MatMul", ["x_float", "w_float"], ["y_float"]),
            helper.make_node("QuantizeLinear", ["y_float", "y_scale", "middle"], ["y"]),
        ],
    }[nodes]
    used = {name for node in made for name in node.input}
    taken, given = {
        "MatMul": (TensorProto.FLOAT, TensorProto.FLOAT),
        "MatMulInteger": (TensorProto.UINT8, TensorProto.INT32),
    }.get(nodes, (TensorProto.UINT8, TensorProto.UINT8))
    graph = helper.make_graph(
        made, "product",
        [helper.make_tensor_value_info("x", taken, ["rows", size])],
        [helper.make_tensor_value_info("y", given, ["rows", size])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items() if name in used],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


FACTORIES: Mapping[str, Mapping[str, Factory]] = {
    "fp32": {
        "torch mm": partial(_torch, "fp32"),
        "onnxruntime MatMul": partial(_ort, "fp32", "MatMul"),
        "openvino MatMul": partial(_openvino, "fp32", "MatMul"),
    },
    "bf16": {
        "torch mm": partial(_torch, "bf16"),
        "openvino MatMul": partial(_openvino, "bf16", "MatMul"),
    },
    "int8": {
        "torch _int_mm": partial(_torch, "int8"),
        "onnxruntime MatMulInteger": partial(_ort, "int8", "MatMulInteger"),
        "onnxruntime QLinearMatMul": partial(_ort, "int8", "QLinearMatMul"),
        "openvino MatMul of Q/DQ": partial(_openvino, "int8", "QDQ"),
    },
}
"""Every engine's product by precision; on a processor ONNX Runtime has none in bf16."""
