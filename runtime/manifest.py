"""The manifest: what an exported file says about itself, kept in its ONNX metadata as JSON.

Export writes what is described here and the runtime reads it back, before any engine touches the file. N is the batch.
Unknown keys are ignored, so that a file with a few more facts in it stays readable; a missing key, a wrong type or a
value out of range is an error that names the key. Keys that came later within a schema may be missing and then mean
what they meant before: one square, one object. Schema 2 is a file whose graph resizes the frames of one camera, which a
runtime that knows only schema 1 could not feed; all other files are written in schema 1.
"""

import dataclasses
import json
import os
from dataclasses import dataclass, field
from typing import Any, Literal

from wordsight.runtime.checks import OPTIONAL, build, require, require_sha256, require_time, unique_keys
from wordsight.runtime.cost import CostSpec
from wordsight.runtime.errors import ExternalDataRefused, ManifestInvalid, ManifestMissing, ManifestTooNew, ModelDamaged
from wordsight.runtime.manifest_golden import GoldenSpec
from wordsight.runtime.manifest_input import CropSpec, InputSpec
from wordsight.runtime.manifest_outputs import CentreSpec, HeatmapSpec, ObjectSpec, WinclipSpec
from wordsight.runtime.manifest_precision import DriftSpec
from wordsight.runtime.protobuf import inspect_model

__all__ = [
    "METADATA_KEY",
    "CentreSpec",
    "CostSpec",
    "CropSpec",
    "DriftSpec",
    "EncoderSpec",
    "GoldenSpec",
    "HeadSpec",
    "HeatmapSpec",
    "InputSpec",
    "Manifest",
    "ObjectSpec",
    "ParitySpec",
    "PromptSpec",
    "ScoreSpec",
    "WinclipSpec",
    "read_manifest",
]

METADATA_KEY = "wordsight"
"""Key of the manifest in the ONNX file's `metadata_props`."""
SCHEMA = 2
"""The latest schema that this version reads."""
FORMULA: Literal["w_pr * s_pr + w_fnn * s_fnn"] = "w_pr * s_pr + w_fnn * s_fnn"
"""How the two scores are summed (the paper's "CLIP + ours" with both weights 1)."""

Shape = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class EncoderSpec:
    """The CLIP model inside, named so that a reader can find it again; never a path."""

    name: str
    weights: str
    """A tag of open_clip, "mini", or "local checkpoint"."""
    sha256: str
    licence: str
    embed_dim: int
    """D, width of the shared space."""
    note: str = ""

    def __post_init__(self) -> None:
        require(self.name != "", "encoder.name", "a name", self.name)
        require(not set("/\\") & set(self.weights), "encoder.weights", "a tag, never a path", self.weights)
        require_sha256("encoder.sha256", self.sha256)
        require(self.embed_dim >= 1, "encoder.embed_dim", "at least 1", self.embed_dim)


@dataclass(frozen=True, kw_only=True)
class PromptSpec:
    """The words behind the scores (sections 3.1 and 3.2 of the paper)."""

    object: str
    """[o], the noun; "object" where none is named."""
    normal_word: str
    """[n]."""
    anomalous_word: str
    """[a]."""
    guiding_normal: str
    """The prompt of s_pr that stands for a good part."""
    guiding_anomalous: str
    template_normal: str
    """The template whose random words trained the head."""
    template_anomalous: str


@dataclass(frozen=True, kw_only=True)
class ScoreSpec:
    """How `score` comes from s_pr and s_fnn (section 3.3 of the paper)."""

    formula: Literal["w_pr * s_pr + w_fnn * s_fnn"] = FORMULA
    w_pr: float = 1.0
    w_fnn: float = 1.0
    temperature: float = 0.01
    """T of the prompt-guided softmax."""

    def __post_init__(self) -> None:
        require(self.w_pr >= 0, "score.w_pr", "0 or more", self.w_pr)
        require(self.w_fnn >= 0, "score.w_fnn", "0 or more", self.w_fnn)
        require(self.w_pr + self.w_fnn > 0, "score", "one of w_pr and w_fnn above 0", [self.w_pr, self.w_fnn])
        require(self.temperature > 0, "score.temperature", "above 0", self.temperature)


@dataclass(frozen=True, kw_only=True)
class HeadSpec:
    """The head file that was folded in."""

    sha256: str
    seeds: tuple[int, ...]
    """One a folded head, in the order of `s_fnn_seeds`."""

    def __post_init__(self) -> None:
        require_sha256("head.sha256", self.sha256)
        require(len(self.seeds) > 0 and min(self.seeds) >= 0, "head.seeds", "at least one seed, 0 or more", self.seeds)


