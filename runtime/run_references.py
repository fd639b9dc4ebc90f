"""Which references `wordsight run` takes: those beside the model, those that are named, or none."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wordsight.runtime.errors import SettingError

if TYPE_CHECKING:
    from wordsight.runtime.few_shot import FewShot, Method


@dataclass(frozen=True)
class ReferenceOptions:
    """What the command line says about references.

    Attributes:
        file: `--references`; None for those beside the model, if there are some.
        none: `--no-references`.
        shots: `--shots`, k; None for all there are.
        method: `--s-img`; None for the embedding.
        weight: `--weight-img`; None for 1.
    """

    file: Path | None = None
    none: bool = False
    shots: int | None = None
    method: "Method | None" = None
    weight: float | None = None

    def place(self, model: str | os.PathLike[str]) -> Path | None:
        """Return where the references of this run lie; None when it has none.

        Raises:
            SettingError: an option about references in a run that has none.
        """
        from wordsight.runtime.references_file import default_path

        if self.none and self.file is not None:
            raise SettingError("expected --references FILE or --no-references, got both")
        beside = default_path(model)
        place = None if self.none else self.file or (beside if os.path.lexists(beside) else None)
        given = {"--shots": self.shots, "--s-img": self.method, "--weight-img": self.weight}
        idle = [option for option, value in given.items() if value is not None]
        if place is None and idle:
            why = "--no-references was given" if self.none else f"there is no {beside}"
            raise SettingError(
                f"{idle[0]} needs references and {why}; make them: wordsight reference add MODEL GOOD..."
            )
        return place

    def read(self, place: Path) -> "FewShot":
        """Read the references; whether they are the model's is for `Model` to find out.

        Raises:
            ReferencesError: absent or damaged, or fewer than `shots`, or without what the method compares.
            SettingError: shots or weight out of range.
        """
        from wordsight.runtime.few_shot import FewShot
        from wordsight.runtime.references_file import read_references

        references = read_references(place)
        if self.shots is not None:
            references = references.first(self.shots)
        return FewShot(references, self.method or "embedding", 1.0 if self.weight is None else self.weight)


def told(few_shot: "FewShot", w_pr: float, w_fnn: float) -> str:
    """Return the line that a run ends with: the sum, the references and their file."""
    weights = {"s_pr": w_pr, "s_fnn": w_fnn, "s_img": few_shot.w_img}
    terms = " + ".join(name if weight == 1 else f"{weight:g} {name}" for name, weight in weights.items())
    count = len(few_shot.references)
    return (
        f"score = {terms}; s_img by {few_shot.method} from {count} reference{'s' if count != 1 else ''} of "
        f"{few_shot.references.label}"
    )
