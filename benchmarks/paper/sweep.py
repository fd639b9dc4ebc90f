"""What Figure 4 and Table 3 of the paper vary, on the generator's held-out nouns: N_p, and the words of the prompts.

Ours, on drawn pictures: it shows what varies and by how much here, and says nothing about the paper's figures.

    FOLDER/<words>-<N_p>/seed-S.safetensors    one head
    FOLDER/<words>-<N_p>/K-seeds/              K heads in one exported file, and what it said of the pictures

What is there is not done again. The pairs of prompts of a seed begin alike for any N_p, so that words are embedded once
a seed and all N_p are fitted on the beginning of the same list.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wordsight.benchmarks.building import exported
from wordsight.benchmarks.collect import collect, every_word
from wordsight.benchmarks.datasets import Dataset
from wordsight.benchmarks.metrics import auroc
from wordsight.benchmarks.paper.wordpairs import DEFAULT_PAIR, NUM_PAIRS_SWEEP, row_of, word_pairs
from wordsight.runtime.errors import SettingError
from wordsight.runtime.figures import Figure
from wordsight.runtime.model import Model
from wordsight.train.fit import Settings
from wordsight.train.prompts import PromptPair

if TYPE_CHECKING:
    from wordsight.train.encoders import Encoder


@dataclass(frozen=True)
class Point:
    """AUROC of one setting, as fractions, one a seed."""

    pair: PromptPair
    num_pairs: int
    s_pr: float
    """No seed decides it."""
    alone: tuple[float, ...]
    """Of s_fnn."""
    summed: tuple[float, ...]
    """Of s_pr + s_fnn."""

    def figure(self) -> Figure:
        """Mean over seeds of the sum, with the worst and the best seed."""
        name = f"auroc.sum/{row_of(self.pair)}/N_p={self.num_pairs}"
        return Figure(name, float(np.mean(self.summed)), "", min(self.summed), max(self.summed), len(self.summed))


def measure(
    encoder: "Encoder", dataset: Dataset, folder: Path, seeds: int, grid_pairs: int,
    sizes: Sequence[int] = NUM_PAIRS_SWEEP, words: Sequence[PromptPair] | None = None,
) -> tuple[list[Point], list[Point]]:  # fmt: skip
    """Train, export and score every setting, or take what the folder holds of it.

    Args:
        encoder: whose text tower is swept.
        dataset: pictures of both labels.
        folder: where everything is kept; it must exist.
        seeds: heads a setting.
        grid_pairs: N_p of the grid of words.
        sizes: N_p of the curve, with the default words.
        words: of the grid; those of Table 3 without it.

    Returns:
        The curve's points by N_p, and the grid's in the order of its words.

    Raises:
        SettingError: the folder is of another encoder.
    """
    curve = [_settings(DEFAULT_PAIR, size) for size in sorted(sizes)]
    grid = [_settings(pair, grid_pairs) for pair in (word_pairs() if words is None else words)]
    for group in (curve, *([one] for one in grid)):
        for seed in range(seeds):
            _fit(encoder, group, seed, folder)
    pictures = replace(dataset, fit=[])  # nothing here takes references
    points = [_point(encoder, settings, pictures, folder, seeds) for settings in (*curve, *grid)]
    return points[: len(curve)], points[len(curve) :]


def _settings(pair: PromptPair, size: int) -> Settings:
    return Settings(pair=pair, num_pairs=size)


def _fit(encoder: "Encoder", group: Sequence[Settings], seed: int, folder: Path) -> None:
    """One head for each settings of a group, which share their words and differ in N_p alone."""
    from wordsight.train.checkpoint import load_heads, save_heads
    from wordsight.train.embed import embed_texts
    from wordsight.train.fit import fit_head
    from wordsight.train.prompts import random_prompts

    todo = []
    for settings in group:
        path = _home(folder, settings) / f"seed-{seed}.safetensors"
        if not path.is_file():
            todo.append((settings, path))
        elif (found := load_heads(path)).encoder["sha256"] != encoder.sha256 or found.settings != settings:
            raise SettingError(
                f"{path} is of another encoder than {encoder.name}, or of other settings: name another -o"
            )
    if not todo:
        return
    most = max(settings.num_pairs for settings, _ in todo)
    pair = group[0].pair
    normal, anomalous = random_prompts(pair, most, seed)
    # Interrupted while it embeds, a seed is embedded anew: minutes, where pictures of it would be hours.
    rows = embed_texts(encoder, normal + anomalous, label=f"{row_of(pair)}, seed {seed}")
    for settings, path in todo:
        path.parent.mkdir(exist_ok=True)
        count = settings.num_pairs
        head = fit_head(rows[:count], rows[most : most + count], settings, seed)
        save_heads(path, [head], settings, [seed], encoder)


def _point(encoder: "Encoder", settings: Settings, dataset: Dataset, folder: Path, seeds: int) -> Point:
    from wordsight.train.checkpoint import load_heads, save_heads

    home = _home(folder, settings)
    place = home / f"{seeds}-seeds"
    place.mkdir(exist_ok=True)
    if not (place / "head.safetensors").is_file():
        heads = [load_heads(home / f"seed-{seed}.safetensors").heads[0] for seed in range(seeds)]
        save_heads(place / "head.safetensors", heads, settings, range(seeds), encoder)
    with Model(exported(encoder.spec, settings, range(seeds), place, "single", every_word([dataset]))) as model:
        outputs = collect(model, dataset, place / f"scores-{len(dataset.test)}.npz")
    columns = outputs.s_fnn_seeds.T
    return Point(
        settings.pair, settings.num_pairs, auroc(outputs.labels, outputs.s_pr),
        tuple(auroc(outputs.labels, column) for column in columns),
        tuple(auroc(outputs.labels, outputs.s_pr + column) for column in columns),
    )  # fmt: skip


def _home(folder: Path, settings: Settings) -> Path:
    words = re.sub(r"[^a-z]+", "-", row_of(settings.pair))
    return folder / f"{words}-{settings.num_pairs}"


def figures(points: Sequence[Point]) -> Iterator[Figure]:
    """As every command writes them; a setting that is in the curve and in the grid comes once."""
    yield from {figure.name: figure for figure in (point.figure() for point in points)}.values()
