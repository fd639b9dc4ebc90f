"""How the scores of one engine are read: for which object, and beside which references. Many lines share an engine."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from wordsight.runtime.errors import SettingError
from wordsight.runtime.manifest import Manifest

if TYPE_CHECKING:
    from wordsight.runtime.few_shot import FewShot
    from wordsight.runtime.model import Scores


class View:
    """One reading of what a file's engine gives.

    Attributes:
        object: the noun of the guiding prompts that s_pr follows.
        few_shot: the normal references that the score takes in; None without.
        top: highest score there can be: the sum of the weights in use.
    """

    def __init__(self, manifest: Manifest, object: str | None = None, few_shot: "FewShot | None" = None) -> None:
        """Look the object up.

        Args:
            manifest: of the file.
            object: one of the objects that the file knows; None for the one it was exported with.
            few_shot: references, of which it is sure that they are this file's (`few_shot_for`).

        Raises:
            SettingError: the file does not know the object; names those that it knows.
        """
        self.object = manifest.prompts.object if object is None else object
        self.few_shot = few_shot
        self._weights = manifest.score
        self._column = object_column(manifest, self.object)
        self.top = self._weights.w_pr + self._weights.w_fnn + (few_shot.w_img if few_shot else 0.0)

    def of(self, scores: "Scores") -> "Scores":
        """Return the scores of N frames as this view reads them, from those for the file's own object."""
        if self._column is not None and scores.s_pr_objects is not None:
            s_pr = scores.s_pr_objects[:, self._column]
            summed = np.float32(self._weights.w_pr) * s_pr + np.float32(self._weights.w_fnn) * scores.s_fnn
            scores = replace(scores, s_pr=s_pr, score=summed)
        if self.few_shot is None:
            return scores
        return self.few_shot.added_to(scores, self._weights.w_pr, self._weights.w_fnn)


def object_column(manifest: Manifest, name: str) -> int | None:
    """Column of `s_pr_objects` that belongs to an object; None for the default one, whose score is `s_pr` itself.

    Raises:
        SettingError: the file does not know it; names those that it knows.
    """
    if name == manifest.prompts.object:
        return None
    known = [item.name for item in manifest.objects]
    if name not in known:
        every = ", ".join(map(repr, [manifest.prompts.object, *known]))
        raise SettingError(
            f"this model knows the objects {every}, got {name!r}; wordsight export --objects adds others"
        )
    return known.index(name)
