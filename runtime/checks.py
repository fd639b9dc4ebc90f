"""JSON values into frozen dataclasses: the types of the fields are the schema."""

import dataclasses
import math
import string
import types
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from wordsight.runtime.errors import ManifestInvalid

T = TypeVar("T")

OPTIONAL = MappingProxyType({"optional": True})
"""Metadata of a dataclass field whose key may be missing: it came after the first files of its schema were written."""
_HEX = frozenset(string.hexdigits.lower())


def require(good: bool, key: str, expected: object, got: object) -> None:
    """Raise ManifestInvalid with the key, what was expected and what was found, unless `good`."""
    if not good:
        raise ManifestInvalid(f"manifest key {key}: expected {expected}, got {_short(got)}")


def require_sha256(key: str, value: str) -> None:
    """Raise ManifestInvalid unless `value` is a SHA-256 as `hashlib` writes it."""
    require(len(value) == 64 and _HEX.issuperset(value), key, "64 lower-case hexadecimal digits", value)


def require_time(key: str, value: str) -> None:
    """Raise ManifestInvalid unless `value` is an ISO 8601 time."""
    try:
        datetime.fromisoformat(value.replace("Z", "+00:00"))  # Python 3.10 does not read the Z
        good = True
    except ValueError:
        good = False
    require(good, key, "a time such as 2026-11-24T06:00:00Z", value)


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a JSON object of its pairs, for `json.loads(..., object_pairs_hook=unique_keys)`.

    Raises:
        ValueError: a key is given twice, and readers differ in which of the two they believe.
    """
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key given twice: {next(name for name in names if names.count(name) > 1)}")
    return result


def build(cls: type[T], data: Any, key: str = "") -> T:
    """Make the dataclass `cls` of a JSON object, field by field.

    Keys that `cls` does not know are ignored; every key it knows must be there, whether or not its field has a
    default, but for the fields marked `OPTIONAL`. Tuples are JSON arrays, an int is taken where a float is expected,
    a bool is never a number.

    Args:
        cls: a dataclass whose fields are str, int, float, Literal, tuple, dict or dataclasses, or one of these | None.
        data: what `json.loads` gave.
        key: where `data` was found, for the messages.

    Raises:
        ManifestInvalid: names the key, what was expected and what was found.
    """
    require(isinstance(data, dict), key, "an object", data)
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]  # T is a dataclass by contract
        name = f"{key}.{field.name}" if key else field.name
        if field.name not in data:
            if "optional" in field.metadata:
                continue
            raise ManifestInvalid(f"manifest key {name} is missing")
        values[field.name] = _convert(data[field.name], hints[field.name], name)
    return cls(**values)


def _convert(value: Any, hint: Any, key: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint):
        return build(hint, value, key)  # type: ignore[arg-type]
    if origin is Literal:
        require(value in args, key, " or ".join(map(repr, args)), value)
        return value
    if origin is tuple:
        require(isinstance(value, list), key, "an array", value)
        variadic = args[-1] is Ellipsis
        require(variadic or len(value) == len(args), key, f"{len(args)} entries", value)
        kinds = args[:1] * len(value) if variadic else args
        return tuple(
            _convert(item, kind, f"{key}[{i}]") for i, (item, kind) in enumerate(zip(value, kinds, strict=True))
        )
    if origin is dict:
        require(isinstance(value, dict), key, "an object", value)
        return {name: _convert(item, args[1], f"{key}.{name}") for name, item in value.items()}
    if origin in (Union, types.UnionType):
        if types.NoneType in args:  # X | None
            (kind,) = (kind for kind in args if kind is not types.NoneType)
            return None if value is None else _convert(value, kind, key)
        # Else only str | int is in use: each kind is told by its type alone.
        kind = next((kind for kind in args if type(value) is kind), None)
        require(kind is not None, key, " or ".join(kind.__name__ for kind in args), value)
        return value
    if hint is Any:
        return value
    if hint is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        require(number and math.isfinite(value), key, "a finite number", value)
        return float(value)
    require(type(value) is hint, key, {str: "text", int: "a whole number"}[hint], value)
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
