"""Labelled pictures to measure on: the data sets of `data/`, and the held-out nouns of the generator."""

from pathlib import Path

from wordsight.benchmarks.data.errors import LayoutError, LeakError, ListError, MaskError, OneLabelError
from wordsight.benchmarks.data.layouts import LAYOUTS, Layout, open_dataset, recognise
from wordsight.benchmarks.data.leaks import find_leaks, refuse_leaks, without_leaks
from wordsight.benchmarks.data.mvtec import read_class
from wordsight.benchmarks.data.published import PUBLISHED
from wordsight.benchmarks.data.sample import Dataset, Sample

__all__ = [
    "LAYOUTS", "PUBLISHED", "Dataset", "Layout", "LayoutError", "LeakError", "ListError", "MaskError",
    "OneLabelError", "Sample", "find_leaks", "held_out", "open_dataset", "read_folder", "recognise", "refuse_leaks",
    "without_leaks",
]  # fmt: skip


def read_folder(folder: Path) -> Dataset:
    """The one class of a folder in MVTec's layout, sorted by path.

    Raises:
        LayoutError: The folder is missing, or has no `test/good` and one other folder in `test` with files in them.
        LeakError: A picture is in `train/good` and in `test` alike.
    """
    dataset = read_class(folder)
    refuse_leaks([dataset])
    return dataset


def held_out(count: int, seed: int = 0) -> Dataset:
    """`count` pictures of the nouns that `mini` never saw, and half as many good ones of other scenes to fit on."""
    from wordsight.train.mini import held_out as draw

    test = [
        Sample(f"{p.noun} {i:05d}", p.label, p.kind or "good", p.noun, frame=p.image, mask=p.mask if p.label else None)
        for i, p in enumerate(draw(count, seed))
    ]
    # Another seed is another set of scenes: no picture of `fit` is a twin of one of `test`.
    fit = [
        Sample(f"{p.noun} fit {i:05d}", 0, "good", p.noun, frame=p.image)
        for i, p in enumerate(draw(count, seed + 500_009))
        if p.label == 0
    ]
    return Dataset(f"held-out nouns of the generator, seed {seed}", test, fit)
