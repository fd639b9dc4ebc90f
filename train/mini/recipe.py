"""The training of `mini`: seeded, resumable, its last weights taken as they are.

This is the first part, both towers together; `match`, the second, goes on with the text tower alone.

Beside CLIP's contrastive loss stand four supervised ones, for which the generator knows every answer; without them
the state of a part is not found among all that captions mention. Their heads are thrown away at the end.
"""

import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from wordsight.train.mini import EMBED_DIM, losses
from wordsight.train.mini.defects import KINDS
from wordsight.train.mini.lesson import Lesson, Lessons, to_tensor, tokenize
from wordsight.train.mini.match import match
from wordsight.train.mini.pictures import Picture, held_out, validation
from wordsight.train.mini.towers import MiniCLIP


@dataclass(frozen=True)
class Settings:
    """All that decides the weights; recorded in the file."""

    seed: int = 0
    steps: int = 1800
    scenes: int = 11
    """Scenes a noun in a batch: 2 * scenes * nouns pictures."""
    nouns: int = 10
    peak_lr: float = 1.5e-3
    warmup: int = 100
    weight_decay: float = 0.05
    max_norm: float = 2.0
    bf16: bool = True
    match_steps: int = 300
    """Of the second part (`match`)."""
    match_lr: float = 1e-3


class Course(nn.Module):
    """The encoder with what only its training needs."""

    def __init__(self, seed: int) -> None:
        """Random weights of `seed`."""
        super().__init__()
        self.encoder = MiniCLIP(seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed + 1)
            self.kind = nn.Linear(EMBED_DIM, len(KINDS) + 1)
            self.state = nn.Linear(EMBED_DIM, 1)  # one for images and texts: it makes their states point the same way
            self.cell = nn.Linear(128, 1)
        self.log_scale = nn.Parameter(torch.tensor(math.log(14.0)))

    def losses(self, lesson: Lesson) -> dict[str, Tensor]:
        """The parts of the loss, by name."""
        visual = self.encoder.visual
        features = visual.features(lesson.images)  # (B, G * G, 128)
        images = F.normalize(visual.pool(features).float(), dim=-1)  # (B, D)
        cells = F.normalize(visual.cell(features).float(), dim=-1)  # (B, G * G, D)
        true, false = F.normalize(self.encoder.encode_in_buckets(lesson.texts).float(), dim=-1).chunk(2)  # (B, D) each
        difference = losses.opposite(true, false, lesson.label)
        probe = self.cell(features).squeeze(-1).float()
        # In the shared space one linear rule must do for pictures, for texts and (by the losses above) for cells.
        root = EMBED_DIM**0.5
        state_image = self.state(images * root).squeeze(-1)
        state_true = self.state(true * root).squeeze(-1)
        state_false = self.state(false * root).squeeze(-1)
        state = F.binary_cross_entropy_with_logits
        return {
            "clip": losses.captions(images, true, self.log_scale.clamp(max=math.log(100.0)).exp()),
            "pair": losses.pairs(images, difference, lesson.label),
            "cell": 2 * losses.cells(cells, difference, lesson.cover) + state(probe, *losses.wanted(lesson.cover)),
            "kind": 0.5 * F.cross_entropy(self.kind(images * root), lesson.kind),
            "state": 0.5 * (state(state_image, lesson.label) + state(torch.cat([state_true, state_false]),
                                                                     torch.cat([lesson.label, 1 - lesson.label]))),
        }  # fmt: skip


