"""`wordsight audit`: pictures nobody has labelled, the odd ones first. Heavy imports sit inside."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wordsight.runtime import options

if TYPE_CHECKING:
    from wordsight.runtime.audit import Audit
    from wordsight.runtime.figures import Figure

_TOLD = 10  # rows of the table
_FAILURES = 4  # told one by one; a command that ends in failures takes eight lines


def audit(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder, quoted glob or video.", show_default=False)],
    model: Annotated[str, typer.Option("--model", help="Exported model.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="HTML", help="The page.", show_default=False)],
    top: Annotated[int, typer.Option(min=1, max=1000, help="Most pictures on the contact sheet.")] = 60,
    jsonl: Annotated[Path | None, typer.Option(help="Write each picture as a line of JSON, the oddest first.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures as JSON.")] = None,
    labels: Annotated[
        bool, typer.Option("--labels-from-folders", help="Folders named good hold good parts: print the AUROC, too.")
    ] = False,
    backend: options.Backend = "auto",
    batch: options.Batch = 32,
) -> None:
    """Find the odd ones in a folder of pictures that nobody has labelled, as a second opinion beside the score.

    Example: wordsight audit parts/ --model line3.onnx -o audit.html

    Each picture is compared with all others (after MuSc) by the patches that the file gives (wordsight export
    --patches, or --winclip), else by embeddings alone. 8 to 5,000 pictures; the time grows with the square of their
    number, tokens beyond 1 GiB go to a nameless file beside HTML.
    """
    from rich.console import Console

    from wordsight.runtime import audit_page
    from wordsight.runtime.audit import audit as compare
    from wordsight.runtime.errors import OutputError, SettingError
    from wordsight.runtime.figures import write_figures
    from wordsight.runtime.files import check_output_file, whole_file
    from wordsight.runtime.manifest import read_manifest
    from wordsight.runtime.model import Model
    from wordsight.runtime.sources import open_source
    from wordsight.runtime.sources.files import Files

    # All that can be refused is refused before any work, cheapest first.
    targets = [check_output_file(path) for path in (output, jsonl, json_file) if path is not None]
    read_manifest(model)
    source = open_source(folder)
    if not isinstance(source, Files):
        raise SettingError(f"{source.text} is a live source: an audit compares pictures that are there already")
    kept = {path.resolve() for path in source.paths} | {Path(model).resolve()}
    resolved = [path.resolve() for path in targets]
    if len(set(resolved)) < len(resolved) or kept.intersection(resolved):
        raise OutputError("two outputs have the same name, or that of the model or of a picture; give others")

    err = Console(stderr=True, highlight=False)
    opened = Model(
        model, backend=backend, batch_size=batch,
        on_step=lambda step: err.print(step, soft_wrap=True, markup=False),
    )  # fmt: skip
    with opened as loaded, _progress(err) as progress:
        scoring = progress.add_task("scoring", total=source.count)
        comparing = progress.add_task("comparing", total=None, start=False)

        def compared(pairs: int, total: int) -> None:
            if not progress.tasks[comparing].started:
                progress.start_task(comparing)
            progress.update(comparing, advance=pairs, total=total)

        found = compare(
            loaded, [source], output.parent, batch=batch,
            on_scored=lambda: progress.advance(scoring), on_compared=compared,
        )  # fmt: skip
    figures = _figures(found, labels)
    text = audit_page.render(found, Path(folder).name or folder, Path(model).name, top)
    with whole_file(output, "w") as file:
        file.write(text)
    if jsonl:
        with whole_file(jsonl, "w") as file:
            file.writelines(_lines(found))
    if json_file:
        write_figures(json_file, "audit", figures)
    _tell(found, figures, output, err)
    if found.failures:
        raise typer.Exit(1)


def _figures(found: "Audit", labels: bool) -> "list[Figure]":
    import numpy as np

    from wordsight.runtime.figures import Figure
    from wordsight.runtime.mutual import area_under_curve

    count = len(found.pictures)
    figures = [
        Figure("pictures", float(count), n=count),
        Figure("unreadable", float(len(found.failures))),
        Figure("mutual.highest", float(found.mutual.max()), n=count),
        Figure("mutual.median", float(np.median(found.mutual)), n=count),
    ]
    if labels:
        truth = np.array([Path(picture.source).parent.name != "good" for picture in found.pictures], np.float32)
        for name, values in (("auroc.mutual", found.mutual), ("auroc.sum", found.score)):
            if 0 < truth.sum() < count:
                figures.append(Figure(name, area_under_curve(truth, values), n=count))
            else:
                reason = "expected pictures both in folders named good and in others"
                figures.append(Figure(name, None, reason=reason))
    return figures


def _lines(found: "Audit") -> list[str]:
    import json

    ranks = found.rank_by_score
    lines = []
    for place, index in enumerate(found.order, start=1):
        picture = found.pictures[index]
        line: dict[str, Any] = {
            "source": picture.source, "frame": picture.frame, "rank": place,
            "mutual": float(found.mutual[index]), "mutual_own": float(found.mutual_own[index]),
            "score": float(found.score[index]), "s_pr": float(found.s_pr[index]), "s_fnn": float(found.s_fnn[index]),
            "rank_by_score": int(ranks[index]),
        }  # fmt: skip
        lines.append(json.dumps(line) + "\n")
    return lines


def _tell(found: "Audit", figures: "list[Figure]", page: Path, err: Any) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    out = Console(highlight=False)
    if not found.failures:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for name, side in (("rank", "right"), ("picture", "left"), ("mutual", "right"), ("score", "right")):
            table.add_column(name, justify=side, overflow="fold", no_wrap=side == "right")  # type: ignore[arg-type]
        for place, index in enumerate(found.order[:_TOLD], start=1):
            name, values = found.pictures[index].name, (found.mutual[index], found.score[index])
            table.add_row(str(place), Text(name), *(f"{value:.4f}" for value in values))
        out.print(table)
    compared = (
        f"{found.patches} patches each" if found.patches > 1 else "by embeddings alone: the file gives no patches"
    )
    told = [f"{len(found.pictures)} pictures compared, {compared}, {len(found.failures)} could not be read: {page}"]
    areas = [figure for figure in figures if figure.name.startswith("auroc.")]
    if areas:
        told.append(", ".join(f"{f.name} {f.reason if f.value is None else format(f.value, '.4f')}" for f in areas))
    for line in told:
        out.print(line, soft_wrap=True, markup=False)
    for failure in found.failures[:_FAILURES]:
        line = " ".join(f"wordsight: {failure.source}: {failure.reason}".splitlines())
        err.print(line, soft_wrap=True, markup=False)
    if len(found.failures) > _FAILURES:
        err.print(f"wordsight: and {len(found.failures) - _FAILURES} more; the page lists them all", soft_wrap=True)


def _progress(console: Any) -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:<9}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
