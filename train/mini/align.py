"""The last step of the recipe: image embeddings are moved to where the texts lie.

CLIP's loss leaves images and texts in two cones of their own. The prompt-guided score does not mind, but a head
trained on texts alone then meets images far from all it knows. A linear map, folded into the last layer of the image
tower, moves their mean onto the middle of the texts with and without a defect; what images say about the state is kept
as it is, and laid along the line between the two kinds of text; the rest is made smaller. Only training nouns are used.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from wordsight.train.mini.lesson import to_tensor, tokenize
from wordsight.train.mini.pictures import training_nouns
from wordsight.train.mini.towers import MiniCLIP

REST = 0.25
"""How much is kept of what in an image embedding is not about the state."""


def _random_prompts(count: int, rng: np.random.Generator, noun: str) -> list[str]:
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz0123456789"))
    words = [["".join(rng.choice(letters, int(rng.integers(5, 11)))) for _ in range(5)] for _ in range(count)]
    return [f"{a} a {b} photo {c} of {d} a {noun}{e}" for a, b, c, d, e in words]


@torch.no_grad()
def align(encoder: MiniCLIP, seed: int = 0, pictures: int = 600, prompts: int = 400) -> None:
    """Change the last layer of `encoder.visual` in place."""
    was_training = encoder.training
    encoder.eval()
    rng = np.random.default_rng((seed, 21))

    def texts(captions: list[str]) -> Tensor:
        return F.normalize(encoder.encode_text(tokenize(captions)), dim=-1)

    asked = texts(["a photo of a object", "a photo of a damaged object"])
    question = asked[1] - asked[0]  # (D,)
    normal = texts(_random_prompts(prompts, rng, "")).mean(0)
    anomalous = texts(_random_prompts(prompts, rng, "damaged ")).mean(0)
    line = F.normalize(anomalous - normal, dim=0)

    # Seed far from those of reports on training nouns.
    shown = np.stack([picture.image for picture in training_nouns(pictures, 777_000 + seed)])
    raw = torch.cat([encoder.encode_image(to_tensor(part)) for part in np.array_split(shown, max(1, pictures // 100))])
    size = raw.norm(dim=-1).mean()
    mean = F.normalize(raw, dim=-1).mean(0)  # (D,)

    along = torch.outer(line, question) / (question @ line)  # keeps question . x, lays it along the line
    change = along + REST * (torch.eye(len(line)) - along)  # (D, D)
    middle = (normal + anomalous) / 2
    middle = middle + line * (question @ (mean - middle)) / (question @ line)  # the mean score stays what it was
    last = encoder.visual.project
    last.weight.copy_(change @ last.weight / size)
    last.bias.copy_(change @ (last.bias / size - mean) + middle)
    encoder.train(was_training)
