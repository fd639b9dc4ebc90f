"""Few-shot scores: s_img, how unlike the references a frame is, and the sums that it goes into.

    references = read_references("line3.onnx.references.safetensors", for_model=model).first(4)
    distances = s_img(model.score(frames), references, "association")

Two readings of the paper's s_img (section 4.2: "similarities between the image embeddings of test samples and reference
normal samples as described in the paper of WinCLIP"): "embedding" compares whole images, "association" is
WinCLIP's, patch by patch and window by window. Both are (1 - cos) / 2: small beside s_pr and s_fnn in a plain sum, so
`sum_scores` takes weights.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from wordsight.runtime.errors import SettingError
from wordsight.runtime.nearest import Floats, association_map, embedding_distance, grid_side
from wordsight.runtime.references import GRID, References, ReferencesError

if TYPE_CHECKING:
    from wordsight.runtime.model import Scores

Method = Literal["embedding", "association"]


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
    if method not in get_args(Method):
        raise SettingError(f"expected method embedding or association, got {method!r}")
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
    for who, there in (("the model", ours), (references.label, theirs)):
        lacking = [name for name in names if name not in there]
        if lacking:
            raise ReferencesError(
                f"{', '.join(lacking)} not found in {who}: export the model with these outputs (windows need a ViT), "
                "then: wordsight reference add MODEL GOOD... --replace"
            )
    for name in names:
        if ours[name].shape[1:] != theirs[name].shape[1:]:
            raise ReferencesError(
                f"{references.label}: {name} of a reference is {theirs[name].shape[1:]}, of a frame "
                f"{ours[name].shape[1:]}; they came from another model"
            )
    return [ours[name] for name in names], [theirs[name] for name in names]
