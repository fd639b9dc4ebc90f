"""The `wordsight` command: finds each layer's commands by their entry points and turns every error into a short line.

Exit codes: 0 done; 1 some inputs failed, the rest was done; 2 wrong use or bad input, nothing done; 3 the machine
lacks something, and the line that installs it is told; 130 interrupted. `--debug`, anywhere on the line, or
WORDSIGHT_DEBUG=1 shows the traceback.
"""

import contextlib
import importlib.metadata
import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import typer

from wordsight.runtime.doctor import doctor
from wordsight.runtime.info import info
from wordsight.runtime.run import run
from wordsight.runtime.urls import scrubbed

__all__ = ["doctor", "info", "main", "run"]

GROUP = "wordsight.commands"
_ORDER = (
    "train",
    "export",
    "run",
    "calibrate",
    "reference",
    "config",
    "recipe",
    "deploy",
    "audit",
    "archive",
    "report",
    "info",
    "build",
    "triton",
    "verify",
    "doctor",
    "bench",
)  # as one would meet them; others follow by name

# Third-party modules and the extra that brings each; anything else that is missing is a mistake of ours.
_EXTRAS = {
    "torch": "train",
    "torchvision": "train",
    "open_clip": "train",
    "safetensors": "train",
    "onnx": "export",
    "onnxscript": "export",
    "sklearn": "bench",
    "matplotlib": "bench",
    "PIL": "bench",
    "cv2": "runtime",
    "onnxruntime": "runtime",
    "openvino": "openvino",
    "fsspec": "archive",
    "pyarrow": "archive",
    "ray": "archive",
    "s3fs": "archive",
    "tensorrt_rtx": "rtx",
    "tritonclient": "remote",
}
_HELP = """Find defects with a detector that learned from words alone.

Example: wordsight run --demo

Any command takes --debug, which shows the traceback of an error. `wordsight COMMAND --help` tells more.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code.

    Args:
        arguments: the words after `wordsight`; by default those of this process.

    Raises:
        SystemExit: always, with the exit code.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    words, debug = _take_debug(words)
    _survive_odd_terminals()
    try:
        code = _dispatch(words or ["--help"])
    except SystemExit:
        raise
    except BaseException as error:
        if debug:
            traceback.print_exc()
        code = report(error, debug)
    if arguments is None:
        _leave_readers(code)
    sys.exit(code)


def _leave_readers(code: int) -> None:
    """End the process here and now if a camera is still being read; all that was to be written is written.

    Python ends threads by unwinding them, which kills the process with an abort where they are inside a driver's C++.
    """
    if any(thread.name.startswith("reader ") for thread in threading.enumerate()):
        with contextlib.suppress(OSError, ValueError):  # a pipe that nobody reads any more
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _dispatch(words: list[str]) -> int:
    """Load the command that is asked for, only that one, and run it; return the exit code."""
    entries = _commands()
    if not entries:
        raise _Unusable(
            "no commands are registered, the installation is incomplete: pip install --force-reinstall wordsight"
        )
    asked = next((word for word in words if not word.startswith("-")), None)
    chosen = {asked: entries[asked]} if asked in entries else entries
    app = typer.Typer(
        name="wordsight", help=_HELP, pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None
    )
    app.callback()(_root)
    for name, entry in chosen.items():
        _register(app, name, entry, must_load=name == asked)
    # Typer's own error boxes run over eight lines on a narrow terminal: errors come here as exceptions instead.
    result = typer.main.get_command(app).main(args=words, prog_name="wordsight", standalone_mode=False)
    code = result if isinstance(result, int) and not isinstance(result, bool) else 0
    if code == 130:
        raise KeyboardInterrupt  # Typer hands an interrupt over as a number
    return code


def _commands() -> dict[str, importlib.metadata.EntryPoint]:
    """Return the entry points of the group by name; of two installations the first on the path counts."""
    found: dict[str, importlib.metadata.EntryPoint] = {}
    for entry in importlib.metadata.entry_points(group=GROUP):
        found.setdefault(entry.name, entry)
    ranks = {name: rank for rank, name in enumerate(_ORDER)}
    return dict(sorted(found.items(), key=lambda item: (ranks.get(item[0], len(ranks)), item[0])))


def _register(app: typer.Typer, name: str, entry: importlib.metadata.EntryPoint, must_load: bool) -> None:
    try:
        target = entry.load()
    except Exception as error:
        if must_load:
            raise
        # The list of commands is to be readable although one layer's extra is not there, and says so.
        known = isinstance(error, ModuleNotFoundError) and _extra_of(error) is not None
        told = _install(error) if known and isinstance(error, ImportError) else f"cannot be loaded: {error}"
        app.command(name, help=f"({told})")(lambda: None)
        return
    if isinstance(target, typer.Typer):
        app.add_typer(target, name=name)
    else:
        # A command may bring a class that reads its words in a way of its own.
        app.command(name, cls=getattr(target, "command_class", None))(target)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"wordsight {importlib.metadata.version('wordsight')}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(False, "--version", help="Print the version.", callback=_version, is_eager=True),
) -> None:
    pass


def _take_debug(words: list[str]) -> tuple[list[str], bool]:
    """Take `--debug` out of the words, wherever it stands before a bare `--`."""
    end = words.index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word != "--debug"]
    asked = len(kept) < end or os.environ.get("WORDSIGHT_DEBUG", "") not in ("", "0")
    return kept + words[end:], asked


def report(error: BaseException, debug: bool) -> int:
    """Print what went wrong, in as few lines as it takes, and return the exit code."""
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        return _say("interrupted", 130)
    if isinstance(error, ModuleNotFoundError) and _extra_of(error):
        return _say(f"this command needs {error.name}, which is not installed: {_install(error)}", 3)
    format_message: Callable[[], str] | None = getattr(error, "format_message", None)
    if format_message is not None:  # a wrong option or argument, told by Typer
        return _report_usage(error, format_message)
    code = getattr(error, "exit_code", None)
    if isinstance(code, int):
        return _say(str(error) or type(error).__name__, code)
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return _say(f"{place}{error.strerror.lower()}", 2)
    if isinstance(error, MemoryError):
        return _say("not enough memory; try a smaller --batch", 2)
    hint = "" if debug else "; run it again with --debug and report what it shows"
    return _say(f"internal error, a mistake of ours: {type(error).__name__}: {error}{hint}", 2)


def _report_usage(error: Any, format_message: Callable[[], str]) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return 2
    path = context.command_path if context is not None else "wordsight"
    return _say(f"{format_message().rstrip('.')}; see: {path} --help", int(error.exit_code))


def _say(message: str, code: int) -> int:
    # One message, however many lines an exception's text brings along: at most six of them, of bearable length.
    lines = [line.rstrip() for line in scrubbed(message).splitlines() if line.strip()][:6] or ["failed"]
    lines = [f"wordsight: {lines[0]}", *(f"  {line.strip()}" for line in lines[1:])]
    print("\n".join(line[:1000] for line in lines), file=sys.stderr)
    return code


def _extra_of(error: ImportError) -> str | None:
    return _EXTRAS.get((error.name or "").partition(".")[0])


def _install(error: ImportError) -> str:
    return f"pip install 'wordsight[{_extra_of(error)}]'"


def _survive_odd_terminals() -> None:
    """Let a terminal or pipe without UTF-8 show a question mark rather than end the run."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


class _Unusable(Exception):
    exit_code = 3
