"""Figures 3, 4 and 5 made for one encoder: what is drawn, and why what is missing is missing."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wordsight.benchmarks.paper import embedding_plots
from wordsight.benchmarks.paper.sentences import Captions
from wordsight.runtime.files import whole_file

_SEED = 0
_FIGURES = {"3": "t-SNE of text embeddings", "4": "AUROC by N_p", "5": "t-SNE of the head's layers"}


@dataclass
class Drawn:
    """Pictures that were made, and those that were not."""

    pictures: list[tuple[str, bytes]] = field(default_factory=list)
    """Caption and PNG."""
    missing: list[tuple[str, str]] = field(default_factory=list)
    """Name and reason."""

    def leave_out(self, number: str, reason: str) -> None:
        """Note why a figure is not made."""
        self.missing.append((f"Figure {number}, {_FIGURES[number]}", reason))

    def keep(self, folder: Path, number: str, detail: str, drawing: Any) -> None:
        """Write `figureN.png`, whole or not at all."""
        content = embedding_plots.png(drawing)
        with whole_file(folder / f"figure{number}.png") as file:
            file.write(content)
        self.pictures.append((f"Figure {number}, {_FIGURES[number]}: {detail}", content))


def draw_texts(drawn: Drawn, folder: Path, spec: str, captions: Captions, prompts: int, pairs: int) -> None:
    """Figures 3 and 5 for an encoder: needs its text tower and a head trained here, and no picture at all.

    Args:
        drawn: takes what is made.
        folder: where the PNG files go.
        spec: the encoder, as `load_encoder` takes it.
        captions: natural sentences for Figure 5.
        prompts: random-word prompts to plot, of each kind.
        pairs: N_p of the head whose layers are plotted.
    """
    from wordsight.benchmarks.paper.text_groups import layer_groups, text_groups
    from wordsight.train.encoders import load_encoder
    from wordsight.train.fit import Settings, train_heads

    encoder = load_encoder(spec)
    groups = text_groups(encoder, captions, prompts)
    drawn.keep(
        folder, "3", f"{spec}, {prompts} prompts of each kind",
        embedding_plots.figure3(groups[0].rows, groups[1].rows, f"Text embeddings of {_shown(spec)}", _SEED),
    )  # fmt: skip
    head = train_heads(encoder, Settings(num_pairs=pairs), [_SEED])[0]
    title = f"Texts in {_shown(spec)}, and in the layers of its head"
    drawn.keep(
        folder, "5", f"{spec}, a head of {pairs:,} pairs; captions: {captions.source}",
        embedding_plots.figure5([groups, *layer_groups(head, groups)], title, _SEED),
    )  # fmt: skip


def draw_sweep(drawn: Drawn, folder: Path, points: dict[int, tuple[float, float | None]], encoder: str) -> None:
    """Figure 4 from results; left out where no N_p was run on all classes."""
    if not points:
        drawn.leave_out("4", "no N_p was run on all classes of MVTec-AD")
        return
    drawn.keep(folder, "4", encoder, embedding_plots.figure4(points, f"MVTec-AD, unknown object, {_shown(encoder)}"))


def guarded(drawn: Drawn, numbers: str, draw: Callable[[], None]) -> None:
    """Draw, or note why not: a missing encoder must not keep the tables from being written."""
    from wordsight.runtime.errors import WordsightError
    from wordsight.train.errors import TrainingError

    try:
        draw()
    except (TrainingError, WordsightError) as error:
        for number in numbers:
            drawn.leave_out(number, str(error))


def _shown(spec: str) -> str:
    """An encoder's name for a title: a checkpoint by its file name alone."""
    name, _, rest = spec.partition(":")
    return f"{name}:{Path(rest).name}" if rest else name
