"""`wordsight recipe`: change what lines are decided by, while they run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wordsight.runtime.config.read import Loaded


def recipe(
    file: Annotated[Path, typer.Argument(help="The line's file.", show_default=False)],
    name: Annotated[
        str | None, typer.Argument(help="Name or number of a recipe; without it all are listed.", show_default=False)
    ] = None,
    line: Annotated[str | None, typer.Option(help="For this line alone. [all lines]", show_default=False)] = None,
    none: Annotated[bool, typer.Option("--none", help="Back to the lines' own settings.")] = False,
) -> None:
    """Select a recipe of a line's file, without a restart.

    Example: wordsight recipe line.toml nut-m8

    Whoever runs the file picks it up within a second and decides every later frame by it; each event says which recipe
    it was decided under. It is kept across a restart, and may be selected before the lines run.
    """
    from wordsight.runtime.config.read import read_line_file
    from wordsight.runtime.errors import SettingError
    from wordsight.runtime.line.recipes import select

    loaded = read_line_file(file)
    if name is not None and none:
        raise SettingError("expected NAME or --none, got both")
    if name is None and not none:
        _list(loaded)
        return
    after = select(loaded, name, line)
    for one in loaded.spec.line:
        if line in (None, one.name):
            typer.echo(f"{one.name}: {after.of(one.name) or 'its own settings'}")


def _list(loaded: "Loaded") -> None:
    from wordsight.runtime.line.recipes import read_selection

    selection, told = read_selection(loaded)
    if told:
        typer.echo(f"wordsight: {told}", err=True)
    for one in loaded.spec.recipe:
        chosen = [line.name for line in loaded.spec.line if selection.of(line.name) == one.name]
        number = "" if one.number is None else f" ({one.number})"
        whose = f": selected for {', '.join(chosen)}" if chosen else ""
        typer.echo(f"{one.name}{number}{whose}")
    own = [line.name for line in loaded.spec.line if selection.of(line.name) is None]
    if own:
        typer.echo(f"their own settings: {', '.join(own)}")
