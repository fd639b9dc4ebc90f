"""Writes tiny ONNX files byte by byte, so that the lean runtime can be tested without the onnx package."""

import numpy as np

from wordsight.runtime.manifest import (
    EncoderSpec,
    HeadSpec,
    HeatmapSpec,
    InputSpec,
    Manifest,
    ObjectSpec,
    ParitySpec,
    PromptSpec,
    ScoreSpec,
)

SIZE = 8
DIM = 3


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def integer(number, value):
    return varint(number << 3) + varint(value)


def message(number, *parts):
    body = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
    return varint(number << 3 | 2) + varint(len(body)) + body


def tensor(name, array, *extra):
    kind = {"float32": 1, "int64": 7}[array.dtype.name]
    dims = [integer(1, size) for size in array.shape]
    return b"".join([*dims, integer(2, kind), message(8, name), message(9, array.tobytes()), *extra])


def node(kind, inputs, outputs, *attributes):
    names = [message(1, name) for name in inputs] + [message(2, name) for name in outputs]
    return message(1, *names, message(4, kind), *attributes)


def int_attribute(name, value):
    return message(5, message(1, name), integer(3, value), integer(20, 2))


def value(number, name, kind, dims):
    shape = [message(1, message(2, dim) if isinstance(dim, str) else integer(1, dim)) for dim in dims]
    return message(number, message(1, name), message(2, message(1, integer(1, kind), message(2, *shape))))


def entry(key, text):
    return message(14, message(1, key), message(2, text))


def manifest(size=SIZE, **changes):
    facts = dict(
        created="2026-11-24T06:00:00Z",
        wordsight="0.1.0",
        input=InputSpec(size=size, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)),
        outputs={"score": ("N",), "s_pr": ("N",), "s_fnn": ("N",), "embedding": ("N", DIM)},
        encoder=EncoderSpec(
            name="test", weights="mini", sha256="a" * 64, licence="MIT", embed_dim=DIM, note="means of colours"
        ),
        prompts=PromptSpec(
            object="object",
            normal_word="a",
            anomalous_word="a damaged",
            guiding_normal="a photo of a object",
            guiding_anomalous="a photo of a damaged object",
            template_normal="{n}",
            template_anomalous="{a}",
        ),
        score=ScoreSpec(),
        head=HeadSpec(sha256="b" * 64, seeds=(0,)),
        training={"lr": 1e-3},
        precision="fp32",
        opset=18,
        parity=ParitySpec(status="not run"),
        tools={"torch": "2.14"},
    )
    return Manifest(**{**facts, **changes})


GRID = 4
GRID_OUTPUTS = {
    "patches": ("N", GRID**2, DIM),
    "windows_2": ("N", (GRID - 1) ** 2, DIM),
    "windows_3": ("N", (GRID - 2) ** 2, DIM),
    "heatmap": ("N", GRID, GRID),
    "s_pr_objects": ("N", 1),
}


def graph(size=SIZE, more=()):
    """Mean blue, green, red of a frame as its embedding; s_pr = blue / 255, s_fnn = green / 255, score their sum.

    `more` names outputs of GRID_OUTPUTS: patches are the mean colours of 4 x 4 cells, windows the first of them again,
    the heat map is (blue + green) / 255 of each cell, the one object's s_pr is red / 255.
    """
    axes = tensor("axes", np.array([1, 2], np.int64))
    columns = {"blue": [1, 0, 0], "green": [0, 1, 0], "both": [1, 1, 0]}
    weights = [message(5, tensor(k, np.array(v, np.float32)[:, None] / np.float32(255))) for k, v in columns.items()]
    drop = tensor("last", np.array([1], np.int64))
    nodes = [
        node("Cast", ["frames"], ["float"], int_attribute("to", 1)),
        node("ReduceMean", ["float", "axes"], ["embedding"], int_attribute("keepdims", 0)),
    ]
    for column, name in (("blue", "s_pr"), ("green", "s_fnn"), ("both", "score")):
        nodes.append(node("MatMul", ["embedding", column], [f"{name}_wide"]))
        nodes.append(node("Squeeze", [f"{name}_wide", "last"], [name]))
    places = [value(11, "frames", 2, ["batch", size, size, 3])]
    places += [value(12, name, 1, ["batch"]) for name in ("score", "s_pr", "s_fnn")]
    places.append(value(12, "embedding", 1, ["batch", DIM]))
    if more:
        more_nodes, more_weights = grid_nodes(size)
        nodes += more_nodes
        weights += more_weights
        places += [value(12, name, 1, ["batch", *GRID_OUTPUTS[name][1:]]) for name in more]
    return b"".join([*nodes, message(2, "g"), message(5, axes), message(5, drop), *weights, *places])


