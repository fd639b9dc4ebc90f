"""What may skip: what needs a GPU, always; a part that is absent, by its marker, and not on CI."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CASES = """
import pytest

@pytest.mark.gpu
def test_gpu():
    pytest.skip("no GPU")

@pytest.mark.openvino
def test_part():
    pass

def test_told():
    pytest.skip("no part")

@pytest.mark.paper_text
def test_text():
    pass
"""
WITHOUT = """
import importlib.util as u
real = u.find_spec
u.find_spec = lambda name, *a: None if name == "openvino" else real(name, *a)
"""


@pytest.fixture
def run(tmp_path: Path):
    """Run the cases above, and a file that skips whole, beside our conftest, as if OpenVINO were not here."""
    ours = Path(__file__).with_name("conftest.py").read_text(encoding="utf-8")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "conftest.py").write_text(ours.replace("\nPARTS =", WITHOUT + "\nPARTS =", 1), "utf-8")
    for part in ("fault_matrix.py", "two_environments.py"):
        text = Path(__file__).with_name(part).read_text(encoding="utf-8")
        (tmp_path / "tests" / part).write_text(text, "utf-8")
    (tmp_path / "tests" / "test_cases.py").write_text(CASES, "utf-8")
    (tmp_path / "tests" / "test_whole.py").write_text("import pytest\npytest.importorskip('no_such_part')\n", "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  gpu\n  openvino\n  paper_text\n", "utf-8")

    def call(*words: str) -> str:
        line = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *words, "tests"]
        return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=120).stdout

    return call


def test_an_absent_part_skips_with_the_line_that_brings_it(run):
    out = run()
    assert "needs openvino: pip install 'wordsight[openvino]'" in out
    assert "4 skipped, 1 deselected" in out


def test_on_ci_nothing_but_gpu_skips(run):
    out = run("--no-skips", "--continue-on-collection-errors")
    assert "1 failed, 1 skipped, 1 deselected, 2 errors" in out
    assert "skipped where nothing but gpu may: Skipped: needs openvino" in out
