"""Read a line's file: TOML, schema, and what its tables must agree on; nothing it names is opened."""

import difflib
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordsight.runtime.backends.remote_address import RemoteAddress, is_remote, parse_address
from wordsight.runtime.backends.remote_settings import LINE_DEADLINE_S, RemoteSettings
from wordsight.runtime.config import places, toml
from wordsight.runtime.config.problems import LineFileError, Problem, problems_of, raise_all
from wordsight.runtime.errors import MissingPart
from wordsight.runtime.urls import masked

if TYPE_CHECKING:
    from wordsight.runtime.config.schema import LineFile, LineSpec, RecipeSpec

_TOML_PLACE = re.compile(r"^(.*?) \(at (?:line (\d+), column \d+|end of document)\)$", re.DOTALL)
_SECRET_KEY = re.compile(
    r"^(user(name)?|login|pwd|auth|authorization|bearer|api_?key|.*(password|passwd|passphrase|token|secret))$", re.I
)


@dataclass(frozen=True)
class Loaded:
    """A line's file that was read.

    Attributes:
        path: as it was given.
        spec: what it says.
        data: the same as plain TOML values.
        found: line of each key.
        sha256: of its bytes.
    """

    path: Path
    spec: "LineFile"
    data: Mapping[str, Any]
    found: Mapping[places.Path, int]
    sha256: str

    def resolve(self, text: str) -> Path:
        """Return a path of the file: relative ones are relative to the file's folder."""
        return self.path.parent / text

    def model(self, text: str) -> "Path | RemoteAddress":
        """Return where a model is: a file, or on a server.

        Raises:
            SettingError: no address of a model.
        """
        return parse_address(text) if is_remote(text) else self.resolve(text)

    def remote(self, text: str) -> RemoteSettings:
        """Return how a server is asked for a model; what is said of one file is said of the file's `model` alone."""
        spec = self.spec.remote
        if spec is None:
            return RemoteSettings(deadline_s=LINE_DEADLINE_S)

        def place(given: str | None) -> Path | None:
            return None if given is None else self.resolve(given)

        ours = text == self.spec.model
        return RemoteSettings(
            spec.deadline_ms / 1000, place(spec.ca), place(spec.token_file),
            place(spec.manifest) if ours else None, spec.expect_sha256 if ours else None,
            place(spec.fallback) if ours else None, spec.any_fallback and ours,
        )  # fmt: skip

    @property
    def state(self) -> Path:
        """The folder for what is remembered across a restart: by default NAME.state beside the status file."""
        if self.spec.state is not None:
            return self.resolve(self.spec.state)
        beside = self.path if self.spec.status is None else self.resolve(self.spec.status)
        return beside.parent / f"{self.path.stem}.state"

    def line(self, name: str) -> "LineSpec":
        """Return the line of this name; there is one."""
        return next(line for line in self.spec.line if line.name == name)

    def recipe(self, name: str) -> "RecipeSpec | None":
        """Return the recipe of this name, if there is one."""
        return next((recipe for recipe in self.spec.recipe if recipe.name == name), None)

    def refuse(self, problems: list[Problem]) -> None:
        """Raise problems that were found later.

        Raises:
            LineFileError: there are some.
        """
        raise_all(problems, str(self.path), self.found, self.data)


