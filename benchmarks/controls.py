"""The control that must fail: heads trained on shuffled labels know nothing, so their AUROC scatters about 0.5.

A single such head tells little: it is some random direction in CLIP's space, and single ones were seen from 0.35 to
0.7. So many are trained on one set of text embeddings, and their mean is judged by its interval.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wordsight.benchmarks.metrics import auroc
from wordsight.benchmarks.progress import Tick

if TYPE_CHECKING:
    from wordsight.train.encoders import Encoder
    from wordsight.train.fit import Settings
    from wordsight.train.head import Head

FIRST_SEED = 900_000
"""Far from the seeds that users pick, so that no control shares its start with a head under test."""


def text_embeddings(encoder: "Encoder", settings: "Settings") -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One draw of the paper's prompt pairs (section 3.2), embedded: normal and anomalous, unit rows (N_p, D) each."""
    from wordsight.train.embed import embed_texts
    from wordsight.train.prompts import random_prompts

    normal, anomalous = random_prompts(
        settings.pair, settings.num_pairs, FIRST_SEED, settings.min_length, settings.max_length
    )
    rows = embed_texts(encoder, [*normal, *anomalous])
    return rows[: len(normal)], rows[len(normal) :]


def shuffled_heads(
    normal: NDArray[np.float32],
    anomalous: NDArray[np.float32],
    settings: "Settings",
    count: int,
    tick: Tick | None = None,
) -> "list[Head]":
    """`count` heads fitted to the same embeddings, each with a shuffle of the labels and a start of its own."""
    from wordsight.train.fit import fit_head

    heads = []
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        heads.append(fit_head(normal, anomalous, settings, seed, shuffle_labels=True))
        if tick is not None:
            tick()
    return heads


def head_aurocs(heads: "Sequence[Head]", embeddings: NDArray[np.float32], labels: ArrayLike) -> list[float]:
    """AUROC of each head's logit on image embeddings (N, D), one a head. A sigmoid would change no rank."""
    import torch

    rows = torch.from_numpy(np.ascontiguousarray(embeddings, np.float32))
    with torch.inference_mode():
        return [auroc(labels, head.eval()(rows).numpy()) for head in heads]
