"""What a score comes from: made by anything else it would be another number."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wordsight.runtime.calibration import UsedReferences, used_references
from wordsight.runtime.checks import require_sha256

if TYPE_CHECKING:
    from wordsight.runtime.few_shot import FewShot


@dataclass(frozen=True)
class ScoredBy:
    """Scores and thresholds with the same one may be compared.

    Attributes:
        model_sha256: of the exported file.
        object: the noun that s_pr followed.
        references: those that the score took in; None without.
    """

    model_sha256: str
    object: str
    references: UsedReferences | None

    def __post_init__(self) -> None:
        require_sha256("model_sha256", self.model_sha256)

    @classmethod
    def of(cls, model_sha256: str, object_name: str, few_shot: "FewShot | None") -> "ScoredBy":
        """Return what scores come from that a model makes with these references."""
        return cls(model_sha256, object_name, used_references(few_shot))
