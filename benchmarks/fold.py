"""What ten folded heads cost beside one, on the real architecture, through ONNX Runtime."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wordsight.benchmarks import timing
from wordsight.runtime.figures import Figure

if TYPE_CHECKING:
    from wordsight.train.encoders import Encoder

RANDOM = "ViT-B-16-plus-240"
"""The paper's architecture. Its weights are drawn at random where none are given: speed does not depend on them."""
MEANING = {
    "ratio.fold_10_over_1": "one pass with all heads over one with a single head; 95% of the median",
    "ratio.one_head_over_encoder": "one pass with a single head over the image encoder alone",
    "seconds.fold_10": "one pass, all heads folded; fastest and slowest",
    "seconds.fold_1": "one pass, one head",
    "seconds.encoder_alone": "one pass, the graph cut off at `embedding`",
    "difference.score.max": "largest |score, ONNX Runtime - torch| at export, all heads",
    "difference.score.mean": "mean of the same",
}


def random_checkpoint(name: str, folder: Path, seed: int = 0) -> str:
    """Save open_clip's architecture `name` with random weights; what `load_encoder` takes to load it."""
    import torch
    from safetensors.torch import save

    from wordsight.runtime.files import whole_file
    from wordsight.train.clip import build_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(name, quick_gelu=False)
    path = folder / f"{name}-random.safetensors"
    with whole_file(path, durable=False) as file:  # a folder that is kept takes what lies there
        file.write(save({key: value.contiguous() for key, value in model.state_dict().items()}))
    return f"{name}:{path.absolute()}"


def measure(encoder: "Encoder", folder: Path, heads: int = 10, repeats: int = 40, batch: int = 1) -> list[Figure]:
    """Export one head and `heads` of them with the same encoder, and time both files and the encoder alone in turns.

    Args:
        encoder: Whose image tower is exported.
        folder: Where the two files go.
        heads: K, of the larger file.
        repeats: Rounds.
        batch: Frames a pass.
    """
    import onnxruntime

    from wordsight.export.onnx import export_model
    from wordsight.train.checkpoint import save_heads
    from wordsight.train.fit import Settings, fit_head

    # What a head has learned changes no time: these have seen a few hundred random rows.
    rng = np.random.default_rng(0)
    settings = Settings(num_pairs=256)
    rows = rng.standard_normal((2, settings.num_pairs, encoder.embed_dim)).astype(np.float32)
    fitted = [fit_head(rows[0], rows[1], settings, seed) for seed in range(heads)]
    reports, graphs = {}, {}
    for count in (1, heads):
        head_path, model_path = folder / f"heads-{count}.safetensors", folder / f"heads-{count}.onnx"
        save_heads(head_path, fitted[:count], settings, range(count), encoder)
        reports[count] = export_model(head_path, model_path, encoder_spec=encoder.spec)
        graphs[count] = model_path.read_bytes()
    sessions = {
        "fold_10": onnxruntime.InferenceSession(graphs[heads], providers=["CPUExecutionProvider"]),
        "fold_1": onnxruntime.InferenceSession(graphs[1], providers=["CPUExecutionProvider"]),
        "encoder_alone": onnxruntime.InferenceSession(_cut(graphs[1]), providers=["CPUExecutionProvider"]),
    }
    del graphs
    frames = rng.integers(0, 256, (batch, encoder.image_size, encoder.image_size, 3), np.uint8)
    calls = {name: partial(_pass, session, frames) for name, session in sessions.items()}
    seconds = timing.interleaved(calls, repeats, warm_up=3)
    report = reports[heads]
    return [
        timing.ratio("ratio.fold_10_over_1", seconds["fold_10"], seconds["fold_1"]),
        timing.ratio("ratio.one_head_over_encoder", seconds["fold_1"], seconds["encoder_alone"]),
        *(timing.median(f"seconds.{name}", values) for name, values in seconds.items()),
        Figure("difference.score.max", report.max["score"], n=report.frames),
        Figure("difference.score.mean", report.mean["score"], n=report.frames),
    ]


def _pass(session: Any, frames: np.ndarray) -> None:
    session.run(None, {session.get_inputs()[0].name: frames})


def _cut(graph: bytes) -> bytes:
    """The same graph without what lies behind the image embedding."""
    import onnx
    from onnx.utils import Extractor

    model = onnx.load_from_string(graph)
    names = [value.name for value in model.graph.input]
    return bytes(Extractor(model).extract_model(names, ["embedding"]).SerializeToString())
