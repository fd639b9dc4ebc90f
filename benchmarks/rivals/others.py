"""What RegAD is trained on: every category but the one it is measured on."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from wordsight.benchmarks import progress
from wordsight.benchmarks.datasets import Sample
from wordsight.benchmarks.rivals import registration
from wordsight.benchmarks.rivals.draws import Category, content_sha256, shuffled
from wordsight.benchmarks.rivals.results import Identity
from wordsight.benchmarks.rivals.tower import Tower
from wordsight.benchmarks.rivals.work import fitted
from wordsight.runtime.files import whole_file

ALONE = "RegAD is trained on other categories than the one it is measured on: give a second set"
_MOST = 100  # good pictures of a category
_STREAM = 1000  # of the seed, beside those of test pictures and draws
_SCENES = 1170  # of the generator's 117 training nouns, half of them good


@dataclass(frozen=True)
class Others:
    """Good pictures of other categories, and what tells them from others."""

    identity: Identity
    categories: Callable[[], list[list[Sample]]]

    def frames(self, tower: Tower) -> list[registration.Frames]:
        """Fitted frames of each category that has a pair."""
        return [fitted(samples, tower.size) for samples in self.categories() if len(samples) > 1]


class Part:
    """The good pictures of a category that serve to train for the others: at most `_MOST`, by seed."""

    def __init__(self, category: Category, seed: int) -> None:
        self.category = category
        order = shuffled(len(category.fit), seed, _STREAM)[:_MOST]
        self.samples = [category.fit[i] for i in sorted(order)]

    @cached_property
    def sha256(self) -> str:
        """Of the pictures; read when first asked for."""
        return content_sha256(self.samples)


def others_of(measured: Category, parts: Sequence[Part]) -> Others | None:
    """The other categories among those that are measured; None where there is no other with a pair of pictures."""
    chosen = [part for part in parts if part.category is not measured and len(part.samples) > 1]
    if not chosen:
        return None
    return Others({"categories": [part.sha256 for part in chosen]}, lambda: [part.samples for part in chosen])


def training_nouns(seed: int) -> Others:
    """The generator's training nouns, none of which is a held-out one."""

    def draw() -> list[list[Sample]]:
        from wordsight.train.mini import training_nouns as scenes

        groups: dict[str, list[Sample]] = {}
        for number, picture in enumerate(scenes(_SCENES, seed)):
            if not picture.label:
                groups.setdefault(picture.noun, []).append(Sample(str(number), 0, "good", frame=picture.image))
        return list(groups.values())

    return Others({"generator": "training nouns", "scenes": _SCENES, "seed": seed}, draw)


def network(tower: Tower, others: Others, seed: int, folder: Path, steps: int) -> registration.Registration:
    """RegAD's network for these categories, from `folder` where it was trained before.

    Raises:
        EncoderError: its file is damaged.
    """
    from safetensors.torch import save

    from wordsight.train.weights import read_state

    whole = [tower.sha256, tower.places, {**registration.SETTINGS, "steps": steps}, others.identity, seed]
    digest = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:12]
    path = folder / f"regad-{digest}.safetensors"
    if path.is_file():
        kept = registration.Registration(tower)
        kept.load_state_dict(read_state(path), strict=True)
        return kept.eval().requires_grad_(False)
    with progress.bar("RegAD learns to register", steps) as tick:
        trained = registration.train(tower, others.frames(tower), seed, tick, steps)
    state = {name: tensor.contiguous().cpu() for name, tensor in trained.state_dict().items()}
    with whole_file(path) as file:
        file.write(save(state))
    return trained
