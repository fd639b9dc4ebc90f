"""What is built is what is here: no sub-package is forgotten, and a bare install fits the boards of today."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
LAYERS = ("train", "export", "runtime", "benchmarks")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def folders_with_code() -> set[str]:
    """Every folder of the layers that holds a module, by the name it is imported under."""
    return {
        ".".join(("wordsight", *path.parent.relative_to(ROOT).parts))
        for layer in LAYERS
        for path in (ROOT / layer).rglob("*.py")
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp("wheel")
    # Built from a copy of what git would ship: a stale build/ folder must not lend its modules.
    source = tmp_path_factory.mktemp("source")
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    for name in names:
        if (ROOT / name).is_symlink() or not (ROOT / name).exists():
            continue
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)],
        check=True, capture_output=True,
    )  # fmt: skip
    return zipfile.ZipFile(next(out.glob("*.whl")))


def test_every_sub_package_is_listed():
    assert folders_with_code() == set(PROJECT["tool"]["setuptools"]["packages"])


def test_the_wheel_holds_every_module_and_every_data_file(wheel: zipfile.ZipFile):
    expected = {
        f"wordsight/{path.relative_to(ROOT).as_posix()}"
        for layer in LAYERS
        for path in (ROOT / layer).rglob("*")
        if path.suffix
        in {".py", ".typed", ".onnx", ".safetensors", ".png", ".jpg", ".csv", ".json", ".html", ".css", ".js", ".svg"}
        and "__pycache__" not in path.parts
    }
    shipped = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert shipped == expected


def test_every_command_of_the_entry_points_exists():
    points = importlib.metadata.entry_points(group="wordsight.commands")
    assert {point.name for point in points} == set(PROJECT["project"]["entry-points"]["wordsight.commands"])
    for point in points:
        assert callable(point.load()), point


def test_the_bare_install_leaves_opencv_and_the_engine_to_the_board():
    names = {re.split(r"[<>=!~ \[;]", line)[0] for line in PROJECT["project"]["dependencies"]}
    assert names == {"numpy", "rich", "threadpoolctl", "typer"}


def test_every_dependency_has_a_floor_and_a_ceiling():
    project = PROJECT["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    lines += [line for group in PROJECT["dependency-groups"].values() for line in group]
    open_ended = [line for line in lines if not line.startswith("wordsight[") and not re.search(r">=[^,]+,<\d", line)]
    assert open_ended == []


@pytest.mark.parametrize("platform", ["aarch64-manylinux_2_31", "x86_64-manylinux_2_31"])
def test_the_bare_install_resolves_for_python_3_10_from_wheels_alone(platform: str, tmp_path: Path):
    # JetPack 6 has Python 3.10 on aarch64, and no compiler that a line engineer should need.
    resolved = subprocess.run(
        [
            sys.executable, "-m", "uv", "pip", "compile", str(ROOT / "pyproject.toml"), "--quiet", "--no-header",
            "--no-annotate", "--python-version", "3.10", "--python-platform", platform, "--only-binary", ":all:",
        ],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert resolved.returncode == 0, resolved.stderr
    names = {line.split("==")[0] for line in resolved.stdout.splitlines()}
    assert {"numpy", "rich", "typer"} <= names
    assert not names & {"torch", "onnxruntime", "onnx"}
    assert not any(name.startswith("opencv") for name in names)


@pytest.mark.parametrize("lock", ["requirements-dev.lock", "requirements-lean.lock", "requirements-peers.lock"])
def test_the_locks_pin_with_hashes_and_name_no_registry(lock: str):
    text = (ROOT / lock).read_text(encoding="utf-8")
    pins = re.findall(r"^[a-z0-9-]+==\S+.*(?:\\\n\s+--hash=sha256:[0-9a-f]{64} ?)+", text, re.MULTILINE)
    assert len(pins) == len(re.findall(r"^[a-z0-9-]+==", text, re.MULTILINE)) > 10
    assert "://" not in text


def test_the_namespace_symlinks_name_every_layer():
    links = {path.name: path.resolve() for path in (ROOT / "namespace" / "wordsight").iterdir()}
    assert links == {layer: ROOT / layer for layer in LAYERS}
