"""What `wordsight calibrate` tells: a table of decisions for people, figures for machines."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from wordsight.runtime.calibrate import Checked, Gathered
    from wordsight.runtime.calibration import Calibration
    from wordsight.runtime.figures import Figure
    from wordsight.runtime.marks import Verdict
    from wordsight.runtime.sources import Failure

_TOLD = 2  # failures, one line each; the lines of a command that fails stay within eight


def figures(
    found: "Calibration", good: "Checked", defects: "Checked | None", marks: "Mapping[Verdict, Checked]"
) -> "list[Figure]":
    """Return what the command found out, for machines."""
    from wordsight.runtime.figures import Figure

    rows = [
        Figure("threshold.unsure", found.unsure, n=found.frames),
        Figure("threshold.defect", found.defect, n=found.frames),
        Figure("false_alarms.asked", found.rate),
        Figure("false_alarms.confidence", found.confidence),
        Figure("frames.repeated", float(found.repeated)),
    ]
    marked = [(f"marked_{verdict.replace(' ', '_')}", what) for verdict, what in marks.items()]
    for name, what in [("good", good), ("check", defects), *marked]:
        total = sum(what.decisions.values()) if what is not None else 0
        for decision in ("good", "unsure", "defect"):
            share = what.decisions[decision] / total if what is not None and total else None
            rows.append(Figure.or_reason(f"{name}.{decision}", share, "no frames to check with", n=total or None))
    return rows


def tell(
    found: "Calibration",
    good: "Checked",
    defects: "Checked | None",
    marks: "Mapping[Verdict, Checked]",
    normal: "Gathered",
    failures: "list[Failure]",
    target: Path,
    beside: bool,
    err: "Console",
) -> None:
    """Print what the command found out.

    Args:
        found: the calibration.
        good: how its own frames come off.
        defects: how the frames to check with do.
        marks: how the frames do that people marked, by what they said.
        normal: the good frames.
        failures: inputs that could not be read; with some, eight lines are all it takes.
        target: where the calibration lies.
        beside: that is where `wordsight run` looks.
        err: console for warnings and failures.
    """
    from rich.console import Console

    from wordsight.runtime.urls import scrubbed

    out = Console(highlight=False)
    taken = "takes it in from now on" if beside else f"takes it in with --calibration {target}"
    kept = f"calibration: {target}; wordsight run {taken}"
    rate = f"at most {100 * found.rate:.3g}% of new good frames are called defects, {100 * found.confidence:g}% sure"
    notes = [f"{rate}, if these {found.frames} are independent and the line stays as it is"]
    gate = found.gate
    notes.append(
        f"a picture is unsure, too, with a mean grey level outside {gate.darkest:.1f} to {gate.brightest:.1f}, over "
        f"{gate.most_clipped:.1%} blown out, or a sharpness below {gate.least_sharp:.4g}"
    )
    warnings = []
    if found.repeated or normal.known:
        warnings.append(f"warning: left out: {found.repeated} repeated frames, {normal.known} that are references")
    if normal.of_videos:
        warnings.append(
            f"warning: {normal.of_videos} frames are of videos: several of one part are not independent, and the "
            "bound does not hold for them; give one a part"
        )
    alike = normal.alike()
    if alike is not None:
        warnings.append(
            f"warning: neighbours score alike (rank correlation {alike:.2f}): if they show the same part, or the same "
            f"minute, these frames count for about {len(normal) * (1 - alike) / (1 + alike):.0f}; give one a part"
        )
    if not failures:
        _table(found, good, defects, marks, out)
        lines = [*notes, kept]
        if defects is not None and defects.missed:
            first = ", ".join(defects.missed[:4])
            lines.append(f"missed, lowest scores first: {first}" + (" ..." if len(defects.missed) > 4 else ""))
        if marks and marks["right"].missed:
            first, more = ", ".join(marks["right"].missed[:4]), len(marks["right"].missed) > 4
            lines.append(f"marked right, and good by these thresholds: {first}{' ...' if more else ''}")
    else:
        counts = f"unsure above {found.unsure:.4f}, defect above {found.defect:.4f}, from {found.frames} good frames"
        if defects is not None:
            told = {"caught": "defect", "unsure": "unsure", "missed": "good"}
            counts += "; to check: " + ", ".join(f"{defects.decisions[key]} {name}" for name, key in told.items())  # type: ignore[index]
        lines = [counts, kept]
    for line in lines:
        out.print(line, soft_wrap=True, markup=False)
    for failure in failures[:_TOLD]:
        warnings.append(f"wordsight: {failure.source}: {failure.reason}")
    if len(failures) > _TOLD:
        warnings.append(f"wordsight: and {len(failures) - _TOLD} more could not be read")
    for line in warnings:
        err.print(scrubbed(" ".join(line.splitlines())), soft_wrap=True, markup=False)


def _table(
    found: "Calibration", good: "Checked", defects: "Checked | None", marks: "Mapping[Verdict, Checked]", out: "Console"
) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("decision", no_wrap=True)
    table.add_column("score", no_wrap=True)
    columns = [("good frames", good), *([("to check", defects)] if defects is not None else [])]
    columns += [(f"marked {verdict}", what) for verdict, what in marks.items()]
    for name, _ in columns:
        table.add_column(name, justify="right", no_wrap=True)
    spans = {
        "good": f"up to {found.unsure:.4f}",
        "unsure": f"up to {found.defect:.4f}, or doubtful",
        "defect": "above",
    }
    styles = {"good": "green", "unsure": "yellow", "defect": "bold red"}
    for decision, span in spans.items():
        cells = []
        for _, what in columns:
            count, total = what.decisions[decision], sum(what.decisions.values())  # type: ignore[index]
            cells.append(f"{count} ({count / total:.1%})" if total else "0")
        table.add_row(Text(decision, styles[decision]), span, *cells)
    out.print(table)
