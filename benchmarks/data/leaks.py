"""The same picture in train and in test, found by content: whatever is fitted on train has then seen the answer."""

import hashlib
import os
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from pathlib import Path

from wordsight.benchmarks.data.errors import LeakError
from wordsight.benchmarks.data.sample import Dataset, Sample

_ENDS = 4096  # bytes at either end of a file that are compared before all of it is read
_SHOWN = 4


def find_leaks(dataset: Dataset) -> list[tuple[Sample, Sample]]:
    """Pairs (of `fit`, of `test`) that are byte for byte the same file.

    Only files of equal size are opened, only those with equal ends are read whole. Pictures in memory, and files that
    cannot be read, are left out: the latter are reported where they are scored.
    """
    fit = [sample for sample in dataset.fit if sample.path is not None]
    test = [sample for sample in dataset.test if sample.path is not None]
    for key in (_size, _ends, _whole):
        fit_keys, test_keys = _keys(fit, key), _keys(test, key)
        shared = set(fit_keys.values()) & set(test_keys.values())
        fit = [sample for sample in fit if fit_keys.get(id(sample)) in shared]
        test = [sample for sample in test if test_keys.get(id(sample)) in shared]
    by_content = {test_keys[id(sample)]: sample for sample in reversed(test)}
    return [(sample, by_content[fit_keys[id(sample)]]) for sample in fit]


def refuse_leaks(datasets: Iterable[Dataset]) -> None:
    """Raises LeakError with the files where pictures of a class are in train and in test alike."""
    found = [(dataset.name, *pair) for dataset in datasets for pair in find_leaks(dataset)]
    if found:
        lines = [f"{name}: {fit.name} is also {test.name}" for name, fit, test in found[:_SHOWN]]
        if len(found) > _SHOWN:
            lines.append(f"and {len(found) - _SHOWN} more")
        classes = ", ".join(sorted({name for name, _, _ in found}))[:200]
        raise LeakError(
            f"{len(found)} pictures of {classes} are in train and in test (a leak); take them out of train:\n"
            + "\n".join(lines),
            [(fit.name, test.name) for _, fit, test in found],
        )


def without_leaks(dataset: Dataset) -> Dataset:
    """The same class with the leaked pictures moved from `fit` to `leaked`; `test` stays what everyone else scores."""
    leaked = {id(fit) for fit, _ in find_leaks(dataset)}
    return replace(
        dataset,
        fit=[sample for sample in dataset.fit if id(sample) not in leaked],
        leaked=[sample for sample in dataset.fit if id(sample) in leaked],
    )


def _keys(samples: list[Sample], key: Callable[[Path], Hashable]) -> dict[int, Hashable]:
    keys: dict[int, Hashable] = {}
    for sample in samples:
        assert sample.path is not None
        try:
            keys[id(sample)] = key(sample.path)
        except OSError:
            continue
    return keys


def _size(path: Path) -> Hashable:
    return os.stat(path).st_size


def _ends(path: Path) -> Hashable:
    with path.open("rb") as file:
        head = file.read(_ENDS)
        file.seek(max(os.fstat(file.fileno()).st_size - _ENDS, 0))
        return hashlib.sha256(head + file.read(_ENDS)).digest()


def _whole(path: Path) -> Hashable:
    return hashlib.sha256(path.read_bytes()).digest()
