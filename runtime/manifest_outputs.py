"""The parts of the manifest that say how optional outputs come about."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from wordsight.runtime.checks import require


@dataclass(frozen=True, kw_only=True)
class ObjectSpec:
    """An object that the file also knows by name: a column of `s_pr_objects`."""

    name: str
    guiding_normal: str
    guiding_anomalous: str


@dataclass(frozen=True, kw_only=True)
class HeatmapSpec:
    """How patches come into the space of texts, where both scores judge them for `heatmap`."""

    way: Literal["", "grid", "value-value attention", "pooled values"] = ""
    """"grid": the encoder projects its own cells. "value-value attention": a side path through a vision transformer's
    last blocks. "pooled values": a ResNet's attention pool, place by place. "": there is no heat map."""
    blocks: int = 0
    """How many blocks take part in value-value attention."""

    def require_output(self, outputs: Mapping[str, tuple[str | int, ...]]) -> None:
        """Raise ManifestInvalid unless `heatmap` is [N, h, w] where it is given, and given where there is a way."""
        require(self.blocks >= 0, "heatmap.blocks", "0 or more", self.blocks)
        given = outputs.get("heatmap")
        require(given is not None or not self.way, "outputs", "an output heatmap", list(outputs))
        require(given is None or len(given) == 3, "outputs.heatmap", "[N, h, w]", given)


@dataclass(frozen=True, kw_only=True)
class WinclipSpec:
    """How WinCLIP's scores were made, where the file gives them; the defaults are the paper's (arXiv 2303.14814)."""

    temperature: float = 0.01
    """T of the softmax; 0.07 in anomalib."""
    mean: Literal["raw", "unit"] = "raw"
    """Of prompts: of their embeddings as they are, or each brought to unit length first."""
    templates: Literal[22, 21] = 22
    """How many templates each state was put into; 21 in anomalib."""

    def __post_init__(self) -> None:
        require(self.temperature > 0, "winclip.temperature", "above 0", self.temperature)


@dataclass(frozen=True, kw_only=True)
class CentreSpec:
    """What was taken from images before the head sees them: the mean embedding of `count` pictures; none for 0."""

    pictures: str = ""
    """Which, in words; never a path."""
    count: int = 0

    def __post_init__(self) -> None:
        require(self.count >= 0, "centre.count", "0 or more", self.count)
        require(not set("/\\") & set(self.pictures), "centre.pictures", "words, never a path", self.pictures)
