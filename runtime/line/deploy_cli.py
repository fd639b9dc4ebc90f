"""`wordsight deploy`: from a line's file to a service of the system, and back."""

import getpass
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wordsight.runtime.errors import SettingError

if TYPE_CHECKING:
    from wordsight.runtime.config.check import Checked
    from wordsight.runtime.config.model_file import ModelFile

_SYSTEMD = Path("etc/systemd/system")
_QUADLET = Path("etc/containers/systemd")


def deploy(
    file: Annotated[Path, typer.Argument(help="The line's file.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, show the unit, write nothing.")] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Bring the deployment before the last one back.")
    ] = False,
    container: Annotated[
        bool, typer.Option("--container", help="A unit for Podman instead of a plain service.")
    ] = False,
    image: Annotated[str, typer.Option(help="Image of --container; docs/deploy tells how it is built.")] = (
        "localhost/wordsight:latest"
    ),
    user: Annotated[str | None, typer.Option(help="Whom the service runs as. [who called sudo, or you]")] = None,
    root: Annotated[Path, typer.Option(help="Where the system's folders begin.")] = Path("/"),
) -> None:
    """Make a line's file a service: check it, build the engines, score the golden frame, write the unit.

    Example: sudo wordsight deploy /srv/line3/line.toml

    Nothing is written unless all of that went well. The file, its models, calibrations, references and masks are kept
    in NAME.deployed, three deployments back, for --rollback. Starting it is left to you; the last line says how.
    """
    from wordsight.runtime.config.check import check
    from wordsight.runtime.config.read import read_line_file
    from wordsight.runtime.files import check_output_file, check_output_folder, whole_file
    from wordsight.runtime.line.deployed import Deployments
    from wordsight.runtime.line.unit import container_unit, service_unit

    if rollback and dry_run:
        raise SettingError("expected --rollback or --dry-run, got both")
    known = Deployments(file.resolve())
    if rollback:
        number, written = known.back()
        for path in written:
            typer.echo(f"restored {path}")
        check(read_line_file(file))
        typer.echo(f"deployment {number} is back; take it in: {_then(file, restart=True)}")
        return
    checked = check(read_line_file(file.resolve()))
    unit = root / (_QUADLET if container else _SYSTEMD) / f"{_name(file)}.{'container' if container else 'service'}"
    whom = user or os.environ.get("SUDO_USER") or getpass.getuser()
    text = (
        container_unit(file.resolve(), image) if container else service_unit(file.resolve(), Path(sys.executable), whom)
    )
    for remark in checked.remarks:
        typer.echo(f"note: {remark}", err=True)
    if dry_run:
        typer.echo(f"{unit}:\n\n{text}", nl=False)
        return
    check_output_folder(unit.parent)
    check_output_file(unit)
    # Engines lie in a folder that only their owner can enter: whoever will run the service builds them.
    if whom is not None and root == Path("/") and not container and os.geteuid() == 0:
        _stands_as(whom, file.resolve())
    else:
        for told in stands(checked):
            typer.echo(told)
    number = known.add(_files(checked), unit.absolute(), text)
    with whole_file(unit, "w") as out:
        out.write(text)
    typer.echo(f"wrote {unit}, deployment {number}; start it: {_then(file, restart=False)}")


def _name(file: Path) -> str:
    return f"wordsight-{re.sub(r'[^A-Za-z0-9_.-]', '-', file.stem)}"  # what systemd takes as a unit's name


def _then(file: Path, restart: bool) -> str:
    return f"systemctl daemon-reload && systemctl {'restart' if restart else 'enable --now'} {_name(file)}"


def _stands_as(user: str, file: Path) -> None:
    """Do `stands` as another user, in a process of its own.

    Raises:
        SettingError: there is no such user.
        typer.Exit: it failed, and said why.
    """
    import pwd

    try:
        known = pwd.getpwnam(user)
    except KeyError as error:
        raise SettingError(f"no user {user!r} on this machine: adduser --system --group {user}, or --user") from error
    code = "import sys; from wordsight.runtime.line.deploy_cli import stands_main; stands_main(sys.argv[1])"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, str(file)], check=False, cwd=file.parent,
            user=known.pw_uid, group=known.pw_gid,
            extra_groups=os.getgrouplist(user, known.pw_gid), env={**os.environ, "HOME": known.pw_dir},
        )  # fmt: skip
    except OSError as error:
        told = f"{user!r} cannot run {sys.executable} in {file.parent}: {(error.strerror or str(error)).lower()}"
        raise SettingError(f"{told}; install Wordsight and put the file where that user may, or --user") from error
    if done.returncode:
        raise typer.Exit(done.returncode)


def stands_main(file: str) -> None:
    """Do `stands` with a file, and leave the process: as `wordsight` reports errors, in few lines."""
    from wordsight.runtime.cli import report
    from wordsight.runtime.config.check import check
    from wordsight.runtime.config.read import read_line_file

    try:
        for told in stands(check(read_line_file(file))):
            typer.echo(told)
    except Exception as error:
        sys.exit(report(error, debug=False))


def stands(checked: "Checked") -> list[str]:
    """Open every engine that the file may need, and have it score the golden frame.

    Raises:
        WordsightError: one cannot be opened, or scores otherwise than its manifest says.
    """
    from wordsight.runtime.golden import require_golden
    from wordsight.runtime.line.assemble import Models

    spec = checked.loaded.spec
    models = Models(spec.backend, spec.batch, lambda step: typer.echo(step, err=True))
    try:
        for found in checked.resolved.values():
            models.at(found.model)
        return [f"{file.path}: {model.backend}, {require_golden(model)}" for file, model in models.opened.values()]
    finally:
        models.close_but(set())


def _files(checked: "Checked") -> list[Path]:
    """Return all that decides: a rollback brings exactly these back."""
    from wordsight.runtime.config.settings import combinations, settings
    from wordsight.runtime.references_file import default_path

    loaded = checked.loaded
    files = [loaded.path]
    for line, recipe in combinations(loaded):
        found, values = checked.resolved[line, recipe], settings(loaded, line, recipe).values
        files += _model_files(found.model)
        if found.by.file is not None:
            files.append(found.by.file)
        if found.few_shot is not None:
            given = values.get("references")
            if given:
                files.append(loaded.resolve(given))
            elif found.model.beside is not None:
                files.append(default_path(found.model.beside))
        if values.get("mask"):
            files.append(loaded.resolve(values["mask"]))
    return list(dict.fromkeys(files))


def _model_files(model: "ModelFile") -> list[Path]:
    """Return the file of a model, or what is here of one on a server; a token is nobody's to keep."""
    if isinstance(model.path, Path):
        return [model.path]
    settings = model.remote
    here = () if settings is None else (settings.fallback, settings.manifest, settings.ca)
    return [path for path in here if path is not None]
