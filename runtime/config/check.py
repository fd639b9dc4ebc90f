"""Hold a line's file against the machine: models, calibrations, references, sources, sinks. No engine is opened."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordsight.runtime.backends import BACKENDS
from wordsight.runtime.backends.remote_address import is_remote
from wordsight.runtime.config.model_file import ModelFiles
from wordsight.runtime.config.opening import open_line_source
from wordsight.runtime.config.places import Path as Place
from wordsight.runtime.config.problems import Problem, problems_of
from wordsight.runtime.config.read import Loaded
from wordsight.runtime.config.resolve import Resolved, Unresolved, resolve
from wordsight.runtime.config.settings import combinations, settings
from wordsight.runtime.errors import MissingPart, WordsightError
from wordsight.runtime.files import check_output_file
from wordsight.runtime.sinks.registry import SinkContext, SinkKind, sink_kind
from wordsight.runtime.sinks.secrets import variable

if TYPE_CHECKING:
    from pydantic import BaseModel

    from wordsight.runtime.config.schema import SinkSpec

_FILES = ("path",)  # keys of sinks that name a file
_FOLDERS = ("folder", "dir")


@dataclass(frozen=True)
class PlannedSink:
    """A sink that is ready to be made.

    Attributes:
        name: for people; the type, and a number where there are several without a name.
        spec: the common keys.
        kind: the type.
        options: its own keys.
        context: what it may need to know.
    """

    name: str
    spec: "SinkSpec"
    kind: SinkKind
    options: "BaseModel"
    context: SinkContext


@dataclass(frozen=True)
class Checked:
    """A line's file that can be run.

    Attributes:
        loaded: the file.
        resolved: what each line is decided by under each recipe; None is the line's own settings.
        sinks: in the order of the file.
        sources: each line's, as text, credentials masked.
        remarks: what is to be known beforehand, one line each.
    """

    loaded: Loaded
    resolved: Mapping[tuple[str, str | None], Resolved]
    sinks: tuple[PlannedSink, ...]
    sources: Mapping[str, str]
    remarks: tuple[str, ...]


def check(loaded: Loaded) -> Checked:
    """Look at everything that a line's file names.

    Raises:
        LineFileError: something is wrong; all that was found, one line each.
    """
    problems: list[Problem] = []
    spec = loaded.spec
    if spec.backend not in BACKENDS:
        problems.append(Problem(("backend",), f"expected one of {', '.join(BACKENDS)}, got {spec.backend!r}"))
    files = ModelFiles()
    resolved: dict[tuple[str, str | None], Resolved] = {}
    for line, recipe in combinations(loaded):
        try:
            resolved[line, recipe] = resolve(loaded, settings(loaded, line, recipe), files)
        except Unresolved as error:
            problems.append(error.problem)
    sources: dict[str, str] = {}
    waiting: list[str] = []
    for at, one in enumerate(spec.line):
        with _Collected(problems, ("line", at, "credentials" if one.credentials else "source")):
            source = open_line_source(loaded, one)
            sources[one.name] = source.text
            if (told := getattr(source, "remark", None)) is not None:
                waiting.append(f"{one.name}: {told}")
    sinks = _sinks(loaded, problems)
    _outputs(loaded, problems)
    loaded.refuse(problems)
    remarks = (*_decisions(resolved), *waiting, *_page(loaded))
    return Checked(loaded, resolved, tuple(sinks), sources, remarks)


def _decisions(resolved: Mapping[tuple[str, str | None], Resolved]) -> list[str]:
    """Return each remark once a line, with the recipes that it is of where it is not of the line's own settings."""
    whose: dict[tuple[str, str], list[str | None]] = {}
    for found in resolved.values():
        for remark in found.remarks:
            whose.setdefault((found.line, remark), []).append(found.recipe)
    return [
        f"{line}: {remark}" if None in recipes else f"{line} under {', '.join(map(str, recipes))}: {remark}"
        for (line, remark), recipes in whose.items()
    ]


def _page(loaded: Loaded) -> list[str]:
    """Say why the page would not start; no problem of the file, for a service may have its token from elsewhere."""
    from wordsight.runtime.web.access import Access, address, token

    spec = loaded.spec
    if spec.web is None:
        return []
    try:
        Access(address(spec.web), token(None if spec.web_credentials is None else loaded.resolve(spec.web_credentials)))
    except WordsightError as error:
        return [f"web: from here it would not start: {' '.join(str(error).split())}"]
    return []


