"""From an encoder to what Figures 3 and 5 plot: embeddings of prompts and captions, and the head's hidden layers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wordsight.benchmarks.paper.embedding_plots import Group
from wordsight.benchmarks.paper.sentences import Captions

if TYPE_CHECKING:
    from wordsight.train.encoders import Encoder
    from wordsight.train.head import Head

Floats = NDArray[np.float32]
HIDDEN_LAYERS = 3

# Prompts to plot are of another seed than those a head is trained on: it must not show what it has learned by heart.
_PLOT_SEED = 90_001


def text_groups(encoder: "Encoder", captions: Captions, prompts: int) -> list[Group]:
    """Unit text embeddings (N, D) of random-word prompts, `prompts` of each kind, and of natural captions."""
    from wordsight.train.embed import embed_texts
    from wordsight.train.prompts import PromptPair, random_prompts

    normal, anomalous = random_prompts(PromptPair(), prompts, _PLOT_SEED)
    kinds = (
        ("normal with random words", False, False, normal),
        ("anomalous with random words", True, False, anomalous),
        ("caption without damage", False, True, captions.normal),
        ("caption with damage", True, True, captions.damaged),
    )
    return [Group(name, bad, natural, embed_texts(encoder, texts, label=name)) for name, bad, natural, texts in kinds]


def layer_groups(head: "Head", groups: Sequence[Group]) -> list[list[Group]]:
    """The groups' activations after each hidden layer's ReLU (N, width), layers 1 to 3, as the head runs in use.

    Raises:
        ValueError: the head has another number of hidden layers than the paper's figure.
    """
    if len(head.widths) != HIDDEN_LAYERS:
        raise ValueError(f"Figure 5 shows {HIDDEN_LAYERS} hidden layers, the head has {len(head.widths)}")
    layers = [hidden_layers(head, group.rows) for group in groups]
    return [
        [Group(g.name, g.anomalous, g.natural, rows[i]) for g, rows in zip(groups, layers, strict=True)]
        for i in range(HIDDEN_LAYERS)
    ]


def hidden_layers(head: "Head", embeddings: NDArray[np.floating]) -> list[Floats]:
    """Activations (N, width) behind every hidden layer's ReLU for embeddings (N, D) of any length; dropout is off."""
    import torch
    from torch import nn

    found: list[Floats] = []
    relus = [layer for layer in head.layers if isinstance(layer, nn.ReLU)]
    hooks = [relu.register_forward_hook(lambda _, __, out: found.append(out.float().cpu().numpy())) for relu in relus]
    was_training = head.training
    head.eval()
    try:
        with torch.inference_mode():
            head(torch.as_tensor(np.asarray(embeddings, np.float32), device=next(head.parameters()).device))
    finally:
        head.train(was_training)
        for hook in hooks:
            hook.remove()
    return found
