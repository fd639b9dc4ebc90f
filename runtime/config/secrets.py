"""User and password of a line's camera: from the environment, or from a file that only its owner can read.

    WORDSIGHT_PRESS_3_USER, WORDSIGHT_PRESS_3_PASSWORD      of the line "press-3"
    credentials = "press-3.secret"                          in its table; the file:  user = "..."  password = "..."

They go into `SourceOptions` and nowhere else.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from wordsight.runtime.config import toml
from wordsight.runtime.errors import SettingError
from wordsight.runtime.private_file import read_private

if TYPE_CHECKING:
    from wordsight.runtime.config.schema import LineSpec

_KEYS = ("user", "password")
_SHORTEST = 4  # shorter ones would take out half of every text


@dataclass(frozen=True)
class Credentials:
    """A user and a password, each None where there is none; not shown by `repr`."""

    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)


def credentials(line: "LineSpec", folder: Path, environment: Mapping[str, str] | None = None) -> Credentials:
    """Return what a line's camera is asked with; the environment comes before the file.

    Args:
        line: the line.
        folder: that of the line's file.
        environment: that of the process.

    Raises:
        SettingError: the file is absent, open to others, or holds something else; nothing of it is shown.
    """
    known = os.environ if environment is None else environment
    kept = {} if line.credentials is None else read_secrets(folder / line.credentials)
    both = [known.get(f"WORDSIGHT_{line.variable}_{key.upper()}") or kept.get(key) for key in _KEYS]
    return Credentials(*both)


class Redactor:
    """Takes passwords out of whatever is told: a driver, or a plant's own source, may put one into an error."""

    def __init__(self) -> None:
        """Know none yet."""
        self._known: set[str] = set()

    def add(self, found: Credentials) -> None:
        """Take out this password from now on, as it is and as an address holds it; one of under four signs is kept."""
        if found.password is not None and len(found.password) >= _SHORTEST:
            self._known |= {found.password, quote(found.password), quote(found.password, safe="")}

    def clean(self, text: str) -> str:
        """Return a text without them."""
        for secret in sorted(self._known, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def cleaned(self, value: Any) -> Any:
        """Return JSON values without them."""
        if isinstance(value, str):
            return self.clean(value)
        if isinstance(value, dict):
            return {key: self.cleaned(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.cleaned(inner) for inner in value]
        return value


def read_secrets(path: Path, keys: tuple[str, ...] = _KEYS) -> dict[str, str]:
    """Return the secrets of a file: some of `keys`, at least one.

    Raises:
        SettingError: the file is absent, open to others, or holds something else; nothing of it is shown.
    """
    raw = read_private(path, "user and password")
    try:
        data = toml.loads(raw.decode("utf-8"))
    except (toml.TomlError, UnicodeDecodeError):
        data = {}  # the error would quote a piece of it
    good = all(key in keys and isinstance(value, str) for key, value in data.items())
    if not data or not good:
        lines = " and ".join(f'{key} = "..."' for key in keys)
        raise SettingError(f"{path}: expected lines such as {lines}, and nothing else")
    return data