class _Collected:
    """Turns an error of ours into a problem at a place."""

    def __init__(self, problems: list[Problem], path: Place) -> None:
        self._problems, self._path = problems, path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, WordsightError):
            return False
        lacking = isinstance(error, MissingPart)
        self._problems.append(Problem(self._path, " ".join(str(error).split()), lacking))
        return True


def _sinks(loaded: Loaded, problems: list[Problem]) -> list[PlannedSink]:
    from pydantic import ValidationError

    planned: list[PlannedSink] = []
    every = [line.name for line in loaded.spec.line]
    types = [sink.type for sink in loaded.spec.sink]
    for at, spec in enumerate(loaded.spec.sink):
        with _Collected(problems, ("sink", at, "type")):
            kind = sink_kind(spec.type)
            try:
                options = kind.Options.model_validate(spec.options)
            except ValidationError as error:
                problems += problems_of(error, kind.Options, ("sink", at), ours=False)
                continue
            number = f"-{types[: at + 1].count(spec.type)}" if types.count(spec.type) > 1 else ""
            name = spec.name or f"{spec.type}{number}"
            _own_name(loaded, at, name, planned, "credentials" in kind.Options.model_fields, problems)
            context = SinkContext(loaded.path.parent, tuple(spec.lines or every), loaded.state, loaded.path, name)
            planned.append(PlannedSink(name, spec, kind, options, context))
    return planned


def _own_name(
    loaded: Loaded, at: int, name: str, before: list[PlannedSink], has_secrets: bool, problems: list[Problem]
) -> None:
    """Refuse a name by which another's secrets, or what another keeps, would be taken for this one's."""
    named = loaded.spec.sink[at].name
    place = ("sink", at, "type" if named is None else "name")
    if any(other.name == name and None in (named, other.spec.name) for other in before):
        problems.append(Problem(place, f"it would be called {name!r}, as another is: give it another name"))
    if not has_secrets:
        return
    taken = {f"WORDSIGHT_{line.variable}": f"line {line.name!r}" for line in loaded.spec.line}
    taken |= {
        variable(other.name): f"sink {other.name!r}"
        for other in before
        if other.name != name and "credentials" in type(other.options).model_fields
    }
    if variable(name) in taken:
        told = f"secrets in {variable(name)}_… would be those of {taken[variable(name)]}, too: give it another name"
        problems.append(Problem(place, told))


def _outputs(loaded: Loaded, problems: list[Problem]) -> None:
    """Say early what cannot be written, and what two would write."""
    spec = loaded.spec
    taken = {loaded.path.resolve(): "this file"}
    remote = spec.remote
    read = {"the model": None if is_remote(spec.model) else spec.model}
    if remote is not None:
        read |= {"the fallback": remote.fallback, "the server's manifest": remote.manifest, "a CA file": remote.ca,
                 "a token": remote.token_file}  # fmt: skip
    for whose, text in read.items():
        if text is not None:
            taken.setdefault(loaded.resolve(text).resolve(), whose)

    def claim(place: Place, whose: str, target: Path, looks: Callable[[Path], Any]) -> None:
        with _Collected(problems, place):
            looks(target)
        other = taken.setdefault(target.resolve(), whose)
        if other != whose:
            problems.append(Problem(place, f"{target} is {other}, too: give another"))

    if spec.status is not None:
        claim(("status",), "the status file", loaded.resolve(spec.status), check_output_file)
    claim(("state",), "the folder state", loaded.state, _folder)
    for at, sink in enumerate(spec.sink):
        for key, value in sink.options.items():
            looks = check_output_file if key in _FILES else _folder if key in _FOLDERS else None
            if looks is not None and isinstance(value, str):
                claim(("sink", at, key), f"what sink {at + 1} writes", loaded.resolve(value), looks)


def _folder(path: Path) -> None:
    """Say whether a folder is there or can be made, without making it.

    Raises:
        WordsightError: the reason.
    """
    there = path
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise WordsightError(f"cannot make the folder {path}: {there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise WordsightError(f"cannot make the folder {path}: permission denied in {there}")
