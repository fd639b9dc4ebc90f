"""What is wrong with a line's file: each problem one line, with file, line, key, expected, got, what to do."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from wordsight.runtime.config.places import Path, line_of
from wordsight.runtime.errors import WordsightError
from wordsight.runtime.urls import scrubbed

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

_TOLD = 5  # problems one by one: a failing command takes eight lines at most
_LONGEST = 60


class LineFileError(WordsightError):
    """A line's file that cannot be used; its text is one line a problem, the first few of them."""

    def __init__(self, lines: Sequence[str], exit_code: int = 2) -> None:
        """Keep all lines, tell the first ones; 3 is for a file that is right and a machine that lacks a part."""
        self.exit_code = exit_code
        told = [*lines[:_TOLD], *([f"and {len(lines) - _TOLD} more problems"] if len(lines) > _TOLD else [])]
        super().__init__("\n".join(scrubbed(line) for line in told))
        self.lines = [scrubbed(line) for line in lines]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        path: of the key in the file: ("line", 0, "roi"); empty for the whole file.
        text: what was expected, what was found, what to do.
        lacking: the file is right, and this machine lacks what it needs.
    """

    path: Path
    text: str
    lacking: bool = False

    def told(self, file: str, found: Mapping[Path, int], data: Mapping[str, Any]) -> str:
        """Return the one line: `line.toml:12: [[line]] press-3, roi: expected ..., got ...`."""
        line = line_of(found, self.path)
        where = f"{file}:{line}" if line else file
        key = _key_told(self.path, data)
        return f"{where}: {key}: {self.text}" if key else f"{where}: {self.text}"


def raise_all(problems: Iterable[Problem], file: str, found: Mapping[Path, int], data: Mapping[str, Any]) -> None:
    """Raise the problems, in the order of their lines; do nothing when there are none.

    Raises:
        LineFileError: there are some.
    """
    ordered = sorted(problems, key=lambda problem: line_of(found, problem.path) or 0)
    if ordered:
        lines = list(dict.fromkeys(problem.told(file, found, data) for problem in ordered))
        raise LineFileError(lines, 3 if all(problem.lacking for problem in ordered) else 2)


def problems_of(
    error: "ValidationError", model: "type[BaseModel]", at: Path = (), *, ours: bool = True
) -> list[Problem]:
    """Return what pydantic found, in our words: one problem a key.

    Args:
        error: raised by `model`.
        model: whose fields' descriptions say what was expected.
        at: path of the table that was given to it.
        ours: the descriptions say what is expected; others merely say what a field is for.
    """
    found: dict[Path, Problem] = {}
    tables: dict[Path, Problem] = {}
    for item in error.errors(include_url=False, include_context=True):
        unknown = item["type"] == "extra_forbidden"
        path, description, known = _within(model, item["loc"][:-1] if unknown else item["loc"])
        if unknown:
            name = str(item["loc"][-1])
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            path, text = (*path, name), f"no such key; {hint}"
        elif item["type"] == "missing":
            text = f"missing: expected {description or 'a value'}"
        elif item["type"] == "value_error" and "no region" not in item["msg"]:
            text = item["msg"].removeprefix("Value error, ")
        elif description and ours:
            text = f"expected {description}, got {shortened(item['input'])}"
        else:
            what = f" ({description})" if description else ""
            text = f"{item['msg'][:1].lower()}{item['msg'][1:]}, got {shortened(item['input'])}{what}"
        whole = isinstance(item["input"], Mapping) and item["type"] not in ("value_error", "missing", "extra_forbidden")
        if whole:
            tables[at + path] = Problem(at + path, text)
        else:
            found.setdefault(at + path, Problem(at + path, text))
    # A table that does not fit is told by what is wrong within, where there is something: a union tries it all.
    loose = [problem for path, problem in tables.items() if not any(key[: len(path)] == path for key in found)]
    return [*found.values(), *loose]


def shortened(value: Any) -> str:
    """Return a value as TOML would write it, more or less, and not too long."""
    if isinstance(value, Mapping):
        return "a table"
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    if isinstance(value, str):
        text = f'"{value}"'
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _within(model: "type[BaseModel]", loc: Sequence[str | int]) -> tuple[Path, str | None, list[str]]:
    """Follow a location into the models; what is no key of the file, such as the tried member of a union, is left out.

    Returns:
        The keys, the innermost field's description, and the keys known in the innermost table.
    """
    path: Path = ()
    description: str | None = None
    current: type[BaseModel] | None = model
    known = list(model.model_fields)
    many = ""
    for word in loc:
        if many and (many == "dict" or isinstance(word, int)):
            path, many = (*path, word), ""
        elif current is not None and word in current.model_fields:
            field = current.model_fields[str(word)]
            path, description = (*path, word), field.description
            current, many = _model_in(field.annotation)
            known = known if current is None else list(current.model_fields)
    return path, description, known


def _model_in(annotation: Any) -> "tuple[type[BaseModel] | None, str]":
    """Return the model within a field's type, if there is one, and whether "list" or "dict" of it, or ""."""
    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    origin = getattr(annotation, "__origin__", None)
    many = origin.__name__ if origin in (list, dict) else ""
    for inner in get_args(annotation):
        found, deeper = _model_in(inner)
        if found is not None:
            return found, many or deeper
    return None, ""


def _key_told(path: Path, data: Mapping[str, Any]) -> str:
    """Return "[[line]] press-3, roi" for ("line", 0, "roi")."""
    if not path:
        return ""
    if len(path) >= 2 and isinstance(path[1], int):
        table = data.get(str(path[0]))
        entry = table[path[1]] if isinstance(table, list) and path[1] < len(table) else None
        name = (entry.get("name") or entry.get("type")) if isinstance(entry, Mapping) else None
        head = f"[[{path[0]}]] {name if isinstance(name, str) else path[1] + 1}"
        rest = ".".join(str(word) for word in path[2:])
        return f"{head}, {rest}" if rest else head
    return ".".join(str(word) for word in path)
