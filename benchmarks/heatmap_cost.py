"""What a heat map costs beside the score alone: two files that differ in nothing else, timed in turns."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wordsight.benchmarks import timing
from wordsight.runtime.figures import Figure

if TYPE_CHECKING:
    from wordsight.train.encoders import Encoder

NAME = "ratio.heatmap_over_score"
MEANING = {
    NAME: "a pass with the heat map over one without, ViT-B-16-plus-240, random weights, batch 1, one seed; 95% of the "
    "median; target 1.15",
    f"{NAME}.mini": "the same of mini",
    "seconds.with_heatmap": "a pass with the heat map; fastest and slowest",
    "seconds.without_heatmap": "a pass without",
    "seconds.with_heatmap.mini": "the same of mini",
    "seconds.without_heatmap.mini": "the same of mini",
    "difference.heatmap.max": "largest |heat map, ONNX Runtime - torch| at export, ViT-B-16-plus-240",
}


def measure(folder: Path, repeats: int) -> list[Figure]:
    """The paper's architecture with random weights (they change no time), and `mini` beside it.

    Args:
        folder: where checkpoint, heads and files go.
        repeats: rounds.
    """
    from wordsight.benchmarks.fold import RANDOM, random_checkpoint
    from wordsight.train.encoders import load_encoder

    return [
        *measure_encoder(load_encoder(random_checkpoint(RANDOM, folder)), folder, repeats),
        *measure_encoder(load_encoder("mini"), folder, repeats),
    ]


def measure_encoder(encoder: "Encoder", folder: Path, repeats: int) -> list[Figure]:
    """Export one head with and without a heat map, and time both through ONNX Runtime, batch 1, in turns."""
    import onnxruntime

    from wordsight.export.onnx import export_model
    from wordsight.train.checkpoint import save_heads
    from wordsight.train.fit import Settings, fit_head

    # What a head has learned changes no time: this one has seen a few hundred random rows.
    rng = np.random.default_rng(0)
    settings = Settings(num_pairs=256)
    rows = rng.standard_normal((2, settings.num_pairs, encoder.embed_dim)).astype(np.float32)
    head_path, model_path = folder / "cost.safetensors", folder / "cost.onnx"
    save_heads(head_path, [fit_head(rows[0], rows[1], settings, 0)], settings, [0], encoder)
    calls, difference = {}, 0.0
    frame = rng.integers(0, 256, (1, encoder.image_size, encoder.image_size, 3), np.uint8)
    for name, heatmap in (("with_heatmap", True), ("without_heatmap", False)):
        report = export_model(head_path, model_path, encoder_spec=encoder.spec, heatmap=heatmap)
        difference = max(difference, report.max.get("heatmap", 0.0))
        session = onnxruntime.InferenceSession(model_path, providers=["CPUExecutionProvider"])
        calls[name] = partial(_pass, session, frame)
    seconds = timing.interleaved(calls, repeats, warm_up=3)
    suffix = ".mini" if encoder.name == "mini" else ""
    figures = [timing.ratio(f"{NAME}{suffix}", seconds["with_heatmap"], seconds["without_heatmap"])]
    figures += [timing.median(f"seconds.{name}{suffix}", values) for name, values in seconds.items()]
    if not suffix:
        figures.append(Figure("difference.heatmap.max", difference, n=report.frames))
    return figures


def _pass(session: Any, frame: np.ndarray) -> None:
    session.run(None, {"frames": frame})
