"""WinCLIP's window pass as an engine runs it: exported, and ONNX Runtime given as many threads as the other side."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.errors import MissingPart

if TYPE_CHECKING:
    from onnx import ModelProto

    from wordsight.export.windows import Windows

OPSET = 20
"""The first with a Gelu node: below it the exporter spells it out in five, which ONNX Runtime does not fuse here."""
INPUT_NAME = "tokens"


class WindowGraph:
    """One graph in ONNX Runtime on the CPU: tokens (N, 1 + P, C) float32 of the stem to unit embeddings.

    Args:
        model: what `export_graphs` gave.
        threads: of the session.

    Raises:
        MissingPart: ONNX Runtime is not installed.
    """

    def __init__(self, model: "ModelProto", threads: int) -> None:
        from onnx.utils import Extractor

        names = [output.name for output in model.graph.output]
        windows = Extractor(model).extract_model([INPUT_NAME], names[1:])
        self._whole, self._windows = (_session(graph, threads) for graph in (model, windows))

    def outputs(self, tokens: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The picture's embedding (N, D), then its windows' (N, W, D) for each scale."""
        return list(self._whole.run(None, {INPUT_NAME: tokens}))

    def windows(self, tokens: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The windows alone: what is timed."""
        return list(self._windows.run(None, {INPUT_NAME: tokens}))


def export_graphs(windows: "Windows", on_step: Callable[[], None] = lambda: None) -> dict[str, "ModelProto"]:
    """The graph of all that follows the stem, by precision: "fp32" and, quantised from it, "int8".

    Args:
        windows: in float32.
        on_step: called after each of the two, which take seconds.
    """
    import torch

    from wordsight.export.graph import write_graph
    from wordsight.export.int8 import quantise_products
    from wordsight.export.windows import WindowsOfTokens

    module = WindowsOfTokens(windows)
    tower = windows.tower
    tokens = torch.zeros(2, *tower.positional_embedding.shape)
    exact = write_graph(module, tokens, INPUT_NAME, module.output_names, OPSET)
    on_step()
    coarse = quantise_products(exact)
    on_step()
    return {"fp32": exact, "int8": coarse}


def _session(model: "ModelProto", threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPart("ONNX Runtime is not installed", "pip install 'wordsight[runtime]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