def rate(step: int, settings: Settings) -> float:
    """The learning rate of `step`: a short rise, then half a cosine down to nothing."""
    if step < settings.warmup:
        return settings.peak_lr * (step + 1) / settings.warmup
    done = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return settings.peak_lr * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def optimizer(course: Course, settings: Settings) -> torch.optim.AdamW:
    """AdamW; what is no matrix, and the token table (most rows of which a step does not touch), does not decay."""
    decays = [
        p for name, p in course.named_parameters() if p.ndim > 1 and "token" not in name and "position" not in name
    ]
    ids = {id(p) for p in decays}
    rest = [p for p in course.parameters() if id(p) not in ids]
    groups = [{"params": decays, "weight_decay": settings.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.peak_lr, betas=(0.9, 0.98), fused=True)


def auroc(scores: np.ndarray, labels: np.ndarray) -> float:
    """The chance that a defective picture scores above a good one; ties count half."""
    above = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    return float((above > 0).mean() + 0.5 * (above == 0).mean())


@torch.no_grad()
def prompt_scores(encoder: MiniCLIP, images: Tensor) -> Tensor:
    """The logit of the prompt-guided score, float32 (B,)."""
    texts = F.normalize(encoder.encode_text(tokenize(["a photo of a object", "a photo of a damaged object"])), dim=-1)
    return F.normalize(encoder.encode_image(images), dim=-1) @ (texts[1] - texts[0]) / losses.TEMPERATURE


def _report(encoder: MiniCLIP, pictures: list[Picture]) -> float:
    encoder.eval()
    scores = torch.cat([
        prompt_scores(encoder, to_tensor(np.stack([p.image for p in pictures[i : i + 100]])))
        for i in range(0, len(pictures), 100)
    ])  # fmt: skip
    encoder.train()
    return auroc(scores.numpy(), np.array([p.label for p in pictures]))


def _save_state(path: Path, state: dict[str, Any]) -> None:
    # Written beside and renamed: a run that is killed while it saves keeps the state before.
    beside = path.with_suffix(".part")
    torch.save(state, beside)
    os.replace(beside, path)


def train(
    settings: Settings,
    state_path: Path | None = None,
    *,
    resume: bool = True,
    stop_at: int | None = None,
    report_every: int = 250,
    save_every_s: float = 180.0,
    say: Callable[[str], None] = print,
) -> MiniCLIP:
    """Train to the end (or until before step `stop_at`), keeping the state in `state_path`."""
    course = Course(settings.seed).to(memory_format=torch.channels_last).train()
    steps = optimizer(course, settings)
    lessons = Lessons(settings.seed, settings.scenes, settings.nouns)
    first = 0
    if resume and state_path is not None and state_path.exists():
        state = torch.load(state_path, weights_only=True)
        if state["settings"] != asdict(settings):
            raise ValueError(f"{state_path} was made with {state['settings']}, not {asdict(settings)}; use --no-resume")
        course.load_state_dict(state["course"])
        steps.load_state_dict(state["optimizer"])
        first = state["step"]
        say(f"resumed at step {first}")

    last = settings.steps if stop_at is None else min(stop_at, settings.steps)
    shown = {"held-out": list(held_out(400, seed=99)), "validation": list(validation(400))} if report_every else {}
    began = saved = time.monotonic()
    drawing_s = 0.0

    def save(step: int) -> None:
        if state_path is not None:
            state = {"course": course.state_dict(), "optimizer": steps.state_dict(), "step": step}
            _save_state(state_path, state | {"settings": asdict(settings)})

    for step in range(first, last):
        before = time.monotonic()
        lesson = lessons.at(step)
        drawing_s += time.monotonic() - before
        for group in steps.param_groups:
            group["lr"] = rate(step, settings)
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.bf16):
            parts = course.losses(lesson)
        loss = torch.stack(list(parts.values())).sum()
        steps.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(course.parameters(), settings.max_norm)
        steps.step()
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss.item()} at step {step}")
        if step % 25 == 0 or step == last - 1:
            named = " ".join(f"{name} {part.item():.3f}" for name, part in parts.items())
            spent_s, done = time.monotonic() - began, step + 1 - first
            speed = f"{spent_s / done:.2f} s/step (drawing {drawing_s / done:.2f})"
            say(f"step {step} {spent_s / 60:.1f} min {speed} {named}")
        if report_every and (step + 1) % report_every == 0:
            # Only for whoever watches: nothing is chosen by it.
            named = ", ".join(f"{name} {_report(course.encoder, pictures):.3f}" for name, pictures in shown.items())
            say(f"step {step} AUROC of s_pr on nouns never rendered: {named}")
        if time.monotonic() - saved > save_every_s:
            save(step + 1)
            saved = time.monotonic()
    save(last)
    if last == settings.steps:
        finish(course.encoder, settings, say)
    return course.encoder.eval()


def finish(encoder: MiniCLIP, settings: Settings, say: Callable[[str], None] = print) -> None:
    """The second part of the recipe, in place: minutes, so it is not resumed but run again."""
    match(encoder, settings.seed, settings.match_steps, settings.match_lr,
          scenes=settings.scenes, nouns=settings.nouns, bf16=settings.bf16, say=say)  # fmt: skip


def write(encoder: MiniCLIP, path: Path, settings: Settings) -> None:
    """The weights in fp16, with how they came about."""
    weights = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in encoder.state_dict().items()
    }
    about = {name: str(value) for name, value in asdict(settings).items()}
    save_file(weights, path, metadata={"format": "pt", "licence": "Apache-2.0", "encoder": "mini", **about})
    path.chmod(0o644)  # safetensors writes for the owner alone, and the file is packaged
