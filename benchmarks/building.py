"""From random words to one exported file, for a benchmark that was given no model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wordsight.train.encoders import Encoder
    from wordsight.train.fit import Settings
    from wordsight.train.head import Head


def train_and_export(
    encoder: "Encoder", settings: "Settings", seeds: Sequence[int], folder: Path, *, cache: Path | None = None
) -> "tuple[Path, list[Head]]":
    """Train one head a seed and export all of them in one file that also gives every seed's own score.

    Args:
        encoder: Whose text tower is the data source and whose image tower is exported.
        settings: See `wordsight.train.fit.Settings`.
        seeds: One head each.
        folder: Where `head.safetensors` and `model.onnx` are written; it must exist.
        cache: Folder that keeps text embeddings from run to run, or None.

    Returns:
        The path of `model.onnx`, and the heads with their histories.
    """
    from wordsight.export.onnx import export_model
    from wordsight.train.checkpoint import save_heads
    from wordsight.train.fit import train_heads

    heads = train_heads(encoder, settings, seeds, cache=cache)
    head_path, model_path = folder / "head.safetensors", folder / "model.onnx"
    save_heads(head_path, heads, settings, seeds, encoder)
    export_model(head_path, model_path, encoder_spec=encoder.spec, seeds_output=True)
    return model_path, heads
