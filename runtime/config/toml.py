"""TOML by the standard library, or by its twin for Python 3.10."""

import sys
from typing import Any

from wordsight.runtime.errors import MissingPart

MOST_BYTES = 2**20


class TomlError(ValueError):
    """A text that is no TOML; the message may quote a piece of it."""


def loads(text: str) -> dict[str, Any]:
    """Return a TOML text as plain values.

    Raises:
        TomlError: it is none.
        MissingPart: Python 3.10 without tomli.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ModuleNotFoundError as error:
            raise MissingPart("a line's file needs tomli on Python 3.10", "pip install 'tomli>=2,<3'") from error
    try:
        return dict(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:  # RecursionError: ten thousand brackets
        raise TomlError(str(error)) from error
