"""`wordsight run`: score files, folders, globs, videos and cameras with an exported model."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wordsight.runtime import options, remote_options

if TYPE_CHECKING:
    from rich.console import Console


def run(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(help="Exported model, or one on a server: grpc://HOST:8001/NAME.", show_default=False),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Argument(help="Files, folders, quoted globs, videos, camera index (0), stream URL.", show_default=False),
    ] = None,
    jsonl: Annotated[Path | None, typer.Option(help="Write each scored frame as a line of JSON.")] = None,
    errors: Annotated[Path | None, typer.Option(help="Write each failure as a line of JSON.")] = None,
    annotate: Annotated[Path | None, typer.Option(help="Folder for pictures and videos with the result drawn.")] = None,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Draw heat maps over the pictures of --annotate and --show.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Live window; q ends. Needs wordsight[gui].")] = False,
    threshold: Annotated[
        float | None, typer.Option(help="Score from which a frame is a defect. [that of the calibration, if there]")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(metavar="FILE", help="From wordsight calibrate. [MODEL.calibration.json if there]")
    ] = None,
    no_calibration: Annotated[bool, typer.Option("--no-calibration", help="Leave it aside: decide nothing.")] = False,
    region_level: Annotated[
        float | None,
        typer.Option(help="Heat from which a pixel belongs to a region of the JSON lines. [3/4 of the range]"),
    ] = None,
    backend: options.Backend = "auto",
    object_name: options.Object = None,
    batch: options.Batch = 32,
    references: Annotated[
        Path | None,
        typer.Option(help="Normal frames to compare with, for s_img. [MODEL.references.safetensors if there]"),
    ] = None,
    no_references: options.NoReferences = False,
    shots: options.Shots = None,
    method: options.SImg = None,
    weight_img: options.WeightImg = None,
    deadline_ms: remote_options.DeadlineMs = None,
    manifest_file: remote_options.ManifestFile = None,
    expect_sha256: remote_options.ExpectSha256 = None,
    ca: remote_options.Ca = None,
    token_file: remote_options.TokenFile = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Run the lines of a line's file, instead of MODEL and SOURCE.")
    ] = None,
    web: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="With --config: the page, see docs/page.md. [127.0.0.1:8080]"),
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Score the packaged pictures with the packaged model.")] = False,
) -> None:
    """Score pictures and videos with an exported model.

    Example: wordsight run line3.onnx parts/ --jsonl scores.jsonl --threshold 1.1

    A folder stands for all pictures and videos below it, in natural order, hidden ones left out. References of the
    model (wordsight reference add) that lie beside it are taken in: score = s_pr + s_fnn + s_img. So is its calibration
    (wordsight calibrate): every frame is then good, unsure or a defect.

    MODEL may be on a server that speaks the Open Inference Protocol, such as Triton, see docs/remote.md: frames that it
    gives no answer to are failures.

    wordsight run --config line.toml runs cameras for months, see docs/line.md; SIGHUP reads the file again.
    """
    if config is not None:
        _run_file(context, config, web)
        return

    from rich.console import Console

    from wordsight.runtime import heat
    from wordsight.runtime.decide_by import DecideBy
    from wordsight.runtime.errors import OutputError, SettingError
    from wordsight.runtime.info import found_manifest
    from wordsight.runtime.loop import Tally, check_threshold, score_sources
    from wordsight.runtime.model import Model
    from wordsight.runtime.run_references import ReferenceOptions, told
    from wordsight.runtime.sinks.jsonl import ErrorLines, JsonLines
    from wordsight.runtime.sinks.pictures import AnnotatedPictures
    from wordsight.runtime.sinks.result import Sink
    from wordsight.runtime.sinks.table import Table
    from wordsight.runtime.sinks.window import Window, WindowClosed
    from wordsight.runtime.sources import Failure, open_source
    from wordsight.runtime.sources.files import Files
    from wordsight.runtime.summary import Troubles, tell
    from wordsight.runtime.threads import one_thread_for_products
    from wordsight.runtime.view import object_column

    if web is not None:
        raise SettingError("--web goes with --config: the page is of the lines of a file, see docs/page.md")
    out, err = Console(highlight=False), Console(stderr=True, highlight=False)
    if demo:
        from wordsight.runtime.demo import demo_model, demo_pictures

        if model is not None:
            raise SettingError("--demo brings its own model and pictures: give it without MODEL and SOURCE")
        model_path, texts = str(demo_model()), [str(path) for path in demo_pictures()]
    elif model is None or not source:
        raise SettingError("expected MODEL and at least one SOURCE (or --demo); see: wordsight run --help")
    else:
        model_path, texts = model, source

    # All that can be refused is refused before any work, cheapest first.
    table = Table()
    sinks: list[Sink] = [table]
    if jsonl and errors and jsonl.resolve() == errors.resolve():
        raise OutputError(f"--jsonl and --errors name the same file: {jsonl}")
    if jsonl:
        sinks.insert(0, JsonLines(jsonl))
    error_lines = ErrorLines(errors) if errors else None
    remote = remote_options.remote_settings(model_path, deadline_ms, manifest_file, expect_sha256, ca, token_file)
    manifest, sha256, _ = found_manifest(model_path, remote)
    model_file = model_path if remote is None else remote.manifest or model_path
    hottest = manifest.score.w_pr + manifest.score.w_fnn
    level = heat.region_level(region_level, hottest)
    if overlay and not (annotate or show):
        raise SettingError("--overlay draws on the pictures of --annotate DIR or --show: give one of them")
    if "heatmap" not in manifest.outputs and (overlay or region_level is not None):
        raise SettingError(
            f"{model_path} gives no heat map; make one that does: wordsight export HEAD -o MODEL --heatmap"
        )
    known = ReferenceOptions(references, no_references, shots, method, weight_img)
    place = known.place(model_file)
    few_shot = known.read(place) if place else None
    top = hottest + (few_shot.w_img if few_shot else 0.0)
    check_threshold(threshold, top)
    if object_name is not None:
        object_column(manifest, object_name)
    by = DecideBy.found(
        model_file, object_name or manifest.prompts.object, few_shot, threshold, calibration, no_calibration, sha256
    )
    if annotate and any(Path(text).is_dir() and Path(text).resolve() == annotate.resolve() for text in texts):
        raise OutputError(f"--annotate {annotate} is the folder the pictures come from; give another")
    sources = [open_source(text, exclude=annotate) for text in texts]
    originals = {path.resolve() for item in sources if isinstance(item, Files) for path in item.paths}
    written = (jsonl, errors)
    beside = [path.resolve() for path in (place, by.file) if path is not None]
    given = () if remote is None else (remote.manifest, remote.ca, remote.token_file)
    beside += [path.resolve() for path in given if path is not None]
    kept = {*originals, Path(model_path).resolve(), *beside}
    if any(path is not None and path.resolve() in kept for path in written):
        raise OutputError(
            "--jsonl or --errors names the model, its references, its calibration or a source; give another file"
        )
    if show:
        sinks.append(Window(top, by.threshold, overlay, by.unsure))
    if annotate:
        sinks.append(AnnotatedPictures(annotate, top, by.threshold, originals, overlay, by.unsure))

    tally = Tally()
    troubles = Troubles(kept=error_lines is not None)

    def on_failure(failure: Failure) -> None:
        troubles.add(failure)
        if error_lines:
            error_lines.write(failure)

    one_thread_for_products()
    with contextlib.ExitStack() as stack:
        opened = Model(
            model_path, backend=backend, batch_size=batch, object=object_name, references=few_shot, remote=remote,
            on_step=lambda step: err.print(step, soft_wrap=True, markup=False),
        )  # fmt: skip
        loaded = stack.enter_context(opened)
        for sink in sinks:
            stack.callback(sink.close)
        if error_lines:
            stack.callback(error_lines.close)
        counts = [item.count for item in sources]
        total = None if None in counts else sum(count or 0 for count in counts)
        progress = stack.enter_context(_progress(err))
        task = progress.add_task("scoring", total=total)
        try:
            score_sources(
                loaded, sources, sinks, tally=tally, batch=batch, level=level,
                threshold=by.threshold, unsure=by.unsure, gate=by.gate,
                on_failure=on_failure, on_item=lambda: progress.advance(task),
            )  # fmt: skip
        except KeyboardInterrupt:
            troubles.interrupted = True
        except WindowClosed:
            pass
        if error_lines and tally.scored:
            error_lines.begin()  # no failures is an empty file, never the failures of an earlier run

    sum_told = told(few_shot, manifest.score.w_pr, manifest.score.w_fnn) if few_shot else None
    sum_told = "; ".join(filter(None, (sum_told, by.told, by.unlike(tally.seen)))) or None
    remarks = list(filter(None, [by.remark(opened.backend)]))
    if object_name is not None:
        remarks.append(f"s_pr and score are those of the object {object_name!r}")
    if "heatmap" in manifest.outputs and (jsonl or overlay):
        whose = f", by the prompts of {manifest.prompts.object!r}," if manifest.objects else ""
        remarks.append(f"regions: where the heat map{whose} is {level:g} or more, of {hottest:g}")
    remarks.append(f"engine: {opened.backend} ({opened.backend_reason})")
    if opened.backend_fallback:  # told however the run ended: `remarks` are for those that went well
        sum_told = "; ".join(filter(None, (sum_told, f"warning: {opened.backend_fallback}")))
    tell(out, err, manifest, tally, table, troubles, sum_told, remarks)
    if troubles.interrupted:
        raise typer.Exit(130)
    if not tally.scored and not tally.failures:
        raise SettingError("nothing to score was found in the sources")
    if tally.failures:
        raise typer.Exit(1 if tally.scored else 2)


def _run_file(context: typer.Context, config: Path, web: str | None) -> None:
    """Run a line's file; everything else that could be given is said in it."""
    from wordsight.runtime.errors import SettingError
    from wordsight.runtime.line.run_file import run_file

    keys = {"threshold": "defect = X under [[line]]", "backend": 'backend = "..."', "batch": "batch = N",
            "jsonl": '[[sink]] type = "jsonl"', "object_name": 'object = "..." under [[line]]',
            "deadline_ms": "deadline_ms = N under [remote]"}  # fmt: skip
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "")
        if parameter.name not in ("config", "web") and given is not None and given.name == "COMMANDLINE":
            option = parameter.opts[0] if parameter.opts[0].startswith("-") else (parameter.name or "").upper()
            instead = f": {keys[parameter.name]}" if parameter.name in keys else ", or leave it out"
            raise SettingError(f"{option} does not go with --config; say it in {config}{instead}")
    code = run_file(config, web)
    if code:
        raise typer.Exit(code)


def _progress(console: "Console"):  # type: ignore[no-untyped-def]
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
