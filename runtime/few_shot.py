"""Few-shot scores: s_img, how unlike the references a frame is, and the sums that it goes into.

    references = read_references("line3.onnx.references.safetensors").first(4)
    with Model("line3.onnx", references=FewShot(references, "association")) as model:
        scores = model.score(frames)  # .s_img, and .score with it

Two readings of the paper's s_img (section 4.2: "similarities between the image embeddings of test samples and reference
normal samples as described in the paper of WinCLIP"): "embedding" compares whole images, "association" is
WinCLIP's, patch by patch and window by window. Both are (1 - cos) / 2: small beside s_pr and s_fnn in a plain sum, so
`sum_scores` takes weights.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from wordsight.runtime.errors import SettingError
from wordsight.runtime.nearest import Floats, association_map, embedding_distance, grid_side
from wordsight.runtime.references import GRID, References, ReferencesError, origin_of
from wordsight.runtime.references_file import read_references

if TYPE_CHECKING:
    from wordsight.runtime.model import Model, Scores

Method = Literal["embedding", "association"]


@dataclass(frozen=True)
class FewShot:
    """Normal references, and how they enter the score.

    Attributes:
        references: k normal frames as the model saw them.
        method: how a frame is compared with them, see `s_img`.
        w_img: weight of s_img in the score, 0 or more.

    Raises:
        SettingError: no such method, or a weight that is below 0 or not finite.
        ReferencesError: the references lack what the method compares.
    """

    references: References
    method: Method = "embedding"
    w_img: float = 1.0

    def __post_init__(self) -> None:
        _check_method(self.method)
        if not (np.isfinite(self.w_img) and self.w_img >= 0):
            raise SettingError(f"expected a weight of s_img of 0 or more, got {self.w_img:g}")
        _require(self.references.label, self.references.vectors, _needed(self.method))

    def require_for(self, model: "Model") -> None:
        """Compare with the model that is to use them; needs its manifest and file, not its engine.

        Raises:
            ReferencesError: they came from another model, or this one lacks an output that the method compares.
        """
        self.references.origin.require_same(origin_of(model), self.references.label)
        _require("the model", model.manifest.outputs, _needed(self.method))

    def added_to(self, scores: "Scores", w_pr: float, w_fnn: float) -> "Scores":
        """Return the scores of N frames with `s_img` (N,), and with `score` = w_pr s_pr + w_fnn s_fnn + w_img s_img."""
        distances = s_img(scores, self.references, self.method)
        summed = sum_scores(scores, distances, w_pr=w_pr, w_fnn=w_fnn, w_img=self.w_img)
        return replace(scores, s_img=distances, score=summed)


def few_shot_for(model: "Model", given: "FewShot | References | str | os.PathLike[str]") -> FewShot:
    """Return references, given as they are or by their file, once it is sure that they are this model's.

    Raises:
        ReferencesError: no such file, damaged, or another model's; see `read_references` and `FewShot.require_for`.
    """
    if isinstance(given, (str, os.PathLike)):
        given = read_references(given, for_model=model)
    chosen = given if isinstance(given, FewShot) else FewShot(given)
    chosen.require_for(model)
    return chosen


def s_img(scores: "Scores", references: References, method: Method = "embedding") -> Floats:
    """How unlike the references each frame is.

    Args:
        scores: N frames of the model that the references came from.
        references: see `References.first` and `References.draw` for taking k of them.
        method: "embedding", or "association": the largest value of `s_img_map`.

    Returns:
        (N,), 0 to 1; higher is more anomalous.

    Raises:
        SettingError: no such method.
        ReferencesError: the model or the references lack the outputs it needs, or their shapes differ.
    """
    _check_method(method)
    if method == "embedding":
        (ours,), (theirs,) = _both(scores, references, ("embedding",))
        return embedding_distance(ours, theirs)
    return np.asarray(s_img_map(scores, references).max(axis=(1, 2)), np.float32)


def s_img_map(scores: "Scores", references: References) -> Floats:
    """WinCLIP's reference association, see `nearest.association_map`.

    Returns:
        (N, g, g), 0 to 1, one value a patch.

    Raises:
        ReferencesError: as `s_img`, or the patches are not those of one square view.
    """
    ours, theirs = _both(scores, references, GRID)
    counts = [array.shape[1] for array in theirs]
    if grid_side(*counts) is None:
        raise ReferencesError(
            f"{references.label}: expected g*g patches, (g-1)**2 windows_2 and (g-2)**2 windows_3, got {counts}; "
            "the association needs a model of one square view"
        )
    return association_map((ours[0], ours[1], ours[2]), (theirs[0], theirs[1], theirs[2]))


def winclip_sum(zero_shot: Floats, association: Floats) -> Floats:
    """WinCLIP's few-shot fusion: s_0 / 2 + max M_ref / 2 for images, (M_0 + M_ref) / 2 for maps.

    Args:
        zero_shot: (N,) s_0, such as s_pr; or maps (N, g, g).
        association: (N,) of `s_img(..., "association")`; or maps of `s_img_map`.
    """
    return np.asarray((zero_shot + association) / np.float32(2), np.float32)


def sum_scores(
    scores: "Scores", distances: Floats, *, w_pr: float = 1.0, w_fnn: float = 1.0, w_img: float = 1.0
) -> Floats:
    """The paper's fusion, s_pr + s_fnn + s_img (section 4.2); plain with all weights 1.

    Args:
        scores: N frames.
        distances: (N,) of `s_img`.
        w_pr: weight of s_pr, 0 or more; likewise the others.
        w_fnn: of s_fnn.
        w_img: of s_img.

    Raises:
        SettingError: a weight below 0 or not finite, or all of them 0.
    """
    weights = (w_pr, w_fnn, w_img)
    if not all(np.isfinite(weight) and weight >= 0 for weight in weights) or sum(weights) == 0:
        raise SettingError(f"expected weights of 0 or more, one of them above 0, got {weights}")
    return np.asarray(w_pr * scores.s_pr + w_fnn * scores.s_fnn + w_img * distances, np.float32)


def _both(scores: "Scores", references: References, names: Sequence[str]) -> tuple[list[Floats], list[Floats]]:
    """Return the outputs `names` of the frames and of the references, once they fit each other."""
    ours = {name: array for name in names if (array := getattr(scores, name, None)) is not None}
    theirs = references.vectors
    _require("the model", ours, names)
    _require(references.label, theirs, names)
    for name in names:
        if ours[name].shape[1:] != theirs[name].shape[1:]:
            raise ReferencesError(
                f"{references.label}: {name} of a reference is {theirs[name].shape[1:]}, of a frame "
                f"{ours[name].shape[1:]}; they came from another model"
            )
    return [ours[name] for name in names], [theirs[name] for name in names]


def _check_method(method: str) -> None:
    if method not in get_args(Method):
        raise SettingError(f"expected method embedding or association, got {method!r}")


def _needed(method: Method) -> Sequence[str]:
    return ("embedding",) if method == "embedding" else GRID


def _require(who: str, there: Iterable[str], names: Sequence[str]) -> None:
    lacking = sorted(set(names).difference(there))
    if lacking:
        raise ReferencesError(
            f"{', '.join(lacking)} not found in {who}: export the model with these outputs (windows need a ViT), "
            "then: wordsight reference add MODEL GOOD... --replace"
        )
