"""What changes while lines run: another recipe, a file read again. Prepared in a thread of its own, done between steps.

A file that is wrong changes nothing: what was in force stays, and the reason is told.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordsight.runtime.config.check import Checked, check
from wordsight.runtime.config.read import read_line_file
from wordsight.runtime.errors import WordsightError
from wordsight.runtime.files import file_stamp
from wordsight.runtime.line import applied, trail
from wordsight.runtime.line.assemble import Fingerprint, Models, fingerprint, in_force, reader_of
from wordsight.runtime.line.journal import Journal, stamp
from wordsight.runtime.line.recipes import FILE, read_selection
from wordsight.runtime.line.running import RunningLine

if TYPE_CHECKING:
    from wordsight.runtime.line.in_force import InForce

_SOURCE = (
    "source", "credentials", "part_id", "trigger", "take", "open_timeout_s", "read_timeout_s", "stall_s", "give_up_s",
    "frozen_s",
)  # fmt: skip
_RESTART = ("remote", "backend", "batch", "wait_ms", "status", "state", "web", "web_credentials", "web_hosts", "sink")


class Changes:
    """Keeps what is in force in step with the line's file and the recipe that is selected.

    Attributes:
        checked: the file as it is in force.
        reload: when it was last read again, whether it was taken, and what is to be told; None before that.
    """

    def __init__(
        self,
        checked: Checked,
        models: Models,
        journal: Journal,
        ready: threading.Event,
        do: Callable[[Callable[[], None]], None],
        switch: "Callable[[RunningLine, InForce], None]",
        taken: Callable[[Checked], None],
    ) -> None:
        """Keep what it works with.

        Args:
            checked: the file at the start.
            models: the engines.
            journal: told of everything.
            ready: as readers take it.
            do: has something done between two steps of the engine, in its thread.
            switch: changes what is in force for a line; called in the engine's thread.
            taken: told of the file at the start, and each time it was read again and is in force.
        """
        self.checked = checked
        self.reload: dict[str, Any] | None = None
        self._models, self._journal, self._ready = models, journal, ready
        self._do, self._apply, self._taken = do, switch, taken
        self._built: dict[str, tuple[Fingerprint, InForce]] = {}  # by line: what was handed out last
        self._kept: dict[tuple[str, str | None], tuple[Fingerprint, InForce]] = {}
        self._seen: object = ()
        self._applied: tuple[applied.Applied, ...] = ()

    def _stamps(self) -> object:
        state: Path = self.checked.loaded.state
        return file_stamp(state / FILE), file_stamp(state / applied.FILE)

    def start(self) -> list[RunningLine]:
        """Return every line with what is in force for it; readers are not started.

        Raises:
            ModelError, MissingPart: an engine cannot be opened.
        """
        self._seen = self._stamps()
        selection, told = read_selection(self.checked.loaded)
        if told:
            self._journal.error("recipe", "RecipeGone", told)
        self._applied = self._still_applied(self.checked)
        for one in self._applied:
            self._journal.say("thresholds", one.told)
        self._taken(self.checked)
        return [self._line(self.checked, name.name, selection.of(name.name)) for name in self.checked.loaded.spec.line]

    def look(self, lines: list[RunningLine]) -> None:
        """Take in a recipe that was selected, or thresholds that were applied, since the last look."""
        now = self._stamps()
        if now == self._seen:
            return
        self._seen = now
        selection, told = read_selection(self.checked.loaded)
        if told:
            self._journal.error("recipe", "RecipeGone", told)
        self._applied = self._still_applied(self.checked)
        for line in lines:
            wanted = selection.of(line.name)
            try:
                self._switch(line, self.checked, wanted)
            except WordsightError as error:
                self._journal.error(line.name, type(error).__name__, f"recipe {wanted}: {error}; the old one stays")

    def read_again(
        self, lines: list[RunningLine], add: Callable[[RunningLine], None], drop: Callable[[RunningLine], None]
    ) -> None:
        """Read the file again and take in what changed.

        Args:
            lines: those that run.
            add: takes a new line, in the engine's thread.
            drop: takes a line that is no more, in the engine's thread.
        """
        try:
            new = check(read_line_file(self.checked.loaded.path))
            told = self._take(new, lines, add, drop)
        except WordsightError as error:
            first = str(error).splitlines()[0]
            self.reload = {"time": stamp(), "ok": False, "message": first}
            self._journal.error("file", type(error).__name__, f"refused, the old one stays in force: {first}")
            return
        self.reload = {"time": stamp(), "ok": True, "message": told}
        self._journal.say("file", f"read again at {stamp()}: {told}")

    def _take(
        self,
        new: Checked,
        lines: list[RunningLine],
        add: Callable[[RunningLine], None],
        drop: Callable[[RunningLine], None],
    ) -> str:
        old = self.checked
        before = {line.name: line for line in old.loaded.spec.line}
        running = {line.name: line for line in lines}
        restart = [key for key in _RESTART if getattr(old.loaded.spec, key) != getattr(new.loaded.spec, key)]
        selection, _ = read_selection(new.loaded)
        # All that can fail comes first: engines of models that are new.
        for spec in new.loaded.spec.line:
            self._models.at(new.resolved[spec.name, selection.of(spec.name)].model)
        self.checked = new
        self._applied = self._still_applied(new)
        self._taken(new)
        self._kept.clear()
        count = {"changed": 0, "added": 0, "removed": 0}
        for spec in new.loaded.spec.line:
            known = running.pop(spec.name, None)
            moved = known is not None and any(getattr(before[spec.name], key) != getattr(spec, key) for key in _SOURCE)
            if known is not None and not moved:
                count["changed"] += self._switch(known, new, selection.of(spec.name))
                continue
            if known is not None:
                self._do(lambda gone=known: drop(gone))  # type: ignore[misc]
            made = self._line(new, spec.name, selection.of(spec.name))
            self._do(lambda made=made: add(made))  # type: ignore[misc]
            count["changed" if moved else "added"] += 1
        for gone in running.values():
            self._do(lambda gone=gone: drop(gone))  # type: ignore[misc]
            count["removed"] += 1
        used = {id(force.model) for _, force in self._kept.values()}
        self._do(lambda: self._models.close_but(used))
        told = ", ".join(f"{number} lines {what}" for what, number in count.items() if number) or "nothing changed"
        return told + (f"; changed, too, but only a restart takes it in: {', '.join(restart)}" if restart else "")

    def _line(self, checked: Checked, name: str, recipe: str | None) -> RunningLine:
        journal = self._journal
        spec = checked.loaded.line(name)
        reader = reader_of(checked.loaded, spec, self._ready, lambda failure: journal.failure(name, failure))
        force = self._force(checked, name, recipe)
        return RunningLine(name, reader, force, on_failure=lambda failure: journal.failure(name, failure))

    def _force(self, checked: Checked, name: str, recipe: str | None) -> "InForce":
        """Return what is to be in force: the same object again where nothing of it changed."""
        found = applied.overlaid(checked.resolved[name, recipe], self._applied)
        print_ = fingerprint(found)
        handed, kept = self._built.get(name), self._kept.get((name, recipe))
        if handed is not None and handed[0] == print_:
            force = handed[1]
        elif kept is not None and kept[0] == print_:
            force = kept[1]
        else:
            force = in_force(found, self._models.at(found.model))
        self._built[name] = self._kept[name, recipe] = print_, force
        return force

    def _switch(self, line: RunningLine, checked: Checked, recipe: str | None) -> bool:
        """Have a line decided by something else from the next frame on; return whether it is something else."""
        before = self._built[line.name][1]  # what it has, or will have when the engine comes to it
        force = self._force(checked, line.name, recipe)
        if force is before:
            return False
        self._do(lambda: self._apply(line, force))
        what = f"recipe {recipe or 'none'}"
        if force.recipe == before.recipe and force.by.applied != before.by.applied:
            whose = "of the file" if force.by.applied is None else f"applied by {force.by.applied.who}"
            what = f"{applied.in_words(force.by.unsure, force.by.threshold)}, {whose},"
        self._journal.say(line.name, f"{what} from {stamp()} on")
        return True

    def _still_applied(self, checked: Checked) -> tuple[applied.Applied, ...]:
        """Return the thresholds that were applied and still hold; tell of those that do not, once."""
        held, ended, trouble = applied.drop_ended(checked)
        if trouble:
            self._journal.error("thresholds", "OutputError", trouble)
        for one in ended:
            self._journal.error("thresholds", "ThresholdsEnded", one.ending)
            told = {"time": stamp(), "who": str(checked.loaded.path), "what": f"thresholds of {one.ending}"}
            try:
                trail.append(checked.loaded.state, trail.AUDIT, told)
            except (WordsightError, OSError) as error:
                self._journal.error("audit", type(error).__name__, str(error))
        return held