def grid_nodes(size):
    cell = size // GRID
    shapes = {"split": (0, GRID, cell, GRID, cell, DIM), "rows": (0, GRID**2, DIM), "square": (0, GRID, GRID)}
    numbers = {name: np.array(shape, np.int64) for name, shape in shapes.items()}
    numbers |= {"inside": np.array([2, 4], np.int64), "zero": np.zeros(1, np.int64), "one": np.ones(1, np.int64)}
    for reach in (2, 3):
        numbers[f"end_{reach}"] = np.array([(GRID - reach + 1) ** 2], np.int64)
    nodes = [
        node("Reshape", ["float", "split"], ["cells_apart"]),
        node("ReduceMean", ["cells_apart", "inside"], ["cells"], int_attribute("keepdims", 0)),
        node("Reshape", ["cells", "rows"], ["patches"]),
        node("MatMul", ["patches", "both"], ["heat_wide"]),
        node("Reshape", ["heat_wide", "square"], ["heatmap"]),
        node("MatMul", ["embedding", "red"], ["s_pr_objects"]),
    ]
    for reach in (2, 3):
        nodes.append(node("Slice", ["patches", "zero", f"end_{reach}", "one"], [f"windows_{reach}"]))
    red = np.array([[0], [0], [1]], np.float32) / np.float32(255)
    return nodes, [message(5, tensor(name, array)) for name, array in [*numbers.items(), ("red", red)]]


def grid_model_parts(more=tuple(GRID_OUTPUTS), **changes):
    """The fields of a model with outputs of GRID_OUTPUTS; the object that it knows by name is "screw"."""
    changes["outputs"] = {**manifest().outputs, **{name: GRID_OUTPUTS[name] for name in more}}
    if "heatmap" in more:
        changes["heatmap"] = HeatmapSpec(way="grid")
    if "s_pr_objects" in more:
        changes["objects"] = (ObjectSpec(name="screw", guiding_normal="a screw", guiding_anomalous="a damaged screw"),)
    return model_parts(manifest(**changes).to_json(), graph(SIZE, more))


def model_parts(text=None, body=None, size=SIZE):
    """The top-level fields of a model, each by itself, so that tests can drop, repeat and shuffle them."""
    parts = [integer(1, 8), message(7, graph(size) if body is None else body), message(8, integer(2, 18))]
    return parts if text == "" else [*parts, entry("wordsight", text or manifest(size).to_json())]


def bf16_model(**changes):
    """The tiny model with one product in bf16, which ONNX Runtime has no kernel for on the processor."""
    body = graph().replace(
        node("MatMul", ["embedding", "both"], ["score_wide"]),
        node("Cast", ["embedding"], ["e16"], int_attribute("to", 16))
        + node("Cast", ["both"], ["b16"], int_attribute("to", 16))
        + node("MatMul", ["e16", "b16"], ["w16"])
        + node("Cast", ["w16"], ["score_wide"], int_attribute("to", 1)),
    )
    return b"".join(model_parts(manifest(precision="bf16", **changes).to_json(), body))


FP8 = 17
"""ONNX's number of float8e4m3fn."""


def fp8_model(**changes):
    """The tiny model (opset 19) whose mean colours pass through fp8 on their way to `score`, scaled by 255 / 448."""
    zero = b"".join([integer(2, FP8), message(8, "zero"), message(9, b"\0")])
    scale = tensor("scale", np.array(255 / 448, np.float32))
    body = graph().replace(
        node("MatMul", ["embedding", "both"], ["score_wide"]),
        node("QuantizeLinear", ["embedding", "scale", "zero"], ["e8"])
        + node("DequantizeLinear", ["e8", "scale", "zero"], ["e32"])
        + node("MatMul", ["e32", "both"], ["score_wide"]),
    )
    text = manifest(precision="fp8", opset=19, **changes).to_json()
    body += message(5, zero) + message(5, scale)
    return b"".join([integer(1, 9), message(7, body), message(8, integer(2, 19)), entry("wordsight", text)])
