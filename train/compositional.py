"""WinCLIP's compositional prompt ensemble: states times templates, and the mean of their embeddings.

WinCLIP (arXiv 2303.14814, section 4.1 and its supplement): every state of a class ("flawless {}", "damaged {}") is put
into every template ("a dark photo of the {}."), and the mean text embedding of a class guides the score. The words lie
in `compositional.csv` beside this module. Implementations differ in two things that are options here: which templates
(22 in mala-lab's, 21 in anomalib's, which lacks one and has another twice) and how the mean is taken.
"""

import csv
from collections.abc import Callable
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from wordsight.train.errors import SettingError
from wordsight.train.text_tower import encode_short, end_places, fits_short_contexts

if TYPE_CHECKING:
    from wordsight.train.encoders import Encoder

__all__ = ["MEANS", "TEMPLATE_COUNTS", "class_embeddings", "ensemble", "mean_of", "raw_embeddings"]

TEMPLATE_COUNTS = (22, 21)
"""How many templates the two known lists have; the first is the paper's."""

MEANS = ("raw", "unit")
"""raw: mean of the embeddings as they are, then L2; unit: each to unit length, then their mean, then L2."""


@lru_cache(maxsize=1)
def _rows() -> tuple[tuple[str, str, str], ...]:
    text = resources.files("wordsight.train").joinpath("compositional.csv").read_text(encoding="utf-8")
    return tuple((row["kind"], row["set"], row["text"]) for row in csv.DictReader(text.splitlines()))


def ensemble(name: str = "object", templates: int = TEMPLATE_COUNTS[0]) -> tuple[list[str], list[str]]:
    """All prompts of an object, state by state: 7 normal and 4 anomalous states, each in every template.

    Args:
        name: what is looked at, such as "metal nut"; goes into the prompts as it is.
        templates: 22 (154 normal and 88 anomalous prompts) or 21 (147 and 84).

    Returns:
        The normal and the anomalous prompts.

    Raises:
        SettingError: another number of templates, or a name that is empty or spans lines.
    """
    if templates not in TEMPLATE_COUNTS:
        raise SettingError(f"expected 22 or 21 templates, got {templates!r}: no other list is known")
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise SettingError(f"--object takes a word or a few on one line, got {name!r}")
    frames = [text for kind, of_set, text in _rows() if kind == "template" and of_set == str(templates)]

    def filled(kind: str) -> list[str]:
        # replace, not format: a name with braces is a name
        states = [text.replace("{}", name) for row_kind, _, text in _rows() if row_kind == kind]
        return [frame.replace("{}", state) for state in states for frame in frames]

    return filled("normal"), filled("anomalous")


def mean_of(embeddings: Tensor, mean: str = MEANS[0]) -> Tensor:
    """One unit vector (D,) float32 for P embeddings (P, D) of any length, by one of the two conventions of `MEANS`.

    Raises:
        SettingError: another convention.
    """
    if mean not in MEANS:
        raise SettingError(f"the mean of prompts is {' or '.join(MEANS)}, got {mean!r}")
    rows = embeddings.double()
    if mean == "unit":
        rows = F.normalize(rows, dim=-1)
    return F.normalize(rows.mean(dim=0), dim=-1).float()


def class_embeddings(
    encoder: "Encoder", name: str = "object", *, templates: int = TEMPLATE_COUNTS[0], mean: str = MEANS[0]
) -> Tensor:
    """The two guiding embeddings t_n and t_a of an object.

    Args:
        encoder: whose text tower to use.
        name: what is looked at.
        templates: 22 or 21, see `ensemble`.
        mean: "raw" or "unit", see `MEANS`.

    Returns:
        (2, D) float32 on the CPU, rows of unit length, normal first: what scores take as `guiding`.

    Raises:
        SettingError: an unknown option, or a name that does not fit into the encoder's context.
    """
    return torch.stack([mean_of(raw_embeddings(encoder, list(p)), mean) for p in ensemble(name, templates)])


def raw_embeddings(encoder: "Encoder", prompts: list[str], batch_size: int = 64) -> Tensor:
    """Text embeddings as the tower gives them, not normalised: P texts to (P, D) float32 on the CPU.

    Raises:
        SettingError: a prompt fills the encoder's whole context, so its end may be cut off.
    """
    tokens = encoder.tokenize(prompts).to(encoder.device)  # (P, C) int64
    rows = []
    with torch.inference_mode():
        encode: Callable[[Any, Tensor], Tensor] = _encode_whole
        if fits_short_contexts(encoder.model, tokens[:1]):
            longest = int(end_places(tokens).max()) + 1
            if longest >= tokens.shape[1]:
                raise SettingError(
                    f"a prompt fills the encoder's whole context of {tokens.shape[1]} tokens: take a shorter --object"
                )
            tokens, encode = tokens[:, :longest], encode_short
        for batch in torch.split(tokens, batch_size):
            rows.append(encode(encoder.model, batch).float().cpu())
    return torch.cat(rows)


def _encode_whole(model: Any, tokens: Tensor) -> Tensor:
    return cast(Tensor, model.encode_text(tokens))
