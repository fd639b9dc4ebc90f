"""Which recipe is in force: selected by a command or a controller, kept in the folder `state`, picked up at once."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from wordsight.runtime.errors import SettingError
from wordsight.runtime.files import check_output_folder, whole_file

if TYPE_CHECKING:
    from wordsight.runtime.config.read import Loaded

FILE = "recipe.json"
_MAX_BYTES = 2**16


@dataclass(frozen=True)
class Selection:
    """What was selected.

    Attributes:
        all: recipe of every line that has none of its own here; None for the lines' own settings.
        lines: recipe by line.
        made: whether anybody ever selected; if not, the file's `start_recipe` counts.
    """

    all: str | None = None
    lines: Mapping[str, str | None] = field(default_factory=dict)
    made: bool = True

    def of(self, line: str) -> str | None:
        """Return the recipe of a line."""
        return self.lines[line] if line in self.lines else self.all


def read_selection(loaded: "Loaded") -> tuple[Selection, str]:
    """Return what is selected, and what is to be told about it: a recipe that is no more, a file that is damaged."""
    start = Selection(loaded.spec.start_recipe, made=False)
    path = loaded.state / FILE
    try:
        with open(path, "rb") as file:
            data = json.loads(file.read(_MAX_BYTES))
        lines = data["lines"]
        found = Selection(_name(data["all"]), {str(line): _name(name) for line, name in lines.items()})
    except FileNotFoundError:
        return start, ""
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "damaged"
        return start, f"cannot read the recipe that was selected, {path}: {reason.lower()}; as at the start"
    gone = [name for name in (found.all, *found.lines.values()) if name is not None and loaded.recipe(name) is None]
    if gone:
        return start, f"the recipe {gone[0]!r} that was selected is no more in {loaded.path}; as at the start"
    return found, ""


def _name(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError("no name")
    return value


def select(loaded: "Loaded", recipe: str | None, line: str | None = None) -> Selection:
    """Select a recipe; whoever runs the file picks it up within a second, and a restart keeps it.

    Args:
        loaded: the line's file.
        recipe: its name or number; None for the lines' own settings.
        line: for this line alone; None for all, whatever single ones had.

    Raises:
        SettingError: no such recipe or line; names those that there are.
        OSError: it cannot be kept.
    """
    name = None if recipe is None else named(loaded, recipe)
    lines = [one.name for one in loaded.spec.line]
    if line is not None and line not in lines:
        raise SettingError(f"no line {line!r}{_hint(line, lines)}")
    before, _ = read_selection(loaded)
    after = Selection(name) if line is None else Selection(before.all, {**before.lines, line: name})
    check_output_folder(loaded.state)
    with whole_file(loaded.state / FILE, "w") as file:
        file.write(json.dumps({"schema": 1, "all": after.all, "lines": dict(after.lines)}, ensure_ascii=False) + "\n")
    return after


def named(loaded: "Loaded", text: str) -> str:
    """Return the name of the recipe with this name or number; a name comes first.

    Raises:
        SettingError: there is none; names those that there are.
    """
    recipes = loaded.spec.recipe
    for recipe in recipes:
        if recipe.name == text:
            return recipe.name
    for recipe in recipes:
        if recipe.number is not None and str(recipe.number) == text.strip():
            return recipe.name
    known = [one.name if one.number is None else f"{one.name} ({one.number})" for one in recipes]
    if not known:
        raise SettingError(f"no recipe {text!r}: {loaded.path} has no [[recipe]]")
    raise SettingError(f"no recipe {text!r}{_hint(text, [one.name for one in recipes], known)}")


def _hint(text: str, names: list[str], told: list[str] | None = None) -> str:
    near = difflib.get_close_matches(text, names, 1)
    there = f"; there are {', '.join(told or names)}"
    return f"; did you mean {near[0]!r}?{there}" if near else there


def as_data(selection: Selection) -> dict[str, object]:
    """Return a selection as JSON values."""
    return asdict(selection)
