"""The choice of a configuration on held-out text: which ones there are, how they are judged, and the rule.

The figure is the AUROC of a head's logit over the texts of a set, good against defective, all nouns and words pooled as
pictures of many kinds are; the mean over the three sets of `select_texts` counts each once. AUROC on training prompts
would say nothing: every configuration tells those apart.

The rule. Every option is tried alone. Then, of each axis, the best option that leads the paper's default by more than
one standard error (of the difference over seeds) goes into a combination, which is tried too. The configuration with
the highest mean is chosen, if it leads the default by more than one standard error; else the default is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wordsight.benchmarks.metrics import auroc
from wordsight.benchmarks.select_texts import Texts

if TYPE_CHECKING:
    from wordsight.train.encoders import Encoder
    from wordsight.train.fit import Settings
    from wordsight.train.head import Head

Floats = NDArray[np.float64]
DEFAULT, COMBINED = "the paper's default", "combination"


@dataclass(frozen=True)
class Configuration:
    """One way of training heads: what it is called, what it changes in the default, and all its settings."""

    name: str
    changes: dict[str, Any]
    settings: "Settings"

    @property
    def file_name(self) -> str:
        """The name as a part of a file's name."""
        return "".join(c if c.isalnum() or c == "." else "-" for c in self.name.replace("'", ""))


@dataclass(frozen=True)
class Judged:
    """A configuration with the AUROC (S, K) of its K heads on the S sets of text."""

    configuration: Configuration
    areas: Floats

    @property
    def mean(self) -> float:
        """Over sets and seeds: what the choice is made by."""
        return float(self.areas.mean())

    def lead(self, other: "Judged") -> tuple[float, float]:
        """Mean and standard error over seeds of the difference to another; the k-th heads of both share their seed."""
        by_seed = self.areas.mean(axis=0) - other.areas.mean(axis=0)
        return float(by_seed.mean()), float(by_seed.std(ddof=1) / np.sqrt(len(by_seed)))


def alone(base: "Settings") -> list[Configuration]:
    """The default and every option by itself, the default first."""
    changes: list[tuple[str, dict[str, Any]]] = [
        (DEFAULT, {}),
        *((f"lr {lr:g}", {"lr": lr}) for lr in (3e-4, 3e-3)),
        *((f"dropout {dropout:g}", {"dropout": dropout}) for dropout in (0.0, 0.5)),
        *((f"widths {'-'.join(map(str, widths))}", {"widths": widths}) for widths in ((256, 128), (128,))),
        *((f"N_p {pairs:,}", {"num_pairs": pairs}) for pairs in (max(1, base.num_pairs // 5), base.num_pairs * 2)),
        ("states", {"states": True}),
        *((f"natural {share:g}", {"natural": share}) for share in (0.2, 0.5)),
        ("counterfactual", {"counterfactual": True}),
        *((f"noise {noise:g}", {"noise": noise}) for noise in (0.3, 1.0)),
        ("centre", {"centre": True}),
    ]
    return [Configuration(name, change, replace(base, **change)) for name, change in changes]


def combination(judged: Sequence[Judged]) -> Configuration | None:
    """The best option of each axis, of those that lead the default (the first) clearly; None for fewer than two."""
    default, *others = judged
    best: dict[tuple[str, ...], Judged] = {}
    for one in others:
        lead, error = one.lead(default)
        axis = tuple(one.configuration.changes)
        if lead > error and (axis not in best or one.mean > best[axis].mean):
            best[axis] = one
    if len(best) < 2:
        return None
    changes = {name: value for one in best.values() for name, value in one.configuration.changes.items()}
    return Configuration(COMBINED, changes, replace(default.configuration.settings, **changes))


def choose(judged: Sequence[Judged]) -> Judged:
    """The one that the rule chooses; the default is the first."""
    default, best = judged[0], max(judged, key=lambda one: one.mean)
    lead, error = best.lead(default)
    return best if lead > error else default


def judge(
    configuration: Configuration, heads: "Sequence[Head]", texts: Sequence[Texts], rows: Sequence[NDArray[np.float32]]
) -> Judged:
    """AUROC of heads on text.

    Args:
        configuration: what the heads were trained with.
        heads: K heads.
        texts: S sets.
        rows: their embeddings, for each set (N, D), normal texts first.
    """
    import torch

    areas = np.empty((len(texts), len(heads)))
    with torch.inference_mode():
        for i, (of_set, embeddings) in enumerate(zip(texts, rows, strict=True)):
            labels = np.repeat([0, 1], [len(of_set.normal), len(of_set.anomalous)])
            for k, head in enumerate(heads):
                areas[i, k] = auroc(labels, head.of_texts(torch.from_numpy(embeddings)).double().numpy())
    return Judged(configuration, areas)


def kept_heads(
    encoder: "Encoder",
    configuration: Configuration,
    count: int,
    folder: Path,
    *,
    precision: str = "fp32",
    cache: Path | None = None,
) -> "tuple[list[Head], Path]":
    """The heads of the seeds 0 ... count - 1 and their file in `folder`: read as far as they are there, else trained.

    Raises:
        SettingError: the file there is of other settings or another encoder.
    """
    from wordsight.runtime.errors import SettingError
    from wordsight.train.checkpoint import load_heads, save_heads
    from wordsight.train.fit import train_heads

    path = folder / f"{configuration.file_name}.safetensors"
    heads: list[Head] = []
    if path.is_file():
        kept = load_heads(path)
        if kept.settings != configuration.settings or kept.encoder["sha256"] != encoder.sha256:
            raise SettingError(f"{path} is of other settings or another encoder: name another folder, or delete it")
        heads = kept.heads
    if len(heads) < count:
        missing = range(len(heads), count)
        heads += train_heads(encoder, configuration.settings, missing, precision=precision, cache=cache)
        save_heads(path, heads, configuration.settings, range(count), encoder)
    return heads[:count], path
