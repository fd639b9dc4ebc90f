"""`wordsight calibrate`: thresholds from good frames alone, checked with defects. Heavy imports sit inside."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from wordsight.runtime import options

if TYPE_CHECKING:
    from wordsight.runtime.calibrate import Gathered
    from wordsight.runtime.sources import Source


class CheckTakesAll(TyperCommand):
    """`--check DEFECT...`: every word behind it, up to the next option, is a defect to check with.

    A shell spreads `--check defects/*` out, and of an option with one value all but the first would count as good.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the option before each of its words."""
        return super().parse_args(ctx, spread(args, "--check"))


def calibrate(
    model: Annotated[str, typer.Argument(help="Exported model.", show_default=False)],
    good: Annotated[
        list[str], typer.Argument(help="Good frames: files, folders, quoted globs, videos.", show_default=False)
    ],
    false_alarms: Annotated[
        float, typer.Option(metavar="RATE", help="Share of good frames that may be called defects, up to 0.1.")
    ] = 0.01,
    confidence: Annotated[float, typer.Option(help="That it is no more, 0.5 to 0.9999.")] = 0.95,
    check: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DEFECT...",
            help="Defects: how many would be caught? And marks.jsonl of a line's page: how many marked false alarms "
            "would be none? They move no threshold.",
        ),
    ] = None,
    line: Annotated[str | None, typer.Option(help="Of marks.jsonl: marks of this line alone. [all lines]")] = None,
    roi: Annotated[
        str | None, typer.Option(metavar="X,Y,W,H", help="Region that is cut out of every frame, in pixels. [all]")
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(metavar="PICTURE", help="As large as a frame, black where nothing is looked at. [no mask]"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="[MODEL.calibration.json]")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON.")] = None,
    backend: options.Backend = "auto",
    object_name: options.Object = None,
    batch: options.Batch = 32,
    references: Annotated[
        Path | None, typer.Option(help="As of wordsight run. [MODEL.references.safetensors if there]")
    ] = None,
    no_references: options.NoReferences = False,
    shots: options.Shots = None,
    method: options.SImg = None,
    weight_img: options.WeightImg = None,
) -> None:
    """Set the thresholds of a model from good frames alone; wordsight run then decides good, unsure or defect.

    Example: wordsight calibrate line3.onnx good/ --false-alarms 0.01 --check scratched/ chipped/ line.state/marks.jsonl

    No assumption is made about how scores are distributed: 1% at 95% confidence takes 299 good frames, 5% takes 59.
    They must be independent, one of each part. Exposure and sharpness of the same frames set the limits beyond which a
    picture is unsure. With references beside the model, calibrate on other frames than those.
    """
    from rich.console import Console

    from wordsight.runtime.calibrate import calibrated, checked, gather, refuse_live, require_apart
    from wordsight.runtime.calibrate_report import figures, tell
    from wordsight.runtime.calibration import default_path, write_calibration
    from wordsight.runtime.errors import OutputError, SettingError
    from wordsight.runtime.figures import write_figures
    from wordsight.runtime.files import check_output_file, file_sha256
    from wordsight.runtime.manifest import read_manifest
    from wordsight.runtime.marks import VERDICTS, checked_marks, is_marks, read_marks
    from wordsight.runtime.model import Model
    from wordsight.runtime.run_references import ReferenceOptions
    from wordsight.runtime.scored_by import ScoredBy
    from wordsight.runtime.sources import open_source
    from wordsight.runtime.sources.cut import Cut, mean_colour, parse_roi, read_mask, require_seen
    from wordsight.runtime.sources.files import Files
    from wordsight.runtime.thresholds import frames_needed
    from wordsight.runtime.view import object_column

    # All that can be refused is refused before any work, cheapest first.
    needed = frames_needed(false_alarms, confidence)
    region = None if roi is None else parse_roi(roi)
    looked_at = None if mask is None else read_mask(mask)
    if looked_at is not None:
        require_seen(looked_at, region)
    target = check_output_file(output or default_path(model))
    targets = [target, *([check_output_file(json_file)] if json_file else [])]
    manifest = read_manifest(model)
    known = ReferenceOptions(references, no_references, shots, method, weight_img)
    place = known.place(model)
    few_shot = known.read(place) if place else None
    if object_name is not None:
        object_column(manifest, object_name)
    marked_files = [Path(text) for text in check or [] if is_marks(text)]
    if line is not None and not marked_files:
        raise SettingError("--line goes with --check marks.jsonl")
    sources = [open_source(text) for text in good]
    defects = [open_source(text) for text in check or [] if not is_marks(text)]
    refuse_live([*sources, *defects])
    originals = {
        path.resolve() for source in [*sources, *defects] if isinstance(source, Files) for path in source.paths
    }
    originals |= {path.resolve() for path in marked_files}
    originals |= {Path(model).resolve(), *([place.resolve()] if place else []), *([mask.resolve()] if mask else [])}
    resolved = [path.resolve() for path in targets]
    if len(set(resolved)) < len(resolved) or originals.intersection(resolved):
        raise OutputError("an output names the model, its references, a frame or the other output; give another file")
    _require_enough(sources, needed, false_alarms, confidence)
    marks = None
    if marked_files:
        by = ScoredBy.of(file_sha256(model), object_name or manifest.prompts.object, few_shot)
        marks = read_marks(marked_files, by, line)

    err = Console(stderr=True, highlight=False)
    opened = Model(
        model, backend=backend, batch_size=batch, object=object_name, references=few_shot,
        on_step=lambda step: err.print(step, soft_wrap=True, markup=False),
    )  # fmt: skip
    with opened as loaded, _progress(err) as progress:

        def scored(title: str, sources: "list[Source]") -> "Gathered":
            counts = [source.count for source in sources]
            task = progress.add_task(title, total=None if None in counts else sum(count or 0 for count in counts))
            colour = mean_colour(manifest.input)
            cut: list[Source] = [Cut(source, region, looked_at, colour) for source in sources]
            return gather(loaded, cut, batch=batch, on_item=lambda: progress.advance(task))

        normal = scored("good", sources)
        found = calibrated(loaded, normal, false_alarms, confidence, region, looked_at)
        anomalous = scored("to check", defects) if defects else None
        if anomalous is not None:
            require_apart(normal, anomalous)
    on_good = checked(normal, found.thresholds, found.gate)
    on_defects = checked(anomalous, found.thresholds, found.gate) if anomalous is not None else None
    on_marks = (
        {}
        if marks is None
        else {
            verdict: checked_marks([mark for mark in marks.found if mark.verdict == verdict], found.thresholds)
            for verdict in VERDICTS
        }
    )
    write_calibration(target, found)
    if json_file:
        write_figures(json_file, "calibrate", figures(found, on_good, on_defects, on_marks))
    failures = normal.failures + (anomalous.failures if anomalous is not None else [])
    if marks is not None and marks.told:
        err.print(f"marks left out: {marks.told}", soft_wrap=True, markup=False)
    tell(found, on_good, on_defects, on_marks, normal, failures, target, target == default_path(model), err)
    if failures:
        raise typer.Exit(1)


calibrate.command_class = CheckTakesAll  # type: ignore[attr-defined]  # see cli._register


def spread(args: list[str], option: str) -> list[str]:
    """Return arguments in which `option a b` has become `option a option b`; a word that begins with - ends it."""
    spread: list[str] = []
    taking = False
    for word in args:
        if word.startswith("-"):
            taking = word == option
            if taking:
                continue
        spread += [option, word] if taking else [word]
    return spread


def _require_enough(sources: "list[Source]", needed: int, rate: float, confidence: float) -> None:
    """Refuse too few pictures before a model is loaded; how many frames a video has, only scoring tells."""
    from wordsight.runtime.sources.content import claims_to_be, kind_of_file
    from wordsight.runtime.sources.files import Files
    from wordsight.runtime.thresholds import require_enough

    paths = [path for source in sources if isinstance(source, Files) for path in source.paths]
    if len(paths) >= needed:
        return
    for path in paths:
        try:
            if claims_to_be(path) == "video" or kind_of_file(path) == "video":
                return
        except OSError:
            pass  # told when its turn comes
    require_enough(len(paths), rate, confidence)


def _progress(console: Any) -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:<8}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
