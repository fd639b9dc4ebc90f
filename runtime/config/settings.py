"""What one line is decided by under one recipe: the line's own keys, then the recipe's, then those it has for the line.

Keys that are about scores do not outlive what the scores come from: a recipe with another model, object or references
does not decide by the line's thresholds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wordsight.runtime.config.places import Path

if TYPE_CHECKING:
    from wordsight.runtime.config.read import Loaded
    from wordsight.runtime.config.schema import Judged

_THRESHOLDS = ("defect", "unsure", "calibration")
_REFERENCES = ("references", "shots", "s_img", "weight_img")
_ENDS = {
    "model": ("object", *_REFERENCES, *_THRESHOLDS),
    "object": _THRESHOLDS,
    **dict.fromkeys(_REFERENCES, _THRESHOLDS),
    "defect": ("unsure", "calibration"),
    "calibration": ("defect", "unsure"),
}
"""What a key ends of the tables before its own."""
_KEYS = (*_ENDS, "unsure", "roi", "mask", "gate", "parts")


@dataclass
class Settings:
    """The keys in force; one that nobody gives is absent.

    Attributes:
        line: name of the line.
        recipe: name of the recipe; None for the line's own settings.
        values: value by key.
        at: path of the key in the file, for errors.
    """

    line: str
    recipe: str | None
    values: dict[str, Any] = field(default_factory=dict)
    at: dict[str, Path] = field(default_factory=dict)

    def take(self, table: "Judged", at: Path) -> None:
        """Lay a table over what is there."""
        given = [key for key in _KEYS if key in table.model_fields_set and getattr(table, key) is not None]
        for key in given:
            for ended in _ENDS.get(key, ()):
                self.values.pop(ended, None)
        for key in given:
            self.values[key], self.at[key] = getattr(table, key), (*at, key)

    def place(self, *keys: str) -> Path:
        """Return where the first of these keys that somebody gave stands; else the line's own table."""
        return next((self.at[key] for key in keys if key in self.values), self.at[""])


def settings(loaded: "Loaded", line: str, recipe: str | None) -> Settings:
    """Return what is in force for a line under a recipe, None for its own settings."""
    index = next(at for at, one in enumerate(loaded.spec.line) if one.name == line)
    found = Settings(line, recipe, {"model": loaded.spec.model}, {"": ("line", index), "model": ("model",)})
    found.take(loaded.spec.line[index], ("line", index))
    for at, table in enumerate(loaded.spec.recipe):
        if table.name == recipe:
            found.at[""] = ("recipe", at)
            found.take(table, ("recipe", at))
            if line in table.line:
                found.take(table.line[line], ("recipe", at, "line", line))
    return found


def combinations(loaded: "Loaded") -> Iterator[tuple[str, str | None]]:
    """Give every line under its own settings and under every recipe."""
    for line in loaded.spec.line:
        for recipe in (None, *(one.name for one in loaded.spec.recipe)):
            yield line.name, recipe
