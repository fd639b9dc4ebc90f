"""AUROC of an exported file, scored through the runtime: what is scored is what ships."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wordsight.benchmarks import controls, progress, trivial
from wordsight.benchmarks.datasets import Dataset
from wordsight.benchmarks.metrics import Estimate, OneClassError, auroc, over_heads, over_pictures, over_seeds
from wordsight.benchmarks.scoring import Floats, Scored, feature_rows, score_samples
from wordsight.runtime.figures import Figure

if TYPE_CHECKING:
    from wordsight.runtime.manifest import Manifest
    from wordsight.runtime.model import Model
    from wordsight.train.encoders import Encoder

MEANING = {
    "auroc.s_pr": "prompt-guided score alone; 95% over pictures",
    "auroc.s_fnn": "head alone: mean of the seeds, worst and best seed",
    "auroc.s_fnn.std": "standard deviation over the seeds",
    "auroc.s_fnn.folded": "head alone, the seeds' mean score; 95% over pictures",
    "auroc.sum": "both added: mean of the seeds, worst and best seed",
    "auroc.sum.std": "standard deviation over the seeds",
    "auroc.sum.folded": "the output `score`, as it ships; 95% over pictures",
    "auroc.trivial": "the best of the trivial detectors; 95% over pictures",
    "auroc.trivial.knn": "k-NN on grey levels and gradients",
    "auroc.trivial.knn_of_noun": "the same, told the noun",
    "auroc.trivial.gradient": "largest gradient",
    "auroc.shuffled_labels": "control, must be about 0.5: mean of the heads; 95% of the mean",
    "auroc.shuffled_labels.std": "standard deviation over the control's heads",
    "fraction.seen": "of the frames' area, mean; smallest and largest",
}
"""What each figure says, and what its low and high are."""


@dataclass(frozen=True)
class Group:
    """AUROC of one noun, or of one kind of defect against all good pictures."""

    name: str
    defective: int
    s_pr: float
    s_fnn: float
    score: float


@dataclass(frozen=True)
class Accuracy:
    """Everything that one run found out."""

    dataset: str
    model: str
    sha256: str
    manifest: "Manifest"
    scored: Scored
    figures: list[Figure]
    nouns: list[Group]
    kinds: list[Group]
    strips: dict[str, list[float]]
    """AUROC of every seed and every head of the control, for the report's plot."""


def measure(
    model: "Model", dataset: Dataset, encoder: "Encoder | None", control_heads: int = 50, control_pairs: int = 10_000
) -> Accuracy:
    """Score the data set with the exported file and work out every figure.

    Args:
        model: The exported file, opened.
        dataset: What to score it on.
        encoder: Whose text embeddings the control's heads are trained on; None leaves the control out.
        control_heads: How many heads with shuffled labels, at least 2.
        control_pairs: N_p of the control.

    Raises:
        OneClassError: The readable pictures are all good or all defective.
        PictureError: None could be read.
    """
    scored = score_samples(model, dataset.test)
    figures, strips = _score_figures(model, scored)
    figures += _trivial_figures(scored, dataset)
    figures += _control_figures(scored, model.manifest, encoder, control_heads, control_pairs, strips)
    figures.append(
        Figure("fraction.seen", float(scored.seen.mean()), "", float(scored.seen.min()), float(scored.seen.max()),
               len(scored.seen))
    )  # fmt: skip
    nouns = np.array([sample.noun for sample in scored.samples])
    kinds = np.array([sample.kind for sample in scored.samples])
    return Accuracy(
        dataset.name, model.path.name, model.sha256, model.manifest, scored, figures,
        [g for name in sorted(set(nouns) - {""}) if (g := _group(name, scored, nouns == name))],
        [g for name in sorted(set(kinds) - {"good"})
         if (g := _group(name, scored, (kinds == name) | (scored.labels == 0)))],
        strips,
    )  # fmt: skip


def _figure(name: str, estimate: Estimate) -> Figure:
    return Figure(name, estimate.value, "", estimate.low, estimate.high, estimate.n)


