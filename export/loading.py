"""The encoder that a head belongs to, and the guiding prompts as it embeds them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from wordsight.export.errors import HeadMismatch

if TYPE_CHECKING:
    from wordsight.train.checkpoint import HeadFile
    from wordsight.train.encoders import Encoder
    from wordsight.train.prompts import PromptPair


def load_encoder_of(head_file: HeadFile, spec: str | None, device: str) -> Encoder:
    """Load a head's encoder, with the very weights that it was trained with.

    Args:
        head_file: the head.
        spec: ``mini``, ``NAME:TAG`` or ``NAME:/path``; None for what the head records.
        device: "auto", "cpu", "cuda", ...

    Raises:
        HeadMismatch: another encoder than the head's.
        TrainingError: it cannot be loaded, or has other weights.
    """
    from wordsight.train.encoders import load_encoder

    recorded = head_file.encoder
    if spec is None:
        spec = "mini" if recorded["weights"] == "mini" else f"{recorded['name']}:{recorded['weights']}"
        # The loader compares first and loads then, and its message says what to do.
        return load_encoder(spec, device=device, expected_sha256=recorded["sha256"])
    name = spec.partition(":")[0]
    if name != recorded["name"]:
        raise HeadMismatch(f"this head was trained for the encoder {recorded['name']}, got {name}; train one for it")
    return load_encoder(spec, device=device, expected_sha256=recorded["sha256"])


def embed_guiding(encoder: Encoder, pairs: Sequence[PromptPair]) -> Tensor:
    """Embeddings (len(pairs), 2, D) of the guiding prompts, normal first."""
    from wordsight.train.embed import embed_texts

    prompts = [prompt for pair in pairs for prompt in pair.guiding()]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not allow short contexts")  # time lost on two prompts is none
        return torch.from_numpy(embed_texts(encoder, prompts, progress=False)).reshape(len(pairs), 2, -1)
