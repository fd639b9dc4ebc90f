"""Natural captions for the t-SNE plots of Figure 5: the user's COCO captions, or a small set of our own.

The paper (section 4.5) takes COCO captions with the word "normal" and with the word "damage". COCO is not shipped;
`captions.csv` beside this module holds pairs of sentences written for Wordsight: a scene without and with damage.
"""

import csv
import json
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from wordsight.runtime.errors import SourceError

# Beginnings of words: "normally" and "damaged" count, "abnormal" does not.
_NORMAL, _DAMAGE = re.compile(r"\bnormal", re.IGNORECASE), re.compile(r"\bdamag", re.IGNORECASE)


class CaptionsError(SourceError):
    """A file of captions cannot be used."""


@dataclass(frozen=True)
class Captions:
    """Sentences by kind, and what plots call them."""

    source: str
    normal: list[str]
    damaged: list[str]


def own_captions() -> Captions:
    """Our own sentences; those at the same place show the same scene."""
    text = resources.files(__package__).joinpath("captions.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    return Captions("our own sentences", [row["normal"] for row in rows], [row["damaged"] for row in rows])


def read_coco(path: Path, limit: int = 300, seed: int = 0) -> Captions:
    """Captions of a COCO captions file, `{"annotations": [{"caption": ...}, ...]}`, that say normal or damage.

    Captions that say both are left out. Of more than `limit` of a kind, `limit` are drawn by `seed`.

    Raises:
        CaptionsError: the file is missing, is no such JSON, or has no caption of one of the kinds.
    """
    expected = 'expected a COCO captions file, {"annotations": [{"caption": "..."}, ...]}'
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CaptionsError(f"cannot read the captions {path}: {error.strerror}") from error
    except ValueError as error:
        raise CaptionsError(f"{expected}, got {path}, which is no JSON ({error})") from error
    annotations = document.get("annotations") if isinstance(document, dict) else None
    if not isinstance(annotations, list):
        raise CaptionsError(f'{expected}, got {path} without a list "annotations"')
    normal: dict[str, None] = {}
    damaged: dict[str, None] = {}
    for i, annotation in enumerate(annotations):
        caption = annotation.get("caption") if isinstance(annotation, dict) else None
        if not isinstance(caption, str):
            raise CaptionsError(f'{expected}, got {path} whose annotations[{i}] has no text "caption"')
        says = bool(_NORMAL.search(caption)), bool(_DAMAGE.search(caption))
        if says[0] != says[1]:
            (normal if says[0] else damaged)[" ".join(caption.split())] = None
    for word, found in (("normal", normal), ("damage", damaged)):
        if not found:
            raise CaptionsError(f'none of the {len(annotations)} captions of {path} has the word "{word}"')
    return Captions(f"COCO captions, {path.name}", _draw(list(normal), limit, seed), _draw(list(damaged), limit, seed))


def _draw(captions: list[str], limit: int, seed: int) -> list[str]:
    if len(captions) <= limit:
        return captions
    chosen = np.random.default_rng(seed).choice(len(captions), limit, replace=False)
    return [captions[i] for i in sorted(chosen)]
