"""`wordsight report`: what an archive's scores say, as one page. Heavy imports sit inside."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wordsight.runtime import options

if TYPE_CHECKING:
    from wordsight.runtime.archive.report_found import Found, Pace
    from wordsight.runtime.archive.report_looks import Look
    from wordsight.runtime.archive.report_read import Archive
    from wordsight.runtime.archive.report_top import Candidate
    from wordsight.runtime.figures import Figure

_GONE = 3  # told one by one; a command that ends in failures takes eight lines


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What wordsight archive wrote.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="HTML", help="The page. [DIR/report.html]")
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", help="The archive's model, for heat maps on the contact sheet.")
    ] = None,
    top: Annotated[int, typer.Option(min=0, max=500, help="Most pictures on the contact sheet.")] = 48,
    candidates: Annotated[
        int, typer.Option(min=1, max=50_000, help="Highest scores among which pictures that look alike are folded.")
    ] = 2000,
    alike: Annotated[
        float, typer.Option(help="Cosine of the embeddings from which they are; 1 folds copies alone.")
    ] = 0.995,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures as JSON.")] = None,
    backend: options.Backend = "auto",
) -> None:
    """Tell what an archive's scores say: how they lie, the most suspicious pictures, drift over time; one HTML file.

    Example: wordsight report out/ --model line3.onnx

    A run that goes on is told as far as it is. Memory does not grow with the number of pictures.
    """
    from rich.console import Console

    from wordsight.runtime.archive import report_page
    from wordsight.runtime.archive.report_found import gather, pace
    from wordsight.runtime.archive.report_read import read_archive
    from wordsight.runtime.errors import OutputError, SettingError
    from wordsight.runtime.figures import write_figures
    from wordsight.runtime.files import check_output_file, whole_file

    if not 0 < alike <= 1:
        raise SettingError(f"--alike: expected a cosine above 0 and up to 1, got {alike:g}")
    archive = read_archive(folder)
    page = check_output_file(folder / "report.html" if output is None else output)
    targets = [page] if json_file is None else [page, check_output_file(json_file)]
    if len({path.resolve() for path in targets}) < len(targets):
        raise OutputError(f"two outputs have the same name, {page}; give others")
    heat_told = _check_model(archive, model)

    err, now = Console(stderr=True, highlight=False), time.time()
    with _progress(err) as progress:
        reading = progress.add_task("reading", total=len(archive.done))
        found = gather(archive, max(candidates, top), alike, lambda: progress.advance(reading))
        shown = [group.first for group in found.groups[:top]]
        looking = progress.add_task("looking", total=len(shown))
        looks = _looks(
            archive, shown, model if not heat_told else None, backend, lambda: progress.advance(looking), err
        )
    pace_now = pace(archive, now)
    with whole_file(page, "w") as file:
        file.write(report_page.render(found, looks, pace_now, now, heat_told))
    figures = _figures(found, looks, pace_now)
    if json_file is not None:
        write_figures(json_file, "report", figures)
    gone = [(item.source, look.gone) for item, look in zip(shown, looks, strict=True) if look.gone]
    _tell(found, pace_now, page, gone, err)
    if gone:
        raise typer.Exit(1)


def _check_model(archive: "Archive", model: Path | None) -> str:
    """Return why there will be no heat maps, empty when there will; refuse a model that is not the archive's."""
    from wordsight.runtime.errors import ArchiveError
    from wordsight.runtime.files import file_sha256
    from wordsight.runtime.manifest import read_manifest

    if model is None:
        return "With --model, wordsight report draws the model's heat maps, where it gives them."
    manifest = read_manifest(model)
    sha256 = file_sha256(model)
    if sha256 != archive.run.model_sha256:
        raise ArchiveError(
            f"{model} is not the model of {archive.folder}: expected SHA-256 {archive.run.model_sha256}, got {sha256}"
        )
    if "heatmap" not in manifest.outputs:
        return "The model gives no heat maps; wordsight export --heatmap adds them."
    return ""


def _looks(
    archive: "Archive", shown: "list[Candidate]", model: Path | None, backend: str, on_look: Any, err: Any
) -> "list[Look]":
    from wordsight.runtime.archive.report_looks import looks
    from wordsight.runtime.model import Model

    if model is None or not shown:
        return looks(archive, shown, None, on_look)
    opened = Model(
        model, backend=backend, batch_size=1,
        on_step=lambda step: err.print(step, soft_wrap=True, markup=False),
    )  # fmt: skip
    with opened as loaded:
        return looks(archive, shown, loaded, on_look)


