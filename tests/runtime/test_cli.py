"""The root command: finds commands lazily, and turns errors into short lines."""

import errno
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from wordsight.runtime import cli
from wordsight.runtime.errors import MissingPart, SettingError


def end(capsys, *words):
    with pytest.raises(SystemExit) as caught:
        cli.main(list(words))
    captured = capsys.readouterr()
    return caught.value.code, captured.out, captured.err


def command(monkeypatch, function, name="try-it"):
    """Register one command whose entry point loads `function`."""
    entry = EntryPoint(name, "somewhere:thing", cli.GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda self: function() if self.name == name else original(self))
    original = EntryPoint.load
    monkeypatch.setattr(cli, "_commands", lambda: {name: entry})


def failing(error):
    def run() -> None:
        raise error

    return lambda: run


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (SettingError("expected 1, got 2"), 2, "expected 1, got 2"),
        (MissingPart("no window", "pip install x"), 3, "pip install x"),
        (ModuleNotFoundError("No module", name="torch.nn"), 3, "wordsight[train]"),
        (ModuleNotFoundError("No module", name="our_typo"), 2, "--debug"),
        (OSError(errno.ENOSPC, "No space left on device", "out.json"), 2, "out.json: no space left"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ZeroDivisionError("division"), 2, "--debug"),
        (SettingError("\n".join(f"line {n}" for n in range(50))), 2, "line 0"),
    ],
)
def test_errors_are_short_and_have_their_exit_code(monkeypatch, capsys, error, code, words):
    command(monkeypatch, failing(error))
    ended, out, err = end(capsys, "try-it")
    assert ended == code
    assert words in err
    assert len((out + err).splitlines()) <= 8
    assert "Traceback" not in err


@pytest.mark.parametrize("words", [("--debug", "try-it"), ("try-it", "--debug")])
def test_debug_anywhere_shows_the_traceback(monkeypatch, capsys, words):
    command(monkeypatch, failing(ZeroDivisionError("division")))
    assert "Traceback" in end(capsys, *words)[2]


def test_any_exception_with_an_exit_code_is_told(monkeypatch, capsys):
    class Foreign(Exception):
        exit_code = 3

    command(monkeypatch, failing(Foreign("fetch the file")))
    assert end(capsys, "try-it")[::2] == (3, "wordsight: fetch the file\n")


def test_only_the_asked_command_is_loaded(monkeypatch, capsys):
    loaded = []
    monkeypatch.setattr(EntryPoint, "load", lambda self: loaded.append(self.name) or (lambda: None))
    assert end(capsys, "doctor")[0] == 0
    assert loaded == ["doctor"]


def test_two_installations_list_a_command_once(monkeypatch):
    first, second = EntryPoint("run", "first:run", cli.GROUP), EntryPoint("run", "second:run", cli.GROUP)
    monkeypatch.setattr(cli.importlib.metadata, "entry_points", lambda group: [first, second])
    assert cli._commands() == {"run": first}


def test_help_lists_a_layer_whose_extra_is_missing(monkeypatch, capsys):
    def load():
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    command(monkeypatch, load, "train")
    code, out, _ = end(capsys, "--help")
    assert code == 0
    assert "wordsight[train]" in out
    assert end(capsys, "train")[0] == 3


@pytest.mark.parametrize("words", [("nonsense",), ("--nonsense",), ("doctor", "--nonsense"), ("info",)])
def test_wrong_use_is_exit_two(capsys, words):
    code, out, err = end(capsys, *words)
    assert code == 2
    assert len((out + err).splitlines()) <= 8


def test_module_runs_as_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "wordsight.runtime", "--help"],
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0
    for name in ("train", "export", "run", "info", "doctor", "bench"):
        assert name in done.stdout


HANGING = """
import atexit, sys, threading
from wordsight.runtime import cli

atexit.register(print, "unwound", flush=True)
def dispatch(words):
    threading.Thread(target=threading.Event().wait, daemon=True, name={name!r}).start()
    print("written", end="")
    return 1
cli._dispatch = dispatch
sys.argv[1:] = ["run"]
cli.main()
"""


@pytest.mark.parametrize(("name", "told"), [("reader press-3", "written"), ("other", "writtenunwound\n")])
def test_a_camera_that_is_still_read_is_not_unwound_at_the_end(name, told):
    words = [sys.executable, "-c", HANGING.format(name=name)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=180)
    assert (done.returncode, done.stdout) == (1, told)