def _score_figures(model: "Model", scored: Scored) -> tuple[list[Figure], dict[str, list[float]]]:
    labels, formula = scored.labels, model.manifest.score
    figures = [_figure("auroc.s_pr", over_pictures(labels, scored.s_pr))]
    strips: dict[str, list[float]] = {}
    folded = {"s_fnn": scored.s_fnn, "sum": scored.score}
    for name, ensemble in folded.items():
        if scored.s_fnn_seeds is None:
            reason = "the file has no output s_fnn_seeds; export it with the seeds' output to see their spread"
            figures += [Figure(f"auroc.{name}", None, reason=reason), Figure(f"auroc.{name}.std", None, reason=reason)]
        else:
            columns = scored.s_fnn_seeds.T
            if name == "sum":
                columns = formula.w_pr * scored.s_pr + formula.w_fnn * columns
            areas = [auroc(labels, column) for column in columns]
            strips[f"{name}, each seed"] = areas
            figures.append(_figure(f"auroc.{name}", over_seeds(areas)))
            figures.append(_spread(f"auroc.{name}.std", areas))
        figures.append(_figure(f"auroc.{name}.folded", over_pictures(labels, ensemble)))
    return figures, strips


def _spread(name: str, areas: list[float]) -> Figure:
    if len(areas) < 2:
        return Figure(name, None, n=len(areas), reason="one seed has no spread")
    return Figure(name, float(np.std(areas, ddof=1)), n=len(areas))


def _trivial_figures(scored: Scored, dataset: Dataset) -> list[Figure]:
    labels = scored.labels
    detectors: dict[str, Floats] = {"auroc.trivial.gradient": trivial.largest_gradient(scored.features)}
    figures = []
    good, rows = feature_rows(dataset.fit)
    if good:
        detectors["auroc.trivial.knn"] = trivial.NearestGood().fit(rows).score(scored.features)
        of_fit = np.array([sample.noun for sample in good])
        of_test = np.array([sample.noun for sample in scored.samples])
        if set(of_test) == set(of_fit) and len(set(of_fit)) > 1:
            told = np.zeros(len(labels))
            for noun in set(of_fit):
                told[of_test == noun] = (
                    trivial.NearestGood().fit(rows[of_fit == noun]).score(scored.features[of_test == noun])
                )
            detectors["auroc.trivial.knn_of_noun"] = told
    else:
        figures.append(Figure("auroc.trivial.knn", None, reason="no good pictures to fit on: add DIR/train/good"))
    estimates = {name: over_pictures(labels, score) for name, score in detectors.items()}
    best = max(estimates.values(), key=lambda estimate: estimate.value)
    return [_figure("auroc.trivial", best), *(_figure(*item) for item in sorted(estimates.items())), *figures]


def _control_figures(
    scored: Scored, manifest: "Manifest", encoder: "Encoder | None", heads: int, pairs: int,
    strips: dict[str, list[float]],
) -> list[Figure]:  # fmt: skip
    name = "auroc.shuffled_labels"
    if encoder is None:
        return [Figure(name, None, reason="the encoder's text side is not at hand: pass --encoder")]
    if scored.embedding is None:
        return [Figure(name, None, reason="the file has no output embedding")]
    from wordsight.train.fit import Settings
    from wordsight.train.prompts import PromptPair

    words = manifest.prompts
    pair = PromptPair(words.normal_word, words.anomalous_word, words.object)
    settings = Settings(pair=pair, num_pairs=pairs)
    normal, anomalous = controls.text_embeddings(encoder, settings)
    with progress.bar("heads on shuffled labels", heads) as tick:
        trained = controls.shuffled_heads(normal, anomalous, settings, heads, tick)
    areas = controls.head_aurocs(trained, scored.embedding, scored.labels)
    strips["shuffled labels, each head"] = areas
    return [_figure(name, over_heads(areas)), _spread(f"{name}.std", areas)]


def _group(name: str, scored: Scored, chosen: np.ndarray) -> Group | None:
    labels = scored.labels[chosen]
    try:
        areas = [auroc(labels, column[chosen]) for column in (scored.s_pr, scored.s_fnn, scored.score)]
    except OneClassError:  # a noun of which only good pictures were drawn has no AUROC
        return None
    return Group(name, int(labels.sum()), *areas)
