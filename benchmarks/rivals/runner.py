"""All cells of a table, those that are done left alone.

FOLDER/head.safetensors, model-single.onnx    ours, kept
FOLDER/regad-<hash>.safetensors               RegAD's networks, kept
FOLDER/cells/                                 one JSON file a cell, see `results`
"""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wordsight.benchmarks import progress
from wordsight.benchmarks.peer_process import check_environment
from wordsight.benchmarks.rivals import bridge, measure, regad, registration, spade
from wordsight.benchmarks.rivals.backbone import is_clip, load_tower
from wordsight.benchmarks.rivals.draws import Category, content_sha256
from wordsight.benchmarks.rivals.methods import PEERS, Cell, Method, cells
from wordsight.benchmarks.rivals.others import ALONE, Others, Part, network, others_of, training_nouns
from wordsight.benchmarks.rivals.ours import NO_TEXT, exported_file, ours
from wordsight.benchmarks.rivals.results import Result, load, save
from wordsight.benchmarks.rivals.work import Work

if TYPE_CHECKING:
    from wordsight.benchmarks.rivals.tower import Tower
    from wordsight.runtime.model import Model

GENERATOR = "held-out nouns of the generator"


@dataclass(frozen=True)
class Plan:
    """What is to be measured."""

    backbone: str
    encoder: str | None
    """What ours is measured with; None: the backbone itself, where it has a text side."""
    methods: tuple[Method, ...]
    shots: tuple[int, ...]
    draws: int
    seed: int
    python: Path
    """Of anomalib's environment."""
    device: str = "cpu"
    pairs: int = 10_000
    """N_p of our heads."""
    steps: int = registration.STEPS
    """Of RegAD's training."""


def run(plan: Plan, categories: Sequence[Category], folder: Path) -> list[Result]:
    """Measure every cell that has no file yet, and read the others.

    Args:
        plan: what is to be measured.
        categories: what it is measured on; RegAD trains on those that it is not measured on, and for the generator's
            nouns (section `GENERATOR`) on its training nouns.
        folder: where everything is kept; it must exist.

    Returns:
        The results of all cells, in the order of categories and methods.

    Raises:
        MissingPart: PaDiM or PatchCore is asked for, and there is no environment of anomalib.
        SettingError, EncoderError: the backbone or the encoder cannot be had.
        PictureError, MaskError: a picture or a mask cannot be used.
    """
    keys = {method.key for method in plan.methods}
    if keys & PEERS:
        check_environment(plan.python)
    encoder = plan.encoder or (plan.backbone if is_clip(plan.backbone) else None)
    with ExitStack() as stack:
        tower = None
        if any(not method.ours for method in plan.methods):
            tower = load_tower(plan.backbone, plan.device)
        model = None
        if encoder is not None and any(method.ours for method in plan.methods):
            from wordsight.runtime.model import Model

            model = stack.enter_context(Model(exported_file(encoder, plan.draws, plan.pairs, folder)))
        table = _Table(plan, folder, tower, model, categories, stack)
        return [result for category in categories for result in table.of(category)]


class _Table:
    def __init__(
        self, plan: Plan, folder: Path, tower: "Tower | None", model: "Model | None", categories: Sequence[Category],
        stack: ExitStack,
    ) -> None:  # fmt: skip
        self._plan, self._folder, self._tower, self._model = plan, folder, tower, model
        self._parts = [Part(category, plan.seed) for category in categories if category.section != GENERATOR]
        self._stack = stack
        self._scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wordsight-rivals-")))
        self._peer: bridge.Anomalib | None = None

    def of(self, category: Category) -> list[Result]:
        """The results of a class."""
        others = self._others(category)
        found: dict[Cell, Result | None] = {}
        todo: list[tuple[Cell, dict[str, object]]] = []
        for method in self._plan.methods:
            reason = self._reason(method, others)
            for cell in cells(category.section, category.name, method, self._plan.shots, self._plan.draws):
                if reason:
                    found[cell] = Result(cell, reason=reason)
                    continue
                identity = self._identity(cell, method, category, others)
                found[cell] = load(self._folder, cell, identity)
                if found[cell] is None:
                    todo.append((cell, identity))
        if todo:
            found |= self._measured(category, todo, others)
        return [result for result in found.values() if result is not None]

    def _measured(
        self, category: Category, todo: list[tuple[Cell, dict[str, object]]], others: Others | None
    ) -> dict[Cell, Result]:
        registered = None
        if others is not None and any(cell.method == "regad" for cell, _ in todo):
            assert self._tower is not None
            registered = network(self._tower, others, self._plan.seed, self._folder, self._plan.steps)
        work = Work(category, self._scratch, self._tower, self._model)
        defective = sum(sample.label for sample in category.test)
        results = {}
        with progress.bar(f"{category.name[:20]}", len(todo)) as tick:
            for cell, identity in todo:
                scored = self._scored(cell, work, registered)
                figures = measure.figures(work.truth, scored)
                result = Result(cell, figures, len(category.test) - defective, defective)
                save(self._folder, result, identity)
                results[cell] = result
                tick()
        return results

    def _scored(self, cell: Cell, work: Work, registered: "registration.Registration | None") -> measure.Found:
        if cell.method in ("clip", "fnn", "img"):
            return ours(cell.method, work, cell.shots, cell.draw)
        frames, size = work.support(cell.shots, cell.draw), work.tower.size
        if cell.method == "regad":
            assert registered is not None
            support = registered.features(np.concatenate([regad.views(frame) for frame in frames]))
            return regad.regad(support, work.registered(registered), size)
        support = work.tower.features(frames)
        if cell.method == "spade":
            return work.spade.score(support, [s.name for s in work.category.support(cell.shots, cell.draw)])
        return self._anomalib().score(cell.method, support, work.test_files, size, self._plan.seed + cell.draw)

    def _anomalib(self) -> bridge.Anomalib:
        if self._peer is None:
            import torch

            self._peer = bridge.Anomalib(self._plan.python, self._scratch, torch.get_num_threads())
            self._stack.callback(self._peer.close)
        return self._peer

    def _others(self, category: Category) -> Others | None:
        if all(method.key != "regad" for method in self._plan.methods):
            return None
        if category.section == GENERATOR:
            return training_nouns(self._plan.seed)
        return others_of(category, self._parts)

    def _reason(self, method: Method, others: Others | None) -> str:
        if method.ours and self._model is None:
            return NO_TEXT
        return ALONE if method.key == "regad" and others is None else ""

    def _identity(self, cell: Cell, method: Method, category: Category, others: Others | None) -> dict[str, object]:
        shared: dict[str, object] = {"test": category.sha256}
        if cell.shots:
            shared["support"] = content_sha256(category.support(cell.shots, cell.draw))
        if method.ours:
            assert self._model is not None
            return {**shared, "model": self._model.sha256}
        assert self._tower is not None
        shared |= {"backbone": self._tower.sha256, "levels": self._tower.places, "size": self._tower.size}
        if method.key == "regad":
            assert others is not None
            learned = {**registration.SETTINGS, "steps": self._plan.steps, "seed": self._plan.seed}
            return {**shared, "settings": {**regad.SETTINGS, **learned, "training": dict(others.identity)}}
        if method.key == "spade":
            return {**shared, "settings": spade.SETTINGS}
        return {**shared, "settings": bridge.SETTINGS[method.key], "seed": self._plan.seed + cell.draw}
