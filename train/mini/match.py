"""The second part of the recipe: random words learn to scatter as pictures do.

Part one teaches the text tower that stray words say nothing, and it learns that too well: all prompts of one state end
up in one point, far from every picture, and a head trained on two points knows nothing of pictures. On the web, unknown
words do stand for something: names and types of parts. So, with the image tower kept as it is, texts full of random
words are drawn to the distribution that pictures of their state have, by the energy distance between the two, while the
losses of part one see to it that captions keep their meaning. Only training nouns are used.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wordsight.train.mini import losses
from wordsight.train.mini.captions import random_words
from wordsight.train.mini.lesson import Lessons, tokenize
from wordsight.train.mini.towers import MiniCLIP

SCALE = 30.0  # of the contrastive loss: about what part one ends with
WEIGHT = 30.0  # of the energy distance, beside the losses of captions
LESSONS = 96  # eight chapters, seen over and over: only texts are trained here


@dataclass(frozen=True)
class Seen:
    """A lesson whose B pictures, twins side by side, went through the image tower."""

    images: Tensor
    """float32 (B, D), unit length."""
    cells: Tensor
    """bfloat16 (B, G * G, D), unit length."""
    texts: Tensor
    """int64 (2, B, C): true captions, then the same with the other state."""
    label: Tensor
    """float32 (B,), 1 defective."""
    cover: Tensor
    """float32 (B, G * G), the share of each cell that is defective."""


@torch.no_grad()
def look(encoder: MiniCLIP, lessons: Lessons, step: int, bf16: bool) -> Seen:
    """The lesson of `step`, seen."""
    lesson = lessons.at(step)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        features = encoder.visual.features(lesson.images)
        images = F.normalize(encoder.visual.pool(features).float(), dim=-1)
        cells = F.normalize(encoder.visual.cell(features).float(), dim=-1).bfloat16()
    return Seen(images, cells, torch.stack(lesson.texts.chunk(2)), lesson.label, lesson.cover)


def match(
    encoder: MiniCLIP,
    seed: int = 0,
    steps: int = 300,
    lr: float = 1e-3,
    *,
    scenes: int = 11,
    nouns: int = 10,
    lessons: int = LESSONS,
    bf16: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Train the text tower of `encoder` in place; its image tower stays, bit for bit."""
    encoder.eval()  # batch norm keeps its statistics
    drawn = Lessons(seed + 777, scenes, nouns)  # chapters that part one did not see
    seen = [look(encoder, drawn, step, bf16) for step in range(min(lessons, steps))]
    optimizer = torch.optim.AdamW(encoder.text.parameters(), lr=lr, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    began = time.monotonic()
    for step in range(steps):
        rng = np.random.default_rng((seed, 21, step))
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 20) * 0.5 * (1 + np.cos(np.pi * step / steps))
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            parts = _losses(encoder, seen[step % len(seen)], rng)
        loss = parts["clip"] + parts["pair"] + 2 * parts["cell"] + WEIGHT * parts["energy"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(encoder.text.parameters(), 2.0)
        optimizer.step()
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss.item()} at step {step} of the second part")
        if step % 25 == 0 or step == steps - 1:
            named = " ".join(f"{name} {part.item():.3f}" for name, part in parts.items())
            say(f"match {step} {(time.monotonic() - began) / 60:.1f} min {named}")


def _losses(encoder: MiniCLIP, seen: Seen, rng: np.random.Generator) -> dict[str, Tensor]:
    bad = seen.label > 0
    words = tokenize([random_words(bool(defective), rng) for defective in bad])
    worded = F.normalize(encoder.encode_in_buckets(words).float(), dim=-1)  # (B, D)
    energy = [losses.energy_distance(worded[rows], seen.images[rows]) for rows in (bad, ~bad)]

    # Captions of every second pair of twins: they only have to stay what they are.
    pairs = torch.from_numpy(rng.choice(len(bad) // 2, max(1, len(bad) // 4), replace=False))
    rows = torch.stack([2 * pairs, 2 * pairs + 1], 1).flatten()
    texts = encoder.encode_in_buckets(seen.texts[:, rows].flatten(0, 1))
    true, false = F.normalize(texts.float(), dim=-1).chunk(2)
    images, label = seen.images[rows], seen.label[rows]
    difference = losses.opposite(true, false, label)
    return {
        "clip": losses.captions(images, true, SCALE),
        "pair": losses.pairs(images, difference, label),
        "cell": losses.cells(seen.cells[rows].float(), difference, seen.cover[rows]),
        "energy": torch.stack(energy).sum(),
    }
