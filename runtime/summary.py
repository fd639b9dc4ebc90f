"""What a run tells at its end: scores, counts, what the encoder saw of the frames, and what went wrong."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wordsight.runtime.urls import scrubbed

if TYPE_CHECKING:
    from rich.console import Console

    from wordsight.runtime.loop import Tally
    from wordsight.runtime.manifest import Manifest
    from wordsight.runtime.sinks.table import Table
    from wordsight.runtime.sources import Failure

MOST_LINES = 8  # of a run that ends with another exit code than 0
_TOLD_SIZES = 2


@dataclass
class Troubles:
    """The first failures of a run, and how it ended.

    Attributes:
        failures: the first few; `most` of them are kept.
        kept: whether --errors FILE holds them all.
        interrupted: the user ended the run.
    """

    most: int = 4
    failures: list["Failure"] = field(default_factory=list)
    kept: bool = False
    interrupted: bool = False

    def add(self, failure: "Failure") -> None:
        """Take a failure; the first few are told, the rest is counted by the tally."""
        if len(self.failures) < self.most:
            self.failures.append(failure)

    def lines(self, total: int, most: int) -> list[str]:
        """Return what is told of `total` failures, `most` of them one by one."""
        told = self.failures[:most]
        lines = [f"wordsight: {failure.source}: {failure.reason}" for failure in told]
        if total > len(told):
            lines.append(f"wordsight: and {total - len(told)} more{'' if self.kept else '; --errors FILE keeps all'}")
        return [scrubbed(" ".join(line.splitlines())) for line in lines]  # a file's name may hold a line break


def tell(
    out: "Console",
    err: "Console",
    manifest: "Manifest",
    tally: "Tally",
    table: "Table",
    troubles: Troubles,
    sum_told: str | None = None,
    remarks: Sequence[str] = (),
) -> None:
    """Print the end of a run.

    One that went well shows its table whole and every note. One with failures, or an interrupted one, takes eight
    lines in all, so that what went wrong is in sight.

    Args:
        out: for scores and counts.
        err: for warnings and failures.
        manifest: of the model.
        tally: what was done.
        table: the scores.
        troubles: what went wrong.
        sum_told: how the score is summed and from which references, if there are some.
        remarks: what else is to be known of the results; told of a run that went well.
    """
    fit = manifest.input.fit
    summed = [sum_told] if sum_told else []
    bad = troubles.lines(tally.failures, troubles.most if not tally.scored else 2 - troubles.interrupted)
    if tally.scored and not bad and not troubles.interrupted:
        table.show(out)
        notes = [counts(tally, table.decisions), seen(fit, tally), *summed, *remarks]
        if manifest.encoder.note:
            notes.append(f"encoder {manifest.encoder.name}: {manifest.encoder.note}")
        _print(out, notes)
        _print(err, unseen(fit, tally, _TOLD_SIZES))
    elif tally.scored:
        notes = [
            counts(tally, table.decisions),
            "; ".join([seen(fit, tally), *summed]),
        ]  # one line: eight are soon full
        warnings = unseen(fit, tally, 0)
        # One line for the table's titles; the command line adds one, "interrupted", itself.
        rest = len(notes) + len(warnings) + len(bad) + 1 + troubles.interrupted
        table.show(out, rows=MOST_LINES - rest)
        _print(out, notes)
        _print(err, warnings)
    _print(err, bad)


def counts(tally: "Tally", decisions: dict[str, int]) -> str:
    """Return "scored 3, failed 0, 2 good, 1 defect, 8.3 frames/s with reading"."""
    rate = tally.scored / tally.seconds if tally.seconds > 0 else 0.0
    parts = [f"scored {tally.scored}", f"failed {tally.failures}"]
    if tally.skipped:
        parts.append(f"passed over {tally.skipped} that are no pictures")
    parts += [f"{decisions[name]} {name}" for name in ("good", "unsure", "defect") if name in decisions]
    return ", ".join([*parts, f"{rate:.1f} frames/s with reading"])


def seen(fit: str, tally: "Tally") -> str:
    """Return which share of the frames reached the encoder, of the first sizes and of the worst."""
    sizes = list(tally.seen.items())
    told = [f"{percent(share)} of {width}x{height}" for (height, width), share in sizes[:_TOLD_SIZES]]
    more = len(sizes) - len(told)
    rest = f" and {more} more sizes, {percent(min(tally.seen.values()))} at least" if more > 0 else ""
    return f"seen by the encoder ({fit}): {', '.join(told)}{rest}"


def unseen(fit: str, tally: "Tally", told: int) -> list[str]:
    """Return the warnings about frames that are not seen whole: one a size for `told` sizes, one line for the rest."""
    cut = [(size, share) for size, share in tally.seen.items() if share < 1]
    others = "tiles for a camera of this aspect" if fit == "tiles" else "squash, pad or tiles"
    advice = f"is scored (--fit {fit}); export with --fit {others} to see all"
    lines = [
        f"warning: {percent(share)} of each {width}x{height} frame {advice}" for (height, width), share in cut[:told]
    ]
    rest = len(cut) - len(lines)
    if lines and rest:
        lines.append(f"warning: and frames of {rest} more sizes are not seen whole")
    elif rest:
        which = "each frame" if rest == len(tally.seen) else "some frames"
        lines.append(f"warning: only a part of {which} {advice}")
    return lines


def percent(share: float) -> str:
    """Return a share, 0 to 1, as a percentage rounded down: 100% means all of it, and 0% nothing."""
    if 0 < share < 0.01:
        return "under 1%"
    return f"{math.floor(share * 100 + 1e-9)}%"


def _print(console: "Console", lines: list[str]) -> None:
    for line in lines:
        console.print(line, soft_wrap=True, markup=False)
