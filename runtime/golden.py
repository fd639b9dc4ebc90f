"""The golden frame: before a line decides anything, its engine scores one known frame as the manifest says."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.errors import WordsightError
from wordsight.runtime.manifest_golden import PATTERN, GoldenSpec

if TYPE_CHECKING:
    from wordsight.runtime.model import Model, Scores

_LEAST = 1e-4  # engines differ by so much without being wrong


class GoldenFrameError(WordsightError):
    """An engine that scores otherwise than the manifest says; nothing it decides can be trusted."""

    exit_code = 3


def golden_frame(height: int, width: int) -> NDArray[np.uint8]:
    """Return the frame "squares-1", (H, W, 3) uint8 BGR, of the size that the graph takes.

    Whole-number arithmetic alone, so that it is the same everywhere: squares, a ramp and a fine weave.
    """
    y, x = np.indices((height, width), np.int64)
    squares = ((x // 8 + y // 8) % 2) * 96
    ramp = (x * 127) // max(1, width - 1)
    weave = ((x * 7 + y * 13) % 32) + ((x * y) % 29)
    planes = (squares + ramp, squares // 2 + weave, 200 - ramp + weave // 2)
    return np.stack(planes, axis=2).clip(0, 255).astype(np.uint8)


def golden_spec(scores: Sequence[float], parity: float, drift: float) -> GoldenSpec:
    """Return what the manifest keeps of the frame.

    Args:
        scores: score, s_pr and s_fnn of torch, in fp32.
        parity: largest difference that was allowed when the file was compared with torch.
        drift: largest difference of a reduced precision from fp32 that was measured; 0 for fp32.
    """
    score, s_pr, s_fnn = map(float, scores)
    # Either side may be the tolerance away from torch; a drawn frame may drift further than the pictures did.
    tolerance = max(_LEAST, 2 * parity, 2 * drift)
    return GoldenSpec(pattern=PATTERN, score=score, s_pr=s_pr, s_fnn=s_fnn, tolerance=tolerance)


def require_golden(model: "Model") -> str:
    """Score the golden frame twice and hold it against the manifest; return what was found, in words.

    Of a model on a server what stands in for it is looked at, too.

    Raises:
        GoldenFrameError: it scores otherwise, or differently each time, or gives no numbers.
        ModelError: the engine fails.
    """
    told = _require(model)
    with model.on_fallback() as there:
        return f"{told}; of the fallback: {_require(model)}" if there else told


def _require(model: "Model") -> str:
    from wordsight.runtime.view import View

    manifest, known = model.manifest, model.manifest.golden
    frame = golden_frame(*manifest.input.shape)
    plain = View(manifest)  # the file's own object, without references: what torch was asked
    first, second = (_three(plain.of(model.score(frame[None]))) for _ in range(2))
    limit = known.tolerance or _LEAST
    if not np.isfinite(first).all() or np.abs(first - second).max() > limit:
        raise GoldenFrameError(
            f"the golden frame of {model.path} scored {first[0]:.4f}, then {second[0]:.4f}, on {model.backend}: "
            "try another backend, and wordsight doctor"
        )
    if known.pattern != PATTERN:
        return "the manifest has no golden frame: one scored twice alike"
    apart = np.abs(first - np.array([known.score, known.s_pr, known.s_fnn]))
    if not apart.max() <= limit:
        raise GoldenFrameError(
            f"the golden frame of {model.path} scored {first[0]:.4f} on {model.backend}, the manifest says "
            f"{known.score:.4f} within {limit:.2g}: try another backend; wordsight verify tells more"
        )
    return f"golden frame within {apart.max():.1g} of the manifest"


def _three(scores: "Scores") -> NDArray[np.float64]:
    return np.array([scores.score[0], scores.s_pr[0], scores.s_fnn[0]], np.float64)
