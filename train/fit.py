"""Fitting heads on text embeddings (section 3.3): AdamW, binary cross entropy, both prompts of a pair in one batch.

Texts and images lie apart in CLIP's space. Two settings past the paper meet that: noise on the text embeddings, and
embeddings taken from their mean, for which an export then takes images from theirs.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from wordsight.train.embed import embed_texts
from wordsight.train.errors import SettingError
from wordsight.train.head import WIDTHS, Head, check_shape
from wordsight.train.prompts import PromptPair, Wording, check_words, random_prompts

if TYPE_CHECKING:
    from wordsight.train.encoders import Encoder

__all__ = ["History", "Settings", "fit_head", "train_heads"]


_MOST_NOISE = 10.0  # beyond it nothing of the embedding is left
_LATER = {"states", "natural", "counterfactual", "noise", "centre"}  # missing from the first head files


@dataclass(frozen=True)
class Settings:
    """Everything that decides a head, the encoder and the seed apart; recorded in every head file.

    Raises:
        SettingError: a setting out of range.
    """

    pair: PromptPair = field(default_factory=PromptPair)
    num_pairs: int = 10_000  # N_p; the paper's best of 1,000 to 50,000
    min_length: int = 5  # l_min, letters
    max_length: int = 10  # l_max, letters
    lr: float = 1e-3  # the paper's exponent is illegible
    lr_decay: float = 0.1  # factor after the first epoch; the paper decays, but does not say how far
    weight_decay: float = 1e-4
    widths: tuple[int, ...] = WIDTHS
    dropout: float = 0.2  # not in the paper
    epochs: int = 2
    batch_pairs: int = 64  # the paper's batch of 128 samples
    states: bool = False  # this and all below: not in the paper, off; see `Wording`
    natural: float = 0.0
    counterfactual: bool = False
    noise: float = 0.0  # sigma: length of the Gaussian noise on a unit embedding, root mean square
    centre: bool = False  # the head is trained on e - mean(e)

    def __post_init__(self) -> None:
        _ = self.wording  # refuses a share out of range
        if not (math.isfinite(self.noise) and 0 <= self.noise <= _MOST_NOISE):
            raise SettingError(f"--noise takes a length from 0 to {_MOST_NOISE}, got {self.noise}")
        check_words(self.num_pairs, self.min_length, self.max_length)
        check_shape(1, self.widths, self.dropout)
        if not 0 < self.lr < 1:
            raise SettingError(f"--lr must lie between 0 and 1, got {self.lr}")
        if not 0 < self.lr_decay <= 1:
            raise SettingError(f"--lr-decay must be above 0 and at most 1, got {self.lr_decay}")
        if not 0 <= self.weight_decay < 1:
            raise SettingError(f"--weight-decay must be at least 0 and below 1, got {self.weight_decay}")
        if self.epochs < 1:
            raise SettingError(f"--epochs must be at least 1, got {self.epochs}")
        if self.batch_pairs < 1:
            raise SettingError(f"--batch-pairs must be at least 1, got {self.batch_pairs}")

    @property
    def wording(self) -> Wording:
        """How the training prompts are worded."""
        return Wording(self.states, self.natural, self.counterfactual)

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON takes them."""
        return {**asdict(self), "widths": list(self.widths)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Settings":
        """The settings that `to_dict` wrote; those that came later may be missing and then are the paper's.

        Raises:
            SettingError: a setting is missing, unknown, of the wrong type or out of range.
        """
        names = {f.name for f in fields(cls)}
        if set(values) | _LATER != names:
            raise SettingError(f"settings differ from those known here in {sorted((set(values) | _LATER) ^ names)}")
        try:
            pair = PromptPair(**values["pair"])
            return cls(**{**values, "pair": pair, "widths": tuple(int(width) for width in values["widths"])})
        except TypeError as error:
            raise SettingError(f"settings of the wrong type: {error}") from error


@dataclass(frozen=True)
class History:
    """How a fit went: the loss of every step, and how well the finished head knows the prompts it learned from."""

    losses: tuple[float, ...]
    final_loss: float
    accuracy: float


def train_heads(
    encoder: "Encoder",
    settings: Settings,
    seeds: Sequence[int],
    *,
    batch_size: int = 64,
    precision: str = "fp32",
    cache: Path | None = None,
    progress: bool = True,
    shuffle_labels: bool = False,
) -> list[Head]:
    """Train one head a seed; each draws its own words, its own first weights and its own order of batches.

    Args:
        encoder: whose text tower turns prompts into embeddings.
        settings: see `Settings`.
        seeds: one or more different seeds, 0 or more.
        batch_size: prompts a forward pass of the text tower.
        precision: "fp32" or "bf16", of the text tower.
        cache: folder that keeps embeddings from run to run, or None.
        progress: bars on stderr.
        shuffle_labels: see `fit_head`.

    Returns:
        One head a seed, in their order, each in eval mode and with its `history`.

    Raises:
        SettingError: no seed, the same seed twice, or words too long for the encoder's context.
    """
    check_seeds(seeds)
    heads = []
    for place, seed in enumerate(seeds, start=1):
        normal, anomalous = random_prompts(
            settings.pair, settings.num_pairs, seed, settings.min_length, settings.max_length, settings.wording
        )
        embeddings = embed_texts(
            encoder,
            normal + anomalous,
            batch_size=batch_size,
            precision=precision,
            progress=progress,
            cache=cache,
            label=f"words of seed {seed} ({place} of {len(seeds)})",
        )
        halves = embeddings[: len(normal)], embeddings[len(normal) :]
        heads.append(fit_head(*halves, settings, seed, shuffle_labels=shuffle_labels))
    return heads


def fit_head(
    normal: NDArray[np.float32],
    anomalous: NDArray[np.float32],
    settings: Settings,
    seed: int,
    shuffle_labels: bool = False,
) -> Head:
    """Fit a head on pairs of text embeddings, on the CPU.

    The same seed gives the same head, bit for bit, on the same machine, whatever was drawn before; torch's global
    random state and its number of threads are left as they were.

    Args:
        normal: (N_p, D) float32, label 0.
        anomalous: (N_p, D) float32, label 1; row i is the partner of row i of `normal`.
        settings: see `Settings`; of the words only the result is used here.
        seed: 0 or more; decides first weights, order of batches, dropout and noise.
        shuffle_labels: permute all 2 N_p labels first: a control that must not learn anything.

    Returns:
        The head in eval mode, with its `history`.

    Raises:
        SettingError: the arrays are not two (N_p, D) of the same shape, or hold values that are not finite.
    """
    check_seeds([seed])
    pairs = _as_pairs(normal, anomalous)  # (N_p, 2, D)
    mean = F.normalize(pairs, dim=-1).flatten(0, 1).mean(dim=0) if settings.centre else None  # (D,)
    labels = torch.tensor([0.0, 1.0]).repeat(len(pairs), 1)  # (N_p, 2)
    # One stream for orders and one for shuffled labels: the control sees the same batches as the head it controls.
    streams = np.random.SeedSequence(seed).spawn(2)
    order_stream, label_stream = (np.random.Generator(np.random.PCG64(stream)) for stream in streams)
    if shuffle_labels:
        labels = labels.flatten()[torch.from_numpy(label_stream.permutation(labels.numel()))].reshape(labels.shape)

    with _one_thread(), torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        torch.default_generator.manual_seed(seed)  # first weights and dropout; leaves a GPU's state alone
        head = Head(pairs.shape[-1], settings.widths, settings.dropout, text_mean=mean)
        optimizer = torch.optim.AdamW(head.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
        losses: list[float] = []
        for epoch in range(settings.epochs):
            if epoch == 1:
                for group in optimizer.param_groups:
                    group["lr"] = settings.lr * settings.lr_decay
            order = torch.from_numpy(order_stream.permutation(len(pairs)))
            # The last batch may be short; even one pair is two samples, enough for batch norm.
            for batch in torch.split(order, settings.batch_pairs):
                logits = head.of_texts(_noisy(pairs[batch].flatten(0, 1), settings.noise))
                loss = F.binary_cross_entropy_with_logits(logits, labels[batch].flatten())
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                losses.append(loss.item())
        head.eval()
        head.requires_grad_(False)
        head.history = _measure(head, pairs, labels, losses)
    return head


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Run torch on one thread.

    Products of 128 rows are too small to share: a second thread saves nothing, and on a busy machine every step waits
    for the thread that is not running (40 times slower, measured). One thread also rounds the same everywhere.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _noisy(embeddings: Tensor, sigma: float) -> Tensor:
    """Unit embeddings (B, D) with Gaussian noise of root mean square length `sigma`; as they are where it is 0."""
    if sigma == 0:
        return embeddings
    unit = F.normalize(embeddings, dim=-1)
    return F.normalize(unit + torch.randn_like(unit) * (sigma / math.sqrt(unit.shape[-1])), dim=-1)


def _measure(head: Head, pairs: Tensor, labels: Tensor, losses: Sequence[float]) -> History:
    logits = head.of_texts(pairs.flatten(0, 1))
    targets = labels.flatten()
    loss = F.binary_cross_entropy_with_logits(logits, targets)
    accuracy = ((logits > 0) == (targets > 0.5)).float().mean()
    return History(losses=tuple(losses), final_loss=loss.item(), accuracy=accuracy.item())


def _as_pairs(normal: NDArray[np.float32], anomalous: NDArray[np.float32]) -> Tensor:
    if normal.ndim != 2 or normal.shape != anomalous.shape or len(normal) == 0:
        raise SettingError(
            f"a head is fitted on two arrays of the same shape (pairs, D), got {normal.shape} and {anomalous.shape}"
        )
    pairs = np.stack([normal, anomalous], axis=1).astype(np.float32, copy=False)
    if not np.isfinite(pairs).all():
        raise SettingError("a head is fitted on finite embeddings, got NaN or infinity: are the weights broken?")
    return torch.from_numpy(pairs)


def check_seeds(seeds: Sequence[int]) -> None:
    """Raise SettingError unless there is a seed, each lies in 0 ... 2**63 - 1, and none comes twice."""
    if not seeds:
        raise SettingError("--seeds must be at least 1, got 0")
    if any(not 0 <= seed < 2**63 for seed in seeds):
        raise SettingError(f"a seed lies between 0 and 2**63 - 1, got {list(seeds)}")
    if len(set(seeds)) != len(seeds):
        raise SettingError(f"every seed gives one head, got one twice in {list(seeds)}")
