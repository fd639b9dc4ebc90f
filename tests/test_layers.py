"""Who may import whom, and the proof that the guard sees a planted fault."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def lint_imports(project: Path) -> subprocess.CompletedProcess[str]:
    # import-linter follows what `import wordsight.…` finds, so the copy goes before the installed one.
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for layer in ("train", "export", "runtime", "benchmarks"):
        shutil.copytree(
            ROOT / layer, tmp_path / "wordsight" / layer, ignore=shutil.ignore_patterns("*.safetensors", "__pycache__")
        )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def test_the_layers_hold(copy: Path):
    result = lint_imports(copy)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "fault"),
    [
        ("runtime/planted.py", "import torch"),
        ("runtime/planted.py", "def later():\n    import onnx"),
        ("runtime/planted.py", "from wordsight.train import prompts"),
        ("train/planted.py", "from wordsight.runtime import errors"),
        ("train/planted.py", "import wordsight.export"),
        ("export/planted.py", "import wordsight.benchmarks"),
    ],
)
def test_a_planted_import_is_caught(copy: Path, module: str, fault: str):
    (copy / "wordsight" / module).write_text(fault + "\n", encoding="utf-8")
    result = lint_imports(copy)
    assert result.returncode == 1, result.stdout
    assert "planted" in result.stdout


@pytest.mark.parametrize("script", ["benchmarks/peers_anomalib.py", "benchmarks/rivals/peer_anomalib.py"])
def test_no_neighbour_of_a_script_hides_a_module_of_python(script):
    # What runs as a script in a peer's environment has its own folder first on its path.
    assert (ROOT / script).is_file()
    names = {path.stem for path in (ROOT / script).parent.glob("*.py")} - {"__init__"}
    assert not names & set(sys.stdlib_module_names)
