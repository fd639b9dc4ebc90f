"""Figures 3, 4 and 5 of the paper as matplotlib figures, from arrays."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

LAYERS = ("text embedding", "1st layer", "2nd layer", "3rd layer")
"""Panels of Figure 5."""

_GOOD, _DEFECT = "#2b6f8a", "#d0562f"
_LARGEST_PERPLEXITY = 30.0


@dataclass(frozen=True)
class Group:
    """One kind of texts: rows of this name are drawn alike."""

    name: str
    anomalous: bool
    natural: bool
    """Natural captions are drawn as stars, random words as dots."""
    rows: Floats
    """(N, D): embeddings, or a hidden layer's activations."""


def tsne(rows: Floats, seed: int = 0) -> NDArray[np.float64]:
    """Rows (N, D) to places (N, 2) by t-SNE, started from the two main directions; the same for the same seed.

    Raises:
        ValueError: fewer than 5 rows, which have no neighbourhoods to keep.
    """
    from sklearn.manifold import TSNE

    if len(rows) < 5:
        raise ValueError(f"t-SNE needs 5 rows or more, got {len(rows)}")
    # A neighbourhood must be smaller than the set: scikit-learn refuses a perplexity of N or more.
    perplexity = min(_LARGEST_PERPLEXITY, (len(rows) - 1) / 4)
    model = TSNE(2, perplexity=perplexity, init="pca", learning_rate="auto", random_state=seed, n_jobs=1)
    return np.asarray(model.fit_transform(np.asarray(rows, np.float32)), np.float64)


def figure3(normal: Floats, anomalous: Floats, title: str = "", seed: int = 0) -> Any:
    """Figure 3: text embeddings (N, D) of normal and of anomalous random-word prompts in one t-SNE plot."""
    groups = [
        Group("normal with random words", False, False, normal),
        Group("anomalous with random words", True, False, anomalous),
    ]
    return scatter([("", groups)], title, seed)


def figure5(panels: Sequence[Sequence[Group]], title: str = "", seed: int = 0) -> Any:
    """Figure 5: random words and natural captions, a t-SNE panel for the embedding and one for each hidden layer.

    Args:
        panels: groups of the text embeddings, then of the head's layers 1, 2 and 3, each (N, width).
        title: above all panels.
        seed: of t-SNE.
    """
    return scatter(list(zip(LAYERS, panels, strict=True)), title, seed)


def scatter(panels: Sequence[tuple[str, Sequence[Group]]], title: str, seed: int) -> Any:
    """One t-SNE panel for each name and its groups, side by side, with one legend; a `matplotlib.figure.Figure`."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(max(5.2, 3.4 * len(panels)), 4.6), dpi=130, layout="constrained")
    axes = drawing.subplots(1, len(panels), squeeze=False)[0]
    for ax, (name, groups) in zip(axes, panels, strict=True):
        places = tsne(np.concatenate([group.rows for group in groups]), seed)
        start = 0
        for group in groups:
            x, y = places[start : start + len(group.rows)].T
            start += len(group.rows)
            star = {"marker": "*", "s": 46, "edgecolors": "white", "linewidths": 0.4, "zorder": 3}
            style: dict[str, Any] = star if group.natural else {"marker": "o", "s": 9, "alpha": 0.45, "linewidths": 0}
            colour = _DEFECT if group.anomalous else _GOOD
            # The same colour for both kinds of normal, shifted in brightness where it is natural language.
            ax.scatter(x, y, color=_dark(colour) if group.natural else colour, label=group.name, **style)
        ax.set(xticks=[], yticks=[], xlabel=name)
    handles, labels = axes[0].get_legend_handles_labels()
    drawing.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)) if len(panels) > 1 else 2,
                   frameon=False, fontsize=9, markerscale=1.6)  # fmt: skip
    if title:
        drawing.suptitle(title, fontsize=11)
    return drawing


def figure4(points: Mapping[int, tuple[float, float | None]], title: str = "") -> Any:
    """Figure 4: AUROC in percent by the number of prompt pairs N_p; a `matplotlib.figure.Figure`.

    Args:
        points: mean and std over seeds, or None for one seed, for each N_p.
        title: above the curve.

    Raises:
        ValueError: no points.
    """
    from matplotlib.figure import Figure

    if not points:
        raise ValueError("a curve needs at least one N_p that was run")
    at = sorted(points)
    means = [points[n][0] for n in at]
    stds = [points[n][1] or 0.0 for n in at]
    drawing = Figure(figsize=(5.6, 3.8), dpi=130, layout="constrained")
    ax = drawing.subplots()
    ax.errorbar(at, means, yerr=stds, color=_GOOD, marker="o", markersize=5, capsize=3, linewidth=1.6)
    ax.set(xscale="log", xlabel="pairs of training prompts, N_p", ylabel="AUROC, %")
    ax.set_xticks(at, [f"{n:,}" for n in at])
    ax.minorticks_off()
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    if title:
        ax.set_title(title, fontsize=11)
    return drawing


def png(drawing: Any) -> bytes:
    """A figure as the content of a PNG file."""
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png")
    return buffer.getvalue()


def _dark(colour: str) -> str:
    return "#" + "".join(f"{int(int(colour[i : i + 2], 16) * 0.55):02x}" for i in (1, 3, 5))
