"""From a checked line's file to what runs: engines, readers, what is in force, sinks."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from wordsight.runtime.calibration import used_references
from wordsight.runtime.config.check import PlannedSink
from wordsight.runtime.config.model_file import ModelFile
from wordsight.runtime.config.opening import open_line_source
from wordsight.runtime.config.read import Loaded
from wordsight.runtime.config.resolve import Resolved
from wordsight.runtime.drift_watch import DriftWatch
from wordsight.runtime.line.in_force import InForce
from wordsight.runtime.line.reader import Reader, ReaderSettings
from wordsight.runtime.parts import PartDecider
from wordsight.runtime.sinks.event_sink import Event
from wordsight.runtime.sinks.queued import Queued
from wordsight.runtime.sinks.result import Result
from wordsight.runtime.sources.frame import Failure
from wordsight.runtime.view import View

if TYPE_CHECKING:
    from wordsight.runtime.config.schema import LineSpec
    from wordsight.runtime.model import Model

Fingerprint = tuple[object, ...]


class Models:
    """The engines of a line's file: one for each exported file, told apart by its hash, or model on a server."""

    def __init__(self, backend: str, batch: int, on_step: Callable[[str], None]) -> None:
        """Open none yet.

        Args:
            backend: as `Model` takes it.
            batch: most frames in one pass.
            on_step: called with a line for people before what takes long.
        """
        self._backend, self._batch, self._on_step = backend, batch, on_step
        self.opened: dict[str, tuple[ModelFile, Model]] = {}

    def at(self, file: ModelFile) -> "Model":
        """Return the engine of a file, opened when it is asked for the first time.

        Raises:
            ModelError, MissingPart: see `Model`.
        """
        from wordsight.runtime.model import Model

        known = self.opened.get(file.key)
        model = (
            known[1]
            if known is not None
            else Model(file.path, self._backend, batch_size=self._batch, remote=file.remote, on_step=self._on_step)
        )
        self.opened[file.key] = file, model
        return model

    def close_but(self, used: set[int]) -> None:
        """Close the engines whose `id` is not among those in use; from the thread that scores."""
        for key, (_, model) in list(self.opened.items()):
            if id(model) not in used:
                del self.opened[key]
                model.close()


def in_force(found: Resolved, model: "Model") -> InForce:
    """Return what a line decides by, ready to decide."""
    known = found.by.calibration
    return InForce(
        model=model,
        view=View(model.manifest, found.object, found.few_shot),
        by=found.by,
        roi=found.roi,
        mask=found.mask,
        parts=None if found.rule is None else PartDecider(found.rule),
        drift=None if known is None else DriftWatch(known.scores),
        recipe=found.recipe,
        scored_by=found.scored_by,
    )


def fingerprint(found: Resolved) -> Fingerprint:
    """Return what tells one `Resolved` from another: with the same, what is in force stays, and what it remembers."""
    mask = None if found.mask is None else (found.mask.shape, found.mask.tobytes())
    by = (found.by.threshold, found.by.unsure, found.by.gate, found.by.calibration, found.by.applied)
    references = used_references(found.few_shot)
    return found.recipe, found.model.key, found.object, references, by, found.roi, mask, found.rule


def reader_of(
    loaded: Loaded, line: "LineSpec", ready: threading.Event, on_failure: Callable[[Failure], None]
) -> Reader:
    """Return the reader of a line, not started."""
    settings = ReaderSettings(stall_s=line.stall_s, give_up_s=line.give_up_s, frozen_s=line.frozen_s)
    return Reader(line.name, lambda: open_line_source(loaded, line), ready, settings=settings, on_failure=on_failure)


def queued(planned: PlannedSink) -> Queued:
    """Start a sink behind its queue."""
    spec, kind = planned.spec, planned.kind
    only = None if spec.only is None else set(spec.only)
    lines = None if spec.lines is None else set(spec.lines)

    def wants(event: Event) -> bool:
        if spec.of != "both" and isinstance(event, Result) != (spec.of == "frames"):
            return False
        if lines is not None and event.line not in lines:
            return False
        return only is None or event.decision in only

    return Queued(
        planned.name, lambda: kind.make(planned.options, planned.context), wants=wants, wants_image=kind.wants_image
    )
