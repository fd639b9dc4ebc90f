"""Columns of Arrow from Python's values, by their buffers.

`pyarrow.array` would import pandas to find out whether it was given some, which takes every process two seconds.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np


def texts(values: Sequence[str | bytes | None], kind: Any) -> Any:
    """Return an array of strings or of bytes, as `kind` says; None is null."""
    import pyarrow

    raw = [b"" if value is None else value.encode() if isinstance(value, str) else value for value in values]
    ends = np.zeros(len(raw) + 1, np.int32)
    np.cumsum([len(value) for value in raw], out=ends[1:])
    buffers = [_valid(values), pyarrow.py_buffer(ends), pyarrow.py_buffer(b"".join(raw))]
    return pyarrow.Array.from_buffers(kind, len(raw), buffers)


def numbers(values: Sequence[float | None], kind: Any, dtype: type[np.generic]) -> Any:
    """Return an array of numbers, or of moments in the unit of `kind`, as wide as `dtype`; None is null."""
    import pyarrow

    held = np.array([0 if value is None else value for value in values], dtype)
    return pyarrow.Array.from_buffers(kind, len(held), [_valid(values), pyarrow.py_buffer(held)])


def vectors(values: np.ndarray[Any, np.dtype[np.float32]]) -> Any:
    """Return an array of N vectors, each a list of D, from (N, D) float32."""
    import pyarrow

    flat = np.ascontiguousarray(values, np.float32).reshape(-1)
    inner = pyarrow.Array.from_buffers(pyarrow.float32(), len(flat), [None, pyarrow.py_buffer(flat)])
    return pyarrow.FixedSizeListArray.from_arrays(inner, values.shape[1])


def _valid(values: Sequence[Any]) -> Any:
    """Return Arrow's bitmap of what is not null; None where nothing is."""
    import pyarrow

    if None not in values:
        return None
    return pyarrow.py_buffer(np.packbits([value is not None for value in values], bitorder="little"))