@dataclass(frozen=True, kw_only=True)
class ParitySpec:
    """How far the exported file was from torch on the same frames when it was written."""

    status: Literal["passed", "exceeded", "not run"]
    """"exceeded": a difference lies beyond the tolerance, and whoever exported the file allowed that."""
    tolerance: float = 0.0
    """Largest difference that was allowed."""
    frames: int = 0
    backend: str = ""
    """Engine, version and provider that were compared."""
    max: dict[str, float] = field(default_factory=dict)
    """Largest absolute difference, by output."""
    mean: dict[str, float] = field(default_factory=dict)
    """Mean absolute difference, by output."""

    def __post_init__(self) -> None:
        require(self.tolerance >= 0, "parity.tolerance", "0 or more", self.tolerance)
        least = 0 if self.status == "not run" else 1
        require(self.frames >= least, "parity.frames", f"{least} or more when {self.status}", self.frames)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All of it; the fields are the keys of the JSON."""

    schema: int = 1
    created: str
    """When, ISO 8601 in UTC: 2026-11-24T06:00:00Z."""
    wordsight: str
    """Version that wrote the file."""
    input: InputSpec
    outputs: dict[str, Shape]
    """Shape by name, all float32: {"score": ("N",), "embedding": ("N", 640), ...}."""
    encoder: EncoderSpec
    prompts: PromptSpec
    score: ScoreSpec
    head: HeadSpec
    training: dict[str, Any]
    """The head's settings, as `wordsight.train` recorded them."""
    precision: str
    opset: int
    parity: ParitySpec
    tools: dict[str, str]
    """Version by tool."""
    crops: CropSpec = field(default_factory=CropSpec, metadata=OPTIONAL)
    objects: tuple[ObjectSpec, ...] = field(default=(), metadata=OPTIONAL)
    """In the order of the columns of `s_pr_objects`; `prompts` holds the default object, which is `s_pr`."""
    heatmap: HeatmapSpec = field(default_factory=HeatmapSpec, metadata=OPTIONAL)
    winclip: WinclipSpec = field(default_factory=WinclipSpec, metadata=OPTIONAL)
    centre: CentreSpec = field(default_factory=CentreSpec, metadata=OPTIONAL)
    cost: CostSpec = field(default_factory=CostSpec, metadata=OPTIONAL)
    drift: DriftSpec = field(default_factory=DriftSpec, metadata=OPTIONAL)
    """Of a file of reduced precision, beside its fp32 twin."""
    golden: GoldenSpec = field(default_factory=GoldenSpec, metadata=OPTIONAL)

    def __post_init__(self) -> None:
        schema = 2 if self.input.frame else 1
        require(self.schema == schema, "schema", f"{schema}, as input.frame says", self.schema)
        require_time("created", self.created)
        require(self.precision != "", "precision", "a name such as fp32", self.precision)
        require(self.opset >= 1, "opset", "at least 1", self.opset)
        for name in ("score", "s_pr", "s_fnn"):
            require(name in self.outputs, "outputs", f"an output {name}", list(self.outputs))
            require(self.outputs[name] == ("N",), f"outputs.{name}", ["N"], list(self.outputs[name]))
        self._require_width("embedding", self.encoder.embed_dim)
        self._require_width("s_fnn_seeds", len(self.head.seeds))
        self.crops.require_inside(*self.input.fitted)
        names = [known.name for known in self.objects]
        require(len(names) == len(set(names)) and "" not in names, "objects", "a name of its own for each", names)
        require(not names or "s_pr_objects" in self.outputs, "outputs", "an output s_pr_objects", list(self.outputs))
        self._require_width("s_pr_objects", len(names))
        self._require_width("s_winclip_objects", len(names))
        self.heatmap.require_output(self.outputs)
        for name, shape in self.outputs.items():
            good = shape[:1] == ("N",) and all(isinstance(axis, str) or axis >= 1 for axis in shape)
            require(good, f"outputs.{name}", "a shape that begins with N", list(shape))

    def _require_width(self, name: str, width: int) -> None:
        if name in self.outputs:
            require(self.outputs[name] == ("N", width), f"outputs.{name}", ["N", width], list(self.outputs[name]))

    def to_json(self) -> str:
        """The manifest as JSON text, in the order of the fields."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """Read a manifest from JSON text.

        Raises:
            ManifestTooNew: its schema is later than `SCHEMA`.
            ManifestInvalid: it is no JSON, or a key is missing, of the wrong type, or out of range.
        """
        try:
            data = json.loads(text, object_pairs_hook=unique_keys)
        except (ValueError, RecursionError) as error:  # RecursionError: a hundred thousand brackets
            raise ManifestInvalid(f"the manifest is no valid JSON: {error}") from error
        if not isinstance(data, dict):
            raise ManifestInvalid(f"the manifest should be a JSON object, got {type(data).__name__}")
        schema = data.get("schema")
        # Before anything else: a later schema may have renamed all the rest.
        if isinstance(schema, int) and schema > SCHEMA:
            raise ManifestTooNew(
                f"the model's manifest has schema {schema}, this Wordsight reads up to {SCHEMA}; "
                "update Wordsight: pip install -U wordsight"
            )
        return build(cls, {"schema": None, **data})


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Read the manifest of an exported file without any engine, and hold the file against it.

    Refuses what no engine should be shown: a file that is damaged, or that keeps a tensor in another file.

    Args:
        path: an ONNX file that `wordsight export` wrote.

    Raises:
        ModelError: no such file, a folder, an empty file.
        ModelDamaged: truncated, garbage, not ONNX, or its graph lacks an output that the manifest promises.
        ExternalDataRefused: a tensor lives in another file.
        ManifestMissing, ManifestTooNew, ManifestInvalid: as their names say.
    """
    facts = inspect_model(path)
    if facts.external:
        raise ExternalDataRefused(
            f"{path} keeps {facts.external} in another file; a model must be one file: export it again"
        )
    if METADATA_KEY not in facts.metadata:
        raise ManifestMissing(f"{path} is an ONNX file without a Wordsight manifest; make one with: wordsight export")
    try:
        manifest = Manifest.from_json(facts.metadata[METADATA_KEY])
    except (ManifestInvalid, ManifestTooNew) as error:
        raise type(error)(f"{path}: {error}") from error
    lacking = {manifest.input.name}.difference(facts.inputs) | manifest.outputs.keys() - set(facts.outputs)
    if lacking:
        raise ModelDamaged(f"{path}: the graph lacks what its manifest promises: {', '.join(sorted(lacking))}")
    return manifest
