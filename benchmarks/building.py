"""From random words to one exported file, for a benchmark that was given no model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wordsight.train.encoders import Encoder
    from wordsight.train.fit import Settings
    from wordsight.train.head import Head


def train_and_export(
    encoder: "Encoder",
    settings: "Settings",
    seeds: Sequence[int],
    folder: Path,
    *,
    cache: Path | None = None,
    heatmap: bool = False,
) -> "tuple[Path, list[Head]]":
    """Train one head a seed and export all of them in one file that also gives every seed's own score.

    Args:
        encoder: Whose text tower is the data source and whose image tower is exported.
        settings: See `wordsight.train.fit.Settings`.
        seeds: One head each.
        folder: Where `head.safetensors` and `model.onnx` are written; it must exist.
        cache: Folder that keeps text embeddings from run to run, or None.
        heatmap: Let the file give heat maps, too.

    Returns:
        The path of `model.onnx`, and the heads with their histories.
    """
    from wordsight.export.onnx import export_model
    from wordsight.train.checkpoint import save_heads
    from wordsight.train.fit import train_heads

    heads = train_heads(encoder, settings, seeds, cache=cache)
    head_path, model_path = folder / "head.safetensors", folder / "model.onnx"
    save_heads(head_path, heads, settings, seeds, encoder)
    export_model(head_path, model_path, encoder_spec=encoder.spec, seeds_output=True, heatmap=heatmap)
    return model_path, heads


def exported(
    encoder_spec: str, settings: "Settings", seeds: Sequence[int], folder: Path, crops: str, objects: Sequence[str],
    heatmap: bool = False,
) -> Path:  # fmt: skip
    """The exported file of these settings in `folder`, made where it is not there yet.

    Heads are trained once for all crop sets. What lies in the folder is taken only if its manifest says the same; a
    file with heat maps serves where none are asked for.

    Raises:
        SettingError: the folder holds heads of other settings or another encoder.
    """
    from wordsight.export.onnx import export_model
    from wordsight.export.windows import has_windows
    from wordsight.runtime.errors import SettingError
    from wordsight.runtime.manifest import read_manifest
    from wordsight.train.checkpoint import load_heads, save_heads
    from wordsight.train.encoders import check_spec, load_encoder
    from wordsight.train.fit import train_heads

    head_path = folder / "head.safetensors"
    path = folder / f"model-{in_name(crops)}.onnx"
    heads = load_heads(head_path) if head_path.is_file() else None
    if heads is not None:
        if heads.settings != settings or tuple(heads.seeds) != tuple(seeds):
            raise SettingError(f"{head_path} is of other settings or seeds: name another folder, or delete it")
        if (heads.encoder["name"], heads.encoder["weights"]) != check_spec(encoder_spec):
            raise SettingError(f"{head_path} is of another encoder than {encoder_spec}: name another folder")
        if path.is_file():
            manifest = read_manifest(path)
            same = manifest.head.sha256 == heads.sha256 and [o.name for o in manifest.objects] == list(objects)
            if same and "s_winclip" in manifest.outputs and (not heatmap or "heatmap" in manifest.outputs):
                return path
    encoder = load_encoder(encoder_spec)
    if heads is None:
        save_heads(head_path, train_heads(encoder, settings, seeds), settings, seeds, encoder)
    windows = crops == "single" and has_windows(encoder.model.get_submodule("visual"))
    export_model(head_path, path, encoder_spec=encoder_spec, crops=crops, objects=objects, seeds_output=True,
                 winclip=True, winclip_windows=windows, heatmap=heatmap)  # fmt: skip
    return path


def in_name(crops: str) -> str:
    """A crop set as a part of a file's name."""
    return crops.replace("+", "-")
