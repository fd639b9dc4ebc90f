"""What goes into the manifest of an exported file, from the parts it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from wordsight.runtime.errors import SettingError
from wordsight.runtime.manifest import CropSpec, EncoderSpec, HeatmapSpec, ObjectSpec, PromptSpec

if TYPE_CHECKING:
    from wordsight.export.crops import Layout
    from wordsight.export.heatmap import TextTokens
    from wordsight.train.checkpoint import HeadFile
    from wordsight.train.encoders import Encoder
    from wordsight.train.prompts import PromptPair

_TOOLS = ("torch", "onnx", "onnxscript", "open_clip_torch")


def object_pairs(pair: PromptPair, objects: Sequence[str]) -> list[PromptPair]:
    """The head's own words around further objects.

    Raises:
        SettingError: a name that is empty, given twice, or the head's own object.
    """
    names = [name.strip() for name in objects]
    for index, name in enumerate(names):
        if not name:
            raise SettingError(f"--objects takes names with commas between them, got {','.join(objects)!r}")
        if name == pair.object:
            raise SettingError(f"--objects names {name!r}, which this head has as its own object; leave it out")
        if name in names[:index]:
            raise SettingError(f"--objects names {name!r} twice")
    return [replace(pair, object=name) for name in names]


def describe_encoder(encoder: Encoder) -> EncoderSpec:
    """The encoder, named so that a reader can find it again."""
    # A path would tell strangers about this machine, and help nobody: the hash is what identifies a checkpoint.
    weights = "local checkpoint" if Path(encoder.weights).is_absolute() else encoder.weights
    return EncoderSpec(
        name=encoder.name,
        weights=weights,
        sha256=encoder.sha256,
        licence=encoder.licence,
        embed_dim=encoder.embed_dim,
        note=encoder.note,
    )


def describe_prompts(head_file: HeadFile) -> PromptSpec:
    """The words behind the scores."""
    from wordsight.train.prompts import TEMPLATE_ANOMALOUS, TEMPLATE_NORMAL

    pair = head_file.settings.pair
    guiding_normal, guiding_anomalous = pair.guiding()
    return PromptSpec(
        object=pair.object,
        normal_word=pair.normal,
        anomalous_word=pair.anomalous,
        guiding_normal=guiding_normal,
        guiding_anomalous=guiding_anomalous,
        template_normal=TEMPLATE_NORMAL,
        template_anomalous=TEMPLATE_ANOMALOUS,
    )


def describe_object(pair: PromptPair) -> ObjectSpec:
    """One more object, with the prompts that guide its column."""
    normal, anomalous = pair.guiding()
    return ObjectSpec(name=pair.object, guiding_normal=normal, guiding_anomalous=anomalous)


def describe_crops(layout: Layout, image_size: int) -> CropSpec:
    """The set and its squares; none for the one uncut square of S pixels."""
    return CropSpec(name=layout.crops, boxes=() if layout.shape == (image_size, image_size) else layout.boxes)


def describe_heatmap(heat: TextTokens | None) -> HeatmapSpec:
    """How the heat map's patches come into the space of texts; nothing where there is no heat map."""
    if heat is None:
        return HeatmapSpec()
    return HeatmapSpec(way=heat.way, blocks=heat.blocks)


def tool_versions() -> dict[str, str]:
    """Version by tool, of those that shape the file."""
    found = {}
    for tool in _TOOLS:
        try:
            found[tool.removesuffix("_torch")] = version(tool)
        except PackageNotFoundError:  # a tool that came without metadata, such as a source tree on the path
            found[tool.removesuffix("_torch")] = "unknown"
    return found
