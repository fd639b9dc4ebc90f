"""What `wordsight verify` tells: a table for people, and every difference as a figure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from wordsight.runtime.figures import Figure
    from wordsight.runtime.manifest import Manifest
    from wordsight.runtime.verified import Run, Verification

_MOST_ROWS = 3  # of a table that ends with exit code 1: eight lines in all
_STYLES = {"agrees": "green", "differs": "bold red", "reference": "bold", "not judged": "yellow"}


def tell(found: Verification, frames: str, *, torch_ran: bool, unread: list[str]) -> None:
    """Print the verdicts: every output where all is well, the worst of each run in eight lines where it is not."""
    from rich.console import Console

    out, err = Console(highlight=False), Console(stderr=True, highlight=False)
    differing = found.of_state("differs")
    short = bool(differing or unread or found.idle())

    def say(line: str, console: Any = out) -> None:
        console.print(line, soft_wrap=True, markup=False)

    ran = [run for run in found.runs if run.state != "not run"]
    if short:
        out.print(_table(sorted(ran, key=lambda run: run.state != "differs")[:_MOST_ROWS], found.frames, short))
    else:
        for path in dict.fromkeys(run.path for run in ran):
            runs = [run for run in ran if run.path == path]
            say(f"{path.name}, {runs[0].precision}")
            out.print(_table(runs, found.frames, short))
    say(f"held against {found.reference}, {frames}")
    judged = len(found.of_state("agrees")) + len(differing)
    verdict = f"{judged - len(differing)} of {judged} agree"
    if short:
        more = len(differing) - _MOST_ROWS
        say(verdict + (f"; {more} more differ" if more > 0 else "") + "; --json FILE has every output")
    else:
        say(f"decisions: {_decisions(found)}")
        if not torch_ran:
            say("torch: not run, a file does not hold its head; --head HEAD compares with it, too")
        for line in _absent(found):
            say(line)
        say(f"{verdict} within the tolerance of their manifests")
    failed = [run for run in differing if run.reason]
    if failed:
        say(f"wordsight: {failed[0].path.name} on {failed[0].backend} {failed[0].reason}", err)
    if unread:
        say(f"wordsight: {len(unread)} could not be read: {unread[0]}", err)


def _decisions(found: Verification) -> str:
    if found.threshold is None:
        return f"not compared, {found.threshold_reason}"
    return f"a defect from {found.threshold:.4g} on, {found.threshold_reason}"


def _absent(found: Verification) -> list[str]:
    """What is not judged or did not run, one line a reason; what no file could run on names no file."""
    paths = len({run.path for run in found.runs})
    idle = found.of_state("not run")
    times = Counter((run.backend, run.reason) for run in idle)
    lines = dict[str, None]()
    for run in idle:
        whole = times[run.backend, run.reason] == paths
        lines[f"not run: {run.backend}{'' if whole else f' on {run.path.name}'}: {run.reason}"] = None
    unjudged = (f"not judged: {run.backend} on {run.path.name}: {run.reason}" for run in found.of_state("not judged"))
    return [*unjudged, *lines]


def _table(runs: list[Run], frames: int, short: bool) -> Any:
    """Every output of some runs of one file, or in short the worst output of runs of any files, one line each."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("file", "engine", "output", "max", "mean", "allowed", "changed", "verdict"):
        if column == ("mean" if short else "file"):
            continue
        number = column in ("max", "mean", "allowed", "changed")
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for run in runs:
        changed = "" if run.changes is None else f"{run.changes} of {frames}"
        allowed = "" if run.tolerance is None else f"{run.tolerance:.0e}"
        once: list[str | Text] = [allowed, changed, Text(run.state, _STYLES[run.state])]
        for index, name in enumerate([run.worst] if short else list(run.max) or [""]):
            found = [f"{values[name]:.1e}" if name else "" for values in (run.max, run.mean)]
            cells = [run.backend if index == 0 else "", name, *found[: 1 if short else 2]]
            row: list[str | Text] = [*([Text(run.path.name)] if short else []), *cells, *(once if index == 0 else [])]
            table.add_row(*row)
    return table


def figures(found: Verification, manifest: Manifest) -> list[Figure]:
    """Every difference of every run, `verify.LABEL.BACKEND....`; a run that did not happen has its reason."""
    from wordsight.runtime.figures import Figure

    labels = _labels(found.runs)
    failed = bool(found.of_state("differs"))
    result = [
        Figure("verify.agree", 0.0 if failed else 1.0, n=len(found.of_state("agrees", "differs"))),
        Figure("verify.frames", float(found.frames)),
        Figure.or_reason("verify.threshold", found.threshold, found.threshold_reason),
    ]
    for run in found.runs:
        at = f"verify.{labels[run.path]}.{run.backend}"
        judged = {"agrees": 1.0, "differs": 0.0}.get(run.state)
        why = run.reason or "the reference: all others are held against it"
        result.append(Figure.or_reason(f"{at}.agree", judged, why, n=found.frames))
        if not run.max:
            continue
        result.append(Figure.or_reason(f"{at}.tolerance", run.tolerance, why))
        result.append(Figure.or_reason(f"{at}.decision_changes", run.changes, found.threshold_reason, n=found.frames))
        for name in manifest.outputs:
            result.append(Figure.or_reason(f"{at}.max.{name}", run.max[name], "not a number", n=found.frames))
            result.append(Figure.or_reason(f"{at}.mean.{name}", run.mean[name], "not a number", n=found.frames))
    return result


def _labels(runs: list[Run]) -> dict[Path, str]:
    """The precision of a file where only one has it, else the file's name."""
    kinds = Counter(dict.fromkeys((run.path, run.precision) for run in runs))
    times = Counter(precision for _, precision in kinds)
    return {run.path: run.precision if times[run.precision] == 1 else run.path.name for run in runs}