def read_line_file(path: str | os.PathLike[str]) -> Loaded:
    """Read a line's file.

    Raises:
        LineFileError: it cannot be read, is no TOML, or says what it may not; one line a problem.
        MissingPart: pydantic, or on Python 3.10 tomli, is absent.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise LineFileError([f"{path}: expected a file, got {'a folder' if path.is_dir() else 'no plain file'}"])
        with open(path, "rb") as file:
            raw = file.read(toml.MOST_BYTES + 1)
    except OSError as error:
        raise LineFileError([f"{path}: cannot be read: {(error.strerror or str(error)).lower()}"]) from error
    if len(raw) > toml.MOST_BYTES:
        raise LineFileError([f"{path}: expected at most {toml.MOST_BYTES:,} bytes, got more"])
    try:
        text = raw.decode("utf-8")
        data = toml.loads(text)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise LineFileError([f"{path}:{line}: expected UTF-8, got the byte {raw[error.start]:#04x}"]) from error
    except toml.TomlError as error:
        raise LineFileError([_no_toml(path, str(error), text.count("\n") + 1)]) from error
    found = places.places(text)
    raise_all(_secrets(data), str(path), found, data)  # first of all: no other message may then show one

    try:
        from pydantic import ValidationError
    except ModuleNotFoundError as error:
        raise MissingPart("a line's file needs pydantic, which checks it", "pip install 'pydantic>=2.9,<3'") from error

    from wordsight.runtime.config.schema import LineFile

    try:
        spec = LineFile.model_validate(data)
    except ValidationError as error:
        raise_all(problems_of(error, LineFile), str(path), found, data)
        raise
    raise_all(_disagreements(spec), str(path), found, data)
    return Loaded(path, spec, data, found, hashlib.sha256(raw).hexdigest())


def _no_toml(path: Path, message: str, last: int) -> str:
    match = _TOML_PLACE.match(message)
    if match is None:
        return f"{path}: no valid TOML: {message}"
    return f"{path}:{match.group(2) or last}: no valid TOML: {match.group(1).lower()}"


def _secrets(value: Any, at: places.Path = ()) -> Iterator[Problem]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if _SECRET_KEY.match(key) and not isinstance(inner, (Mapping, bool)):
                yield Problem((*at, key), f"a secret in this file; {_ELSEWHERE}")
            else:
                yield from _secrets(inner, (*at, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _secrets(inner, (*at, index))
    elif isinstance(value, str) and masked(value) != value:
        yield Problem(at, f"a user, password or key in an address, {masked(value)}; {_ELSEWHERE}")


_ELSEWHERE = (
    "expected it in the environment, for a line WORDSIGHT_<LINE>_USER and _PASSWORD, or in a file that only its "
    "owner can read"
)


def _disagreements(spec: "LineFile") -> Iterator[Problem]:
    """Give what no single table shows."""
    yield from _repeated("line", [line.name for line in spec.line], "name")
    yield from _repeated("recipe", [recipe.name for recipe in spec.recipe], "name")
    yield from _repeated("recipe", [recipe.number for recipe in spec.recipe], "number")
    yield from _repeated("sink", [sink.name for sink in spec.sink], "name")
    variables: dict[str, str] = {}
    for at, line in enumerate(spec.line):
        other = variables.setdefault(line.variable, line.name)
        if other != line.name:
            told = f"WORDSIGHT_{line.variable}_PASSWORD would be that of {other!r}, too: give it another name"
            yield Problem(("line", at, "name"), told)
    lines = [line.name for line in spec.line]
    for at, recipe in enumerate(spec.recipe):
        for name in recipe.line:
            if name not in lines:
                yield Problem(("recipe", at, "line", name), _unknown("line", name, lines))
    for at, sink in enumerate(spec.sink):
        for name in sink.lines or ():
            if name not in lines:
                yield Problem(("sink", at, "lines"), _unknown("line", name, lines))
    models = [spec.model, *(one.model for recipe in spec.recipe for one in (recipe, *recipe.line.values()))]
    if spec.remote is not None and not any(map(is_remote, models)):
        yield Problem(("remote",), 'expected a model on a server beside it, such as model = "grpc://host:8001/model"')
    recipes = [recipe.name for recipe in spec.recipe]
    if spec.start_recipe is not None and spec.start_recipe not in recipes:
        yield Problem(("start_recipe",), _unknown("recipe", spec.start_recipe, recipes))


def _repeated(table: str, values: list[Any], key: str) -> Iterator[Problem]:
    seen: set[Any] = set()
    for at, value in enumerate(values):
        if value is not None and value in seen:
            yield Problem((table, at, key), f"{value!r} is there already: expected a {key} of its own for each")
        seen.add(value)


def _unknown(what: str, name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(map(repr, known)) or 'none'}"
    return f"no {what} {name!r}; {hint}"
