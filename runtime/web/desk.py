"""What the page can have done: another recipe, other thresholds, marks on events. Each leaves a line, see `line.trail`.

STATE/marks.jsonl    time, who, event_id, kind, line, source, frame, part_id, score, decision, reason, scored_by, mark
                     ("right", "false alarm", or null: taken away)
STATE/audit.jsonl    time, who (name as given, and the address it came from), what; of thresholds line, recipe, old, new
"""

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from wordsight.runtime.config.read import read_line_file
from wordsight.runtime.errors import OutputError, SettingError
from wordsight.runtime.line import applied
from wordsight.runtime.line.journal import stamp
from wordsight.runtime.line.recipes import as_data, read_selection, select
from wordsight.runtime.line.trail import AUDIT, MARKS, append, lines

if TYPE_CHECKING:
    from wordsight.runtime.config.check import Checked
    from wordsight.runtime.decide_by import DecideBy

MOST_MARKS: Final = 10_000
"""Marks that are known at a time, the last ones; the file holds more."""
_OF_EVENT = (
    "event_id", "kind", "line", "source", "frame", "part_id", "score", "decision", "reason", "recipe", "scored_by",
)  # fmt: skip


class Desk:
    """Acts on one line's file.

    Attributes:
        checked: the file as it is in force; None while nothing runs.
    """

    def __init__(self, file: Path, state: Path, say: Callable[[str], None]) -> None:
        """Read the marks that are there.

        Args:
            file: the line's file; read again with every recipe, as `wordsight recipe` does.
            state: folder for what is remembered.
            say: takes a line for people, from any thread.
        """
        self.checked: Checked | None = None
        self._file, self._state, self._say = file, state, say
        self._lock = threading.Lock()
        self._marks = _marks(state / MARKS)

    def recipes(self) -> dict[str, Any]:
        """Return `recipes` (name, number), and what is selected: `all`, and by line in `lines`."""
        loaded = read_line_file(self._file)
        selection, _ = read_selection(loaded)
        known = [{"name": recipe.name, "number": recipe.number} for recipe in loaded.spec.recipe]
        return {"recipes": known, **as_data(selection)}

    def select(self, recipe: str | None, line: str | None, who: str) -> dict[str, Any]:
        """Select a recipe for a line, or for all; whoever runs picks it up within a second.

        Raises:
            SettingError, LineFileError: no such recipe or line, or the file is wrong.
            OSError: it cannot be kept.
        """
        loaded = read_line_file(self._file)
        with self._lock:
            after = select(loaded, recipe, line)
            self._audit(who, f"recipe {recipe or 'none'} for {line or 'all lines'}")
        return as_data(after)

    def apply(
        self, line: str, recipe: str | None, unsure: float | None, defect: float, who: str
    ) -> dict[str, float | None]:
        """Apply thresholds to a line; in force within a second, see `line.applied`. Returns `unsure` and `defect`.

        Raises:
            SettingError: another recipe is in force, or see `applied.apply`.
            OSError: it cannot be kept.
        """
        return self._change(
            line, recipe, who, lambda checked, first: applied.apply(checked, line, recipe, unsure, defect, who, first)
        )

    def undo(self, line: str, recipe: str | None, who: str) -> dict[str, float | None]:
        """Go back to the thresholds of the file, as `apply`."""
        return self._change(line, recipe, who, lambda checked, first: applied.undo(checked, line, recipe, first))

    def _change(
        self,
        line: str,
        recipe: str | None,
        who: str,
        act: "Callable[[Checked, applied.Told], None]",
    ) -> dict[str, float | None]:
        checked = self.checked
        if checked is None:
            raise SettingError("nothing runs yet: try again in a moment")
        with self._lock:
            selection, _ = read_selection(checked.loaded)
            if selection.of(line) != recipe:
                told = f"under {selection.of(line)!r}" if selection.of(line) else "by its own settings"
                raise SettingError(f"the line is decided {told} by now: look again, and try anew")
            whose = f"thresholds of {line}{'' if recipe is None else f' under {recipe}'}"
            new: dict[str, float | None] = {}

            def first(before: "DecideBy", after: "DecideBy") -> None:
                # Nothing is in force that the audit does not hold: it comes first.
                new.update(unsure=after.unsure, defect=after.threshold)
                old = {"unsure": before.unsure, "defect": before.threshold}
                told = applied.in_words(after.unsure, after.threshold) + ("" if after.applied else " of the file")
                told = f"{told}, instead of {applied.in_words(before.unsure, before.threshold)}"
                self._audit(who, f"{whose}: {told}", line=line, recipe=recipe, old=old, new=new)

            try:
                act(checked, first)
            except OSError:
                with contextlib.suppress(OSError, OutputError):
                    self._audit(who, f"{whose}: could not be kept, and are as before", line=line, recipe=recipe)
                raise
        return new

    def marks(self) -> dict[str, str]:
        """Return the mark of each event that has one."""
        return self._marks

    def mark(self, event: dict[str, Any], mark: str | None, who: str) -> None:
        """Mark an event.

        Raises:
            OSError, OutputError: it cannot be kept; then it is not marked.
        """
        told = {key: event[key] for key in _OF_EVENT if key in event}
        with self._lock:
            append(self._state, MARKS, {"time": stamp(), "who": who, **told, "mark": mark})
            self._marks = _with(self._marks, event["event_id"], mark)

    def _audit(self, who: str, what: str, **more: object) -> None:
        append(self._state, AUDIT, {"time": stamp(), "who": who, "what": what, **more})
        self._say(f"page: {what}, by {who}")


def _with(marks: dict[str, str], event_id: str, mark: str | None) -> dict[str, str]:
    after = {other: kept for other, kept in marks.items() if other != event_id}
    if mark is not None:
        after[event_id] = mark
    return dict(list(after.items())[-MOST_MARKS:])


def _marks(path: Path) -> dict[str, str]:
    """Read marks; what cannot be read is left aside."""
    found: dict[str, str] = {}
    try:
        for data in lines(path):
            event_id, mark = data.get("event_id"), data.get("mark")
            if isinstance(event_id, str):
                found.pop(event_id, None)
                if isinstance(mark, str):
                    found[event_id] = mark
    except OSError:
        pass
    return dict(list(found.items())[-MOST_MARKS:])
