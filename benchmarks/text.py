"""Text embedding: length-sorted buckets against a plain `encode_text` loop at the full context."""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wordsight.benchmarks import timing
from wordsight.runtime.figures import Figure

if TYPE_CHECKING:
    from wordsight.train.encoders import Encoder

BATCHES = (32, 64, 128)
MEANING = {
    "ratio.text_embedding": "plain loop over buckets, both fp32: how many times faster buckets are",
    "ratio.text_embedding_bf16": "plain loop in fp32 over buckets in bf16",
    "cosine.text_embedding.min": "smallest cosine between the two, fp32",
    "cosine.text_embedding_bf16.min": "smallest cosine, bf16 buckets against the fp32 loop",
    "seconds.text_plain": "plain loop, all prompts, at its best batch",
    "seconds.text_buckets": "buckets, fp32, at their best batch",
    "seconds.text_buckets_bf16": "buckets, bf16, at their best batch",
    "batch.text_plain": "best batch of the plain loop",
    "batch.text_buckets": "best batch of the buckets, fp32",
    "batch.text_buckets_bf16": "best batch of the buckets, bf16",
}


def plain(encoder: "Encoder", prompts: list[str], batch_size: int) -> NDArray[np.float32]:
    """What one would write without thinking: `encode_text` on batches at the full context; unit rows (N, D)."""
    import torch
    import torch.nn.functional as F

    with torch.inference_mode():
        rows = [
            F.normalize(encoder.model.encode_text(encoder.tokenize(prompts[i : i + batch_size])), dim=-1)  # type: ignore[operator]
            for i in range(0, len(prompts), batch_size)
        ]
        return np.asarray(torch.cat(rows).float().numpy(), np.float32)


def buckets(encoder: "Encoder", prompts: list[str], batch_size: int, precision: str) -> NDArray[np.float32]:
    """The project's own way, uncached; unit rows (N, D)."""
    from wordsight.train.embed import embed_texts

    return embed_texts(encoder, prompts, batch_size=batch_size, precision=precision, progress=False, cache=None)


def measure(encoder: "Encoder", count: int = 1024, repeats: int = 3, sweep: int = 256) -> list[Figure]:
    """Find each side's best batch on `sweep` of the prompts, then time all `count` of them in turns.

    Args:
        encoder: Any; its weights do not change the speed.
        count: Random-word prompts, half of them normal.
        repeats: Rounds over all prompts.
        sweep: How many of them choose the batch size of each side.
    """
    from wordsight.train.prompts import PromptPair, random_prompts

    normal, anomalous = random_prompts(PromptPair(), (count + 1) // 2, 0)
    prompts = [prompt for pair in zip(normal, anomalous, strict=True) for prompt in pair][:count]
    ways = {
        "plain": partial(plain, encoder),
        "buckets": partial(buckets, encoder, precision="fp32"),
        "buckets_bf16": partial(buckets, encoder, precision="bf16"),
    }
    trial = {f"{name} {size}": partial(way, prompts[:sweep], size) for name, way in ways.items() for size in BATCHES}
    swept = timing.interleaved(trial, 2, warm_up=0)
    best = {name: min(BATCHES, key=partial(_swept, swept, name)) for name in ways}
    rows: dict[str, NDArray[np.float32]] = {}

    def run(name: str) -> None:
        rows[name] = ways[name](prompts, batch_size=best[name])

    seconds = timing.interleaved({name: partial(run, name) for name in ways}, repeats, warm_up=0)
    figures = [
        timing.ratio("ratio.text_embedding", seconds["plain"], seconds["buckets"]),
        timing.ratio("ratio.text_embedding_bf16", seconds["plain"], seconds["buckets_bf16"]),
        _cosine("cosine.text_embedding.min", rows["plain"], rows["buckets"]),
        _cosine("cosine.text_embedding_bf16.min", rows["plain"], rows["buckets_bf16"]),
    ]
    figures += [timing.median(f"seconds.text_{name}", seconds[name]) for name in ways]
    return figures + [Figure(f"batch.text_{name}", size, n=1) for name, size in best.items()]


def _swept(seconds: dict[str, list[float]], name: str, size: int) -> float:
    return min(seconds[f"{name} {size}"])


def _cosine(name: str, left: NDArray[np.float32], right: NDArray[np.float32]) -> Figure:
    cosines = (left.astype(np.float64) * right).sum(1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)
    return Figure(name, float(cosines.min()), n=len(cosines))
