"""Prompts to unit text embeddings e (section 3.2), in batches of equal length."""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from wordsight.train.cache import cache_key, load_embeddings, store_embeddings
from wordsight.train.errors import EncoderError, SettingError
from wordsight.train.fused_text import fuse_text
from wordsight.train.text_tower import encode_short, end_places, fits_short_contexts

if TYPE_CHECKING:
    from wordsight.train.encoders import Encoder

__all__ = ["PRECISIONS", "embed_texts"]

PRECISIONS = ("fp32", "bf16")

_Encode: TypeAlias = Callable[[Tensor], Tensor]
_WORTH_PACKING = 64  # prompts from which reordering the weights pays for itself


def embed_texts(
    encoder: "Encoder",
    prompts: Sequence[str],
    *,
    device: str | torch.device | None = None,
    batch_size: int = 64,
    precision: str = "fp32",
    progress: bool = True,
    cache: Path | None = None,
    label: str = "text embeddings",
) -> NDArray[np.float32]:
    """Embed prompts with the encoder's text tower.

    Prompts are sorted by their number of tokens and cut into batches, each run at the length of its longest prompt:
    the tower is causal, so what pads the context behind the end token changes nothing. open_clip's own kind of tower is
    run fused (`fused_text`). A tower that this does not hold for is run at its whole context, with a warning.

    Args:
        encoder: whose text tower to use.
        prompts: N texts.
        device: where to run; the model moves there. None: where it lies.
        batch_size: prompts a forward pass, at least 1.
        precision: "fp32", or "bf16" (products and attention; directions differ by about 1e-4 in cosine).
        progress: a bar on stderr.
        cache: folder that keeps embeddings from run to run, or None.
        label: what the bar is called.

    Returns:
        (N, D) float32, rows of unit length, in the order of the prompts.

    Raises:
        SettingError: an unknown precision, a batch below 1, or a prompt that fills the encoder's whole context.
        EncoderError: an embedding is not finite: the weights are broken.
    """
    if precision not in PRECISIONS:
        raise SettingError(f"--text-precision takes {' or '.join(PRECISIONS)}, got {precision!r}")
    if batch_size < 1:
        raise SettingError(f"--batch-size must be at least 1, got {batch_size}")
    if not prompts:
        return np.empty((0, encoder.embed_dim), np.float32)
    key = cache_key(encoder.name, encoder.sha256, precision, prompts)
    if cache is not None and (kept := load_embeddings(cache, key, len(prompts), encoder.embed_dim)) is not None:
        return kept
    if device is not None:
        encoder.model.to(device)
    with torch.inference_mode():
        rows = _embed(encoder, prompts, batch_size, precision, progress, label)
    embeddings = rows.numpy()
    if not np.isfinite(embeddings).all():
        raise EncoderError(f"the text tower of {encoder.name} gives values that are not finite: its weights are broken")
    if cache is not None:
        store_embeddings(cache, key, embeddings)
    return embeddings


def _embed(
    encoder: "Encoder", prompts: Sequence[str], batch_size: int, precision: str, progress: bool, label: str
) -> Tensor:
    device = encoder.device
    tokens = encoder.tokenize(list(prompts))  # (N, C) int64
    lengths = end_places(tokens) + 1  # (N,)
    # By length, and then by their tokens: what begins alike lies side by side, and is computed once.
    order = torch.from_numpy(np.lexsort((*tokens.T.numpy()[::-1], lengths.numpy())))

    _check_room(prompts, tokens, encoder.tokenize([""])[0])
    sample = tokens[order[[0, len(order) // 2, -1]]].to(device)
    encode = _short_encode(encoder.model, sample, precision, packed=len(prompts) >= _WORTH_PACKING)
    if encode is None:
        warnings.warn(
            f"the text tower of {encoder.name} does not allow short contexts: "
            f"running all {tokens.shape[1]} tokens, which takes about twice as long",
            stacklevel=3,
        )
        lengths = torch.full_like(lengths, tokens.shape[1])
        encode = _autocast(partial(_encode_whole, encoder.model), device, precision)

    embeddings = torch.empty(len(prompts), encoder.embed_dim)
    with _bar(progress, label, len(prompts)) as advance:
        for batch in torch.split(order, batch_size):
            context = int(lengths[batch].max())
            features = encode(tokens[batch, :context].to(device))
            embeddings[batch] = F.normalize(features.float(), dim=-1).cpu()
            advance(len(batch))
    return embeddings


def _short_encode(model: nn.Module, sample: Tensor, precision: str, packed: bool) -> _Encode | None:
    """What embeds tokens (B, L) at the length they need, in float32 or as autocast gives it; None: nothing may.

    Both ways are held against the model's own forward at its whole context, on a few rows `sample` (B, C).
    """
    fused = fuse_text(model, precision, packed)
    if fused is not None:
        # What is looked for here is a tower that is built otherwise, not how far bf16 rounds.
        if fits_short_contexts(model, sample, fused, 0.9999 if precision == "fp32" else 0.99):
            return fused
        warnings.warn("the fused text tower disagrees with the model's own forward: taking that instead", stacklevel=4)
    if fits_short_contexts(model, sample):
        return _autocast(partial(encode_short, model), sample.device, precision)
    return None


def _autocast(encode: _Encode, device: torch.device, precision: str) -> _Encode:
    def call(tokens: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            return encode(tokens)

    return call


def _encode_whole(model: nn.Module, tokens: Tensor) -> Tensor:
    return cast(Callable[[Tensor], Tensor], model.encode_text)(tokens)


def _check_room(prompts: Sequence[str], tokens: Tensor, blank: Tensor) -> None:
    """Tokenizers cut what is too long without a word, and what they cut could be the word that matters.

    Args:
        prompts: N texts.
        tokens: (N, C) int64.
        blank: (C,) int64, the tokens of an empty text: it shows what fills the context behind the end token.
    """
    pad = blank[-1]
    # SigLIP's first tokenizer fills up with end tokens: of these, one is the text's own.
    last = tokens[:, -2] if blank[0] == pad else tokens[:, -1]
    full = torch.nonzero(last != pad).flatten()
    if len(full):
        raise SettingError(
            f"{len(full)} of {len(prompts)} prompts fill the encoder's whole context of {tokens.shape[1]} tokens, so "
            "their ends may be cut: take shorter words (--min-length 3 --max-length 5 take 30 tokens of CLIP at most). "
            f"One is: {prompts[int(full[0])][:80]}…"
        )


@contextlib.contextmanager
def _bar(shown: bool, label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr, or nothing; gives the function that advances it."""
    if not shown:
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(label, total=total)
        yield lambda count: bars.advance(task, count)
