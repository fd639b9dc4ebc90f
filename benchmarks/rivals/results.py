"""Results as small files, one a cell, so that an interrupted table goes on where it was.

    DIR/cells/<set>/<class>/<method>.<k>shot.draw<d>.<12 hex digits of what identifies the cell>.json

What identifies a cell is all that its figures hang on: method and settings, the hash of the backbone or of the exported
file, those of the pictures that are scored and drawn. Nothing of where they lie.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wordsight.benchmarks.rivals.measure import FIGURES
from wordsight.benchmarks.rivals.methods import Cell
from wordsight.runtime.errors import WordsightError
from wordsight.runtime.files import check_output_folder, whole_file

SCHEMA = 1
Identity = Mapping[str, object]


class CellError(WordsightError):
    """A file of a cell cannot be used."""


@dataclass(frozen=True)
class Result:
    """The figures of a cell, or why there are none.

    Raises:
        ValueError: neither figures nor a reason, or both; figures missing, unknown or out of 0 ... 1.
    """

    cell: Cell
    figures: Mapping[str, float | None] | None = None
    good: int = 0
    defective: int = 0
    reason: str = ""

    def __post_init__(self) -> None:
        """Refuse what could not be read as a result."""
        if (self.figures is None) != bool(self.reason):
            raise ValueError("a cell has figures, or a reason why there are none")
        if self.figures is not None:
            if set(self.figures) != set(FIGURES):
                raise ValueError(f"expected the figures {', '.join(FIGURES)}, got {', '.join(self.figures)}")
            for name, value in self.figures.items():
                if value is not None and not (math.isfinite(value) and 0 <= value <= 1):
                    raise ValueError(f"{name} is {value}; expected a fraction, 0 ... 1")


def path_of(folder: Path, cell: Cell, identity: Identity) -> Path:
    """Where the file of a cell lies."""
    whole = json.dumps([SCHEMA, cell.method, cell.shots, cell.draw, identity], sort_keys=True)
    digest = hashlib.sha256(whole.encode()).hexdigest()[:12]
    name = f"{cell.method}.{cell.shots}shot.draw{cell.draw}.{digest}.json"
    return folder / "cells" / _slug(cell.section) / _slug(cell.category) / name


def save(folder: Path, result: Result, identity: Identity) -> None:
    """Write a cell's file, whole or not at all."""
    path = path_of(folder, result.cell, identity)
    check_output_folder(path.parent)
    document = {
        "schema": SCHEMA, **asdict(result.cell), "good": result.good, "defective": result.defective,
        "figures": dict(result.figures or {}), "identity": dict(identity),
    }  # fmt: skip
    with whole_file(path, "w") as file:
        file.write(json.dumps(document, indent=1, allow_nan=False) + "\n")


def load(folder: Path, cell: Cell, identity: Identity) -> Result | None:
    """The figures of a finished cell; None where there are none yet.

    Raises:
        CellError: its file cannot be read, or is no such file.
    """
    path = path_of(folder, cell, identity)
    if not path.is_file():
        return None
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Result(cell, values["figures"], int(values["good"]), int(values["defective"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CellError(f"{path} is no result of a cell ({error}): delete it and run again") from error


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "set"
