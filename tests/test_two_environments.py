"""What one environment leaves to the other: all that did not pass in it, and nothing else."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CASES = """
import pytest

def test_passes():
    pass

@pytest.mark.parametrize("value", [1, "a b"])
def test_of(value):
    pass

def test_fails():
    assert 0

def test_skips():
    pytest.skip("no part")

@pytest.fixture
def broken():
    yield
    raise RuntimeError("at the end")

def test_fails_at_its_end(broken):
    pass

def test_is_left_out():
    pass
"""
UNSTEADY = """
from pathlib import Path

def test_holds_at_the_second_attempt():
    before = Path("before")
    assert before.exists() or before.touch()

def test_never_holds():
    assert 0
"""
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
AGAIN = re.search(r"^AGAIN +:= (.*)$", MAKEFILE, re.MULTILINE)[1]
HOOKS = """
import importlib.util
from pathlib import Path

spec = importlib.util.spec_from_file_location("two", Path(__file__).with_name("two_environments.py"))
two = importlib.util.module_from_spec(spec)
spec.loader.exec_module(two)

def pytest_addoption(parser):
    two.add_options(parser)

def pytest_configure(config):
    config.pluginmanager.register(two.TwoEnvironments())
"""


@pytest.fixture
def run(tmp_path: Path):
    """Run the cases above beside the plug-in alone."""
    ours = Path(__file__).with_name("two_environments.py").read_text(encoding="utf-8")
    for name, text in {"two_environments.py": ours, "conftest.py": HOOKS, "test_cases.py": CASES}.items():
        (tmp_path / name).write_text(text, "utf-8")

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        line = [
            sys.executable,
            "-m",
            "pytest",
            "-v",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            ".",
            *words,
            "test_cases.py",
        ]
        return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    return call


def test_all_that_did_not_pass_is_left_to_the_other(run, tmp_path):
    run("--passed-to", "passed.txt", "-k", "not left_out")
    passed = (tmp_path / "passed.txt").read_text("utf-8").splitlines()
    assert passed == ["test_cases.py::test_passes", "test_cases.py::test_of[1]", "test_cases.py::test_of[a b]"]
    told = run("--passed-in", "passed.txt").stdout
    assert "3 deselected" in told
    for name in ("test_fails ", "test_skips ", "test_fails_at_its_end ", "test_is_left_out "):
        assert f"::{name}" in told
    assert "::test_passes " not in told


def test_a_second_attempt_is_told_by_name_and_what_is_wrong_fails(run, tmp_path):
    (tmp_path / "test_unsteady.py").write_text(UNSTEADY, "utf-8")
    end = run(*AGAIN.split(), "--passed-to", "passed.txt", "-k", "hold", "test_unsteady.py")
    assert end.returncode == pytest.ExitCode.TESTS_FAILED
    reruns, _, summary = end.stdout.partition("rerun test summary info")[2].partition("short test summary info")
    assert "test_unsteady.py::test_holds_at_the_second_attempt" in reruns
    assert ">       assert before.exists() or before.touch()" in reruns
    assert "FAILED test_unsteady.py::test_never_holds" in summary
    assert "test_holds_at_the_second_attempt" not in summary
    assert (tmp_path / "passed.txt").read_text("utf-8") == ""  # the other environment runs both


def test_a_list_that_is_not_there_stops_the_run(run):
    end = run("--passed-in", "nowhere.txt")
    assert end.returncode == 4
    assert "a run with --passed-to writes it" in end.stderr


@pytest.mark.parametrize("line", re.findall(r"-m pytest .*", MAKEFILE))
def test_the_lines_of_the_makefile_are_understood(line, tmp_path):
    """Before pytest knows our options, a file's name that stands apart from its option is what to test."""
    there = tmp_path / "passed.txt"
    there.write_text("", "utf-8")
    for name, value in {"$(PASSED)": str(there), "$(LEAN_TESTS)": "tests/runtime", "$(AGAIN)": AGAIN}.items():
        line = line.replace(name, value)
    words = shlex.split(line)
    end = subprocess.run(
        [sys.executable, *words, "--collect-only", "--ignore-glob=*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert end.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, end.stderr
