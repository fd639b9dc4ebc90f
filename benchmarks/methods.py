"""The paper's methods as functions of what an exported file puts out: one pass over the pictures serves all of them.

N pictures, K seeds, D the embedding's width. Every method gives scores (S, N), one row a seed, or one row in all where
no seed decides anything.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from wordsight.benchmarks.shots import SHOTS, CannotFill, drawn

Floats = NDArray[np.float64]


NEEDS_VIT = "WinCLIP's windows need a ViT and a single view: this file has none"


@dataclass(frozen=True)
class Outputs:
    """What one file said of one set of pictures."""

    labels: NDArray[np.int64]
    """(N,): 0 good, 1 defective."""
    groups: NDArray[np.str_]
    """(N,): what each picture shows. References are of the same group."""
    s_pr: Floats
    """(N,), for the object "object"."""
    s_pr_known: Floats
    """(N,), for the object's own name; (0,) where that is not known."""
    s_fnn_seeds: Floats
    """(N, K)."""
    s_winclip: Floats
    """(N,), WinCLIP's for the object "object"; (0,) where the file does not give it."""
    s_winclip_known: Floats
    """(N,), for the object's own name; (0,) where that is not known either."""
    s_association: Floats
    """(shots, draws, N), the largest value of WinCLIP's association with the references of `shots.SHOTS`; NaN where a
    group has too few good pictures, (0,) where the file has no windows."""
    embedding: NDArray[np.float32]
    """(N, D), unit length."""
    good_embedding: NDArray[np.float32]
    """(M, D), of good pictures that are not scored: what references are drawn from."""
    good_groups: NDArray[np.str_]
    """(M,)."""

    def known(self) -> Floats:
        """s_pr for the object's own name. Raises CannotFill where that is not known."""
        if not len(self.s_pr_known):
            raise CannotFill("what the pictures show has no name in this set")
        return self.s_pr_known

    def winclip(self, *, known: bool) -> Floats:
        """WinCLIP's zero-shot score. Raises CannotFill where the file or the set cannot give it."""
        if not len(self.s_winclip):
            raise CannotFill("this file has no s_winclip: export it with --winclip or --winclip-score")
        if known:
            self.known()
        return self.s_winclip_known if known else self.s_winclip

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The arrays, in order."""
        return tuple(field.name for field in fields(cls))


@dataclass(frozen=True)
class Method:
    """One row of the table."""

    setup: str
    """As the paper's tables say it: what is known of the object, and how many references there are."""
    name: str
    scores: Callable[[Outputs], Floats]
    """Gives (S, N); raises CannotFill."""
    multi_crop: bool = True
    """Whether the row also exists with multi-crop."""


def references(outputs: Outputs, shots: int, draws: int) -> Floats:
    """s_img (draws, N): (1 - the largest cosine with `shots` good pictures of the same group) / 2 (section 3.4).

    Raises:
        CannotFill: a group has fewer good pictures.
    """
    from wordsight.runtime.nearest import embedding_distance

    distances = np.empty((draws, len(outputs.labels)))
    for draw in range(draws):
        for group in np.unique(outputs.groups):
            chosen = drawn(outputs.good_groups, group, shots, draw)
            rows = outputs.groups == group
            distances[draw, rows] = embedding_distance(outputs.embedding[rows], outputs.good_embedding[chosen])
    return distances


def association(outputs: Outputs, shots: int) -> Floats:
    """s_img (draws, N) by WinCLIP's association, on the same draws as `references`.

    Raises:
        CannotFill: the file has no windows, or a group has fewer good pictures.
    """
    if not outputs.s_association.size:
        raise CannotFill(NEEDS_VIT)
    for group in np.unique(outputs.groups):
        drawn(outputs.good_groups, group, shots, 0)  # says how many there are
    return np.asarray(outputs.s_association[SHOTS.index(shots)])


def winclip_few_shot(outputs: Outputs, shots: int) -> Floats:
    """WinCLIP+ (draws, N): (s_0 + the largest value of M_ref) / 2, told the object's own name where it has one."""
    known = len(outputs.s_pr_known) > 0
    return (outputs.winclip(known=known) + association(outputs, shots)) / 2


def _embedding(outputs: Outputs, shots: int) -> Floats:
    return references(outputs, shots, outputs.s_fnn_seeds.shape[1])  # draw i goes with head i


def _few_shot(shots: int, s_img: Callable[[Outputs, int], Floats], *, summed: bool) -> Callable[[Outputs], Floats]:
    def scores(outputs: Outputs) -> Floats:
        distances = s_img(outputs, shots)
        return outputs.s_pr + outputs.s_fnn_seeds.T + distances if summed else distances

    return scores


UNKNOWN, KNOWN = "0-shot unknown object", "0-shot known object"

METHODS = (
    Method(UNKNOWN, "CLIP (s_pr)", lambda o: o.s_pr[None]),
    Method(UNKNOWN, "FNN alone (s_fnn)", lambda o: o.s_fnn_seeds.T),
    Method(UNKNOWN, "CLIP + FNN", lambda o: o.s_pr + o.s_fnn_seeds.T),
    Method(KNOWN, "CLIP (s_pr)", lambda o: o.known()[None]),
    Method(KNOWN, "CLIP + FNN", lambda o: o.known() + o.s_fnn_seeds.T),
    Method(UNKNOWN, "WinCLIP", lambda o: o.winclip(known=False)[None]),
    Method(KNOWN, "WinCLIP", lambda o: o.winclip(known=True)[None]),
    *(
        Method(f"{shots}-shot", name, _few_shot(shots, s_img, summed=summed), multi_crop=False)
        for shots in SHOTS
        for name, s_img, summed in (
            ("s_img, embedding", _embedding, False),
            ("CLIP + FNN + s_img, embedding", _embedding, True),
            ("s_img, association", association, False),
            ("CLIP + FNN + s_img, association", association, True),
            ("WinCLIP+", winclip_few_shot, False),
        )
    ),
)
"""Every row of the results, in order."""
