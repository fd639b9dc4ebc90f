"""References: what a model saw of normal frames, where they came from, and how k of them are taken.

    references = read_references("line3.onnx.references.safetensors", for_model=model).first(4)

Memory: a reference takes 4 bytes a number, 4 * (D + P*D' + (W2 + W3)*D) in all; ViT-B/16+ at 240 px with patches and
windows 1.7 MiB, without them 2.5 kB. `MAX_BYTES` bounds a set; comparing adds `nearest.BLOCK_BYTES`.
"""

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.checks import require_sha256
from wordsight.runtime.errors import SettingError, WordsightError

if TYPE_CHECKING:
    from wordsight.runtime.model import Model

__all__ = [
    "GRID", "MAX_BYTES", "MAX_FRAMES", "OUTPUTS", "Origin", "ReferenceFrame", "References", "ReferencesError",
    "origin_of",
]  # fmt: skip

Floats = NDArray[np.float32]

OUTPUTS = ("embedding", "patches", "windows_2", "windows_3")
"""Outputs of the graph that references keep, those of them that the model gives."""
GRID = OUTPUTS[1:]
"""Those that the association needs."""
MAX_BYTES = 512 * 2**20
"""Most bytes of vectors in one set: 300 references with patches and windows of ViT-B/16+ at 240 px."""
MAX_FRAMES = 10_000

_UNIT = 1e-3  # how far from 1 a stored length may be; float16 models round at 1e-3 before we scale, float32 after


class ReferencesError(WordsightError):
    """References that cannot be used: damaged, of another model, or too few."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The model that references came from, and how frames were brought to it; all of it must agree to compare."""

    encoder: str
    weights: str
    encoder_sha256: str
    embed_dim: int
    """D."""
    size: int
    """Pixels of the shorter side of what the graph takes."""
    fit: str
    camera: tuple[int, ...]
    crops: str
    boxes: tuple[tuple[int, int, int], ...]
    model_sha256: str
    """Of the exported file."""

    def __post_init__(self) -> None:
        require_sha256("encoder_sha256", self.encoder_sha256)
        require_sha256("model_sha256", self.model_sha256)

    def require_same(self, model: "Origin", label: str) -> None:
        """Compare with a model's own; `label` names the references in the message.

        Raises:
            ReferencesError: names the first difference, in the order of the fields, and both its values.
        """
        for item in fields(self):
            ours, theirs = getattr(self, item.name), getattr(model, item.name)
            if ours != theirs:
                raise ReferencesError(
                    f"{label} came from another model: {item.name.replace('_', ' ')} {ours or 'none'}, the model has "
                    f"{theirs or 'none'}; make new ones: wordsight reference add MODEL GOOD... --replace, or leave "
                    "them aside: wordsight run --no-references"
                )


@dataclass(frozen=True, kw_only=True)
class ReferenceFrame:
    """Where one reference came from."""

    name: str
    """The picture's or video's own name, without its folder."""
    frame: int
    """Number within it, from 0."""
    sha256: str
    """Of the frame as it was read, see `wordsight.runtime.reference_builder.frame_sha256`."""

    def __post_init__(self) -> None:
        require_sha256("frames.sha256", self.sha256)


@dataclass(frozen=True)
class References:
    """k normal frames as the model saw them.

    Attributes:
        origin: the model they came from.
        frames: k, in the order in which they were added.
        vectors: unit vectors by output: embedding (k, D), patches (k, P, D'), windows_2 (k, W2, D) and windows_3
            (k, W3, D), float32; those that the model gives.
        label: names them in messages: their file.

    Raises:
        ReferencesError: no frames, or vectors that are not as said.
    """

    origin: Origin
    frames: tuple[ReferenceFrame, ...]
    vectors: dict[str, Floats] = field(repr=False)
    label: str = "the references"

    def __post_init__(self) -> None:
        if not self.frames or not self.vectors:
            raise ReferencesError(f"{self.label}: expected at least one reference, got none")
        for name, array in self.vectors.items():
            self._check(name, array)

    def _check(self, name: str, array: Floats) -> None:
        axes = 2 if name == "embedding" else 3
        good = name in OUTPUTS and array.dtype == np.float32 and array.ndim == axes and array.shape[0] == len(self)
        if good and name != "patches":  # patch tokens are as wide as the encoder, not as the shared space
            good = array.shape[-1] == self.origin.embed_dim
        if not good:
            raise ReferencesError(
                f"{self.label}: expected {name} float32 of {len(self)} references and {self.origin.embed_dim} wide, "
                f"got {array.dtype} {array.shape}"
            )
        for index, vectors in enumerate(array):  # one at a time: half a gigabyte needs no second copy
            lengths = np.linalg.norm(vectors, axis=-1)
            if not np.all(np.abs(lengths - 1) <= _UNIT):  # not NaN either
                told = self.frames[index].name
                raise ReferencesError(f"{self.label}: {name} of {told} holds vectors that are not of length 1")

    def __len__(self) -> int:
        return len(self.frames)

    def first(self, k: int) -> "References":
        """The first k that were added; no copy.

        Raises:
            SettingError: k below 1.
            ReferencesError: there are fewer.
        """
        return self._taken(slice(0, self._count(k)))

    def draw(self, k: int, seed: int) -> "References":
        """K of them by chance, in the order they were added; a seed gives the same ones on any version of numpy.

        Raises:
            As `first`; SettingError: a seed below 0.
        """
        self._count(k)
        if seed < 0:
            raise SettingError(f"expected a seed of 0 or more, got {seed}")
        # Generator.choice may change between versions of numpy, PCG64's raw words may not; ties are broken by place.
        keys = np.random.PCG64(seed).random_raw(len(self))
        return self._taken(np.sort(np.argsort(keys, kind="stable")[:k]))

    def joined(self, other: "References") -> "References":
        """These and then `other`, which came from the same model.

        Raises:
            ReferencesError: they did not.
        """
        self.origin.require_same(other.origin, self.label)
        if set(self.vectors) != set(other.vectors):
            raise ReferencesError(f"{self.label} hold {', '.join(self.vectors)}, expected {', '.join(other.vectors)}")
        vectors = {name: np.concatenate((array, other.vectors[name])) for name, array in self.vectors.items()}
        return References(self.origin, (*self.frames, *other.frames), vectors, self.label)

    def _count(self, k: int) -> int:
        if k < 1:
            raise SettingError(f"expected k of at least 1, got {k}")
        if k > len(self):
            raise ReferencesError(f"{self.label}: expected k of at most {len(self)}, the references there are, got {k}")
        return k

    def _taken(self, which: "slice | NDArray[np.intp]") -> "References":
        places = np.arange(len(self))[which]
        vectors = {name: array[which] for name, array in self.vectors.items()}
        return References(self.origin, tuple(self.frames[at] for at in places), vectors, self.label)


def origin_of(model: "Model") -> Origin:
    """Return what references of this model must have come from."""
    manifest = model.manifest
    encoder, spec, crops = manifest.encoder, manifest.input, manifest.crops
    return Origin(
        encoder=encoder.name, weights=encoder.weights, encoder_sha256=encoder.sha256, embed_dim=encoder.embed_dim,
        size=spec.size, fit=spec.fit, camera=spec.camera, crops=crops.name, boxes=crops.boxes,
        model_sha256=model.sha256,
    )  # fmt: skip
