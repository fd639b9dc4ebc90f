"""`wordsight config`: what a line's file says, before anything runs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from wordsight.runtime.backends.remote_address import RemoteAddress
    from wordsight.runtime.config.check import Checked
    from wordsight.runtime.config.resolve import Resolved
    from wordsight.runtime.decide_by import DecideBy

_HELP = """Look at a line's file.

Example: wordsight config check line.toml
"""
app = typer.Typer(help=_HELP, no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass  # one command alone would otherwise take the group's name


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The line's file.", show_default=False)],
    json_file: Annotated[str | None, typer.Option("--json", help="Write what would run as JSON; - for stdout.")] = None,
) -> None:
    """Say what `wordsight run --config` would run, or what is wrong with the file.

    Example: wordsight config check line.toml

    Models, calibrations, references, masks, sources and sinks are looked at; no camera and no engine is opened.
    """
    from wordsight.runtime.config.check import check as look
    from wordsight.runtime.config.read import read_line_file
    from wordsight.runtime.files import check_output_file, whole_file
    from wordsight.runtime.line.applied import as_it_runs

    target = check_output_file(json_file) if json_file not in (None, "-") else None
    checked = as_it_runs(look(read_line_file(file)))
    text = json.dumps(as_data(checked), indent=2, ensure_ascii=False)
    if target is not None:
        with whole_file(target, "w") as out:
            out.write(text + "\n")
    if json_file == "-":
        typer.echo(text)
    else:
        _show(checked)


def as_data(checked: "Checked") -> dict[str, Any]:
    """Return what would run as JSON values; without a secret, for the file holds none."""
    loaded = checked.loaded
    lines = []
    for line in loaded.spec.line:
        recipes = [_resolved(found) for (name, _), found in checked.resolved.items() if name == line.name]
        lines.append({"name": line.name, "source": checked.sources[line.name], "decided_by": recipes})
    sinks = [
        {"name": sink.name, "type": sink.spec.type, "only": sink.spec.only, "of": sink.spec.of,
         "lines": list(sink.context.lines), "options": sink.options.model_dump(mode="json")}
        for sink in checked.sinks
    ]  # fmt: skip
    return {
        "file": str(loaded.path),
        "sha256": loaded.sha256,
        "status": None if loaded.spec.status is None else str(loaded.resolve(loaded.spec.status)),
        "state": str(loaded.state),
        "backend": loaded.spec.backend,
        "batch": loaded.spec.batch,
        "wait_ms": loaded.spec.wait_ms,
        "start_recipe": loaded.spec.start_recipe,
        "lines": lines,
        "sinks": sinks,
        "remarks": list(checked.remarks),
    }


def _resolved(found: "Resolved") -> dict[str, Any]:
    by = found.by
    return {
        "recipe": found.recipe,
        "model": str(found.model.path),
        "object": found.object,
        "roi": None if found.roi is None else list(found.roi),
        "mask": found.mask is not None,
        "unsure": by.unsure,
        "defect": by.threshold,
        "calibration": None if by.file is None else str(by.file),
        "applied": None if by.applied is None else {"time": by.applied.time, "who": by.applied.who},
        "gate": by.gate is not None,
        "references": 0 if found.few_shot is None else len(found.few_shot.references),
        "parts": found.rule is not None,
    }


def _show(checked: "Checked") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    spec = checked.loaded.spec
    lines = Table("line", "source", "recipe", "model", "decides by", box=None, pad_edge=False, header_style="bold")
    for line in spec.line:
        for (name, recipe), found in checked.resolved.items():
            if name != line.name:
                continue
            first = recipe is None
            start = recipe is not None and recipe == spec.start_recipe
            source = checked.sources[name] if first else ""
            told = "its own" if recipe is None else f"{recipe}{' (at the start)' if start else ''}"
            lines.add_row(name if first else "", source, told, _named(found.model.path), _decides(found))
    console.print(lines, markup=False)
    sinks = Table("sink", "takes", "of", "writes", box=None, pad_edge=False, header_style="bold")
    for sink in checked.sinks:
        whose = "all lines" if sink.spec.lines is None else ", ".join(sink.spec.lines)
        takes = f"{', '.join(sink.spec.only or ['all'])} {'' if sink.spec.of == 'both' else sink.spec.of}".strip()
        where = [str(value) for key, value in sink.spec.options.items() if key in ("path", "folder", "url", "listen")]
        sinks.add_row(sink.name, takes, whose, ", ".join(where))
    if checked.sinks:
        console.print()
        console.print(sinks, markup=False)
    else:
        console.print("\nno [[sink]]: results go to the status file alone", markup=False)
    status = "none" if spec.status is None else str(checked.loaded.resolve(spec.status))
    console.print(f"\nstatus {status}, state {checked.loaded.state}, backend {spec.backend}, batch {spec.batch}",
                  soft_wrap=True, markup=False)  # fmt: skip
    for remark in checked.remarks:
        console.print(f"note: {remark}", soft_wrap=True, markup=False)


def _whence(by: "DecideBy") -> str:
    return ", applied" if by.applied else ", calibrated" if by.calibration else ""


def _named(model: "Path | RemoteAddress") -> str:
    return model.name if isinstance(model, Path) else str(model)


def _decides(found: "Resolved") -> str:
    by = found.by
    if by.threshold is None:
        told = "nothing"
    else:
        unsure = "" if by.unsure is None else f"unsure {by.unsure:.3f}, "
        told = f"{unsure}defect {by.threshold:.3f}{_whence(by)}"
    more = [
        found.object if found.object != "object" else "",
        "" if found.roi is None else f"region {found.roi[2]}x{found.roi[3]}",
        "mask" if found.mask is not None else "",
        "" if found.few_shot is None else f"{len(found.few_shot.references)} references",
        "parts" if found.rule is not None else "",
    ]
    return "; ".join([told, *filter(None, more)])