def _figures(found: "Found", looks: "list[Look]", pace: "Pace | None") -> "list[Figure]":
    from wordsight.runtime.archive.report_found import DECISIONS
    from wordsight.runtime.archive.report_page import highest
    from wordsight.runtime.figures import Figure

    archive, whole = found.archive, found.scores
    n, none = whole.total, "no picture is scored yet"
    left = 0.0 if len(archive.done) == archive.run.shards else None if pace is None else pace.left_s
    figures = [
        Figure("pictures", float(archive.run.pictures)),
        Figure("scored", float(found.scored)),
        Figure("unreadable", float(found.unreadable)),
        Figure("not_finite", float(found.odd)),
        Figure("shards", float(archive.run.shards)),
        Figure("shards.done", float(len(archive.done))),
        Figure.or_reason("left", left, "fewer than three shards are finished", "s"),
    ]
    for share in (0.5, 0.9, 0.99, 0.999):
        name = f"score.below_{100 * share:g}%"
        low, high = whole.quantile(share) if n else (None, None)
        middle = None if low is None or high is None else (low + high) / 2
        figures.append(Figure(name, middle, "", low, high, n or None, None if n else none))
    figures.append(Figure.or_reason("score.highest", highest(found) if n else None, none, n=n or None))
    for name in DECISIONS:
        count = found.decided[name].scores.total if name in found.decided else 0
        value = None if None in found.decided or not n else float(count)
        figures.append(Figure.or_reason(f"decision.{name}", value, "nothing was decided: no threshold" if n else none))
    later = found.spans[1:]
    why = "fewer than two spans of time with 50 pictures each"
    figures += [
        Figure("alike.looked_at", float(found.looked_at)),
        Figure.or_reason("alike.folded", float(found.folded) if found.has_embeddings else None, "no embeddings"),
        Figure("sheet.shown", float(sum(not look.gone for look in looks))),
        Figure("sheet.gone", float(sum(bool(look.gone) for look in looks))),
        Figure("sheet.heat_maps", float(sum(bool(look.heat) for look in looks))),
        Figure("drift.spans", float(len(found.spans))),
        Figure.or_reason("drift.drifting", float(sum(s.drifting for s in later)) if later else None, why),
        Figure.or_reason("drift.distance", max((s.distance for s in later), default=None), why),
        Figure.or_reason("drift.p", min((s.p for s in later), default=None), why),
    ]
    return figures


def _tell(found: "Found", pace: "Pace | None", page: Path, gone: list[tuple[str, str]], err: Any) -> None:
    from rich.console import Console

    from wordsight.runtime.archive.report_page import highest, state

    out = Console(highlight=False)
    archive = found.archive
    told = [
        f"{found.scored:,} pictures scored, {found.unreadable:,} could not be read, "
        f"{len(archive.done):,} of {archive.run.shards:,} shards"
    ]
    if found.scores.total:
        low, high = found.scores.quantile(0.5)
        decided = ", ".join(
            f"{one.scores.total:,} {name}" for name, one in sorted(found.decided.items(), key=str) if name is not None
        )
        told.append(
            f"scores: {(low + high) / 2:.3f} in the middle, {highest(found):.3f} at most"
            + (f"; {decided}" * bool(decided))
        )
        drifting = sum(span.drifting for span in found.spans)
        if len(found.spans) > 1:
            told.append(f"over time: {drifting} of {len(found.spans) - 1} later spans differ from the first")
    if gone:
        told = told[:1]
    told += [*state(found, pace)[: 2 if not gone else 1], f"report: {page}"]
    for line in told:
        out.print(line, soft_wrap=True, markup=False)
    for source, reason in gone[:_GONE]:
        line = " ".join(f"wordsight: {source}: {reason}".splitlines())
        err.print(line, soft_wrap=True, markup=False)
    if len(gone) > _GONE:
        err.print(f"wordsight: and {len(gone) - _GONE} more could not be shown; the page says which", soft_wrap=True)


def _progress(console: Any) -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:<8}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
