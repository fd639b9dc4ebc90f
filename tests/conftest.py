"""What tests of several rooms share."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from wordsight.runtime.backends import auto
from wordsight.runtime.cli import main

ROOT = Path(__file__).parents[1]
PARTS = {
    "openvino": ("openvino", "pip install 'wordsight[openvino]'"),
    "tensorrt": ("tensorrt_rtx", "pip install 'wordsight[rtx]'"),
}
"""A marker's real part: its module, and the line that brings it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips", action="store_true", help="A test that skips fails, unless it is marked gpu: CI has every part."
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    text = ROOT.parent / "shared" / "paper"
    gone = [item for item in items if item.get_closest_marker("paper_text") is not None and not text.is_dir()]
    if gone:
        config.hook.pytest_deselected(items=gone)
        items[:] = [item for item in items if item not in gone]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, (module, install) in PARTS.items():
        if item.get_closest_marker(marker) is not None and importlib.util.find_spec(module) is None:
            pytest.skip(f"needs {module}: {install}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.skipped and item.config.getoption("--no-skips") and item.get_closest_marker("gpu") is None:
        report.outcome, report.longrepr = "failed", f"skipped where nothing but gpu may: {report.longrepr[2]}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    report = yield
    if report.skipped and collector.config.getoption("--no-skips"):  # a whole file, by importorskip at its top
        report.outcome, report.longrepr = "failed", f"skipped where nothing but gpu may: {report.longrepr[2]}"
    return report


@pytest.fixture(scope="module", autouse=True)
def one_engine(request: pytest.FixtureRequest):
    """Scores that are held to 1e-6 must come from one engine, whatever `auto` finds quickest on a busy machine.

    Engines agree to 1e-4, and those of the runtime have tests of their own.
    """
    if not {"export", "benchmarks"} & set(request.path.parts):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auto, "candidates", lambda path, manifest: ())
        yield


@pytest.fixture(scope="session")
def trt_stand_in() -> ModuleType:
    """The module with stand-ins for TensorRT and CUDA, loaded by its place: the tests are no package."""
    place = Path(__file__).parent / "runtime" / "trt_stand_in.py"
    spec = importlib.util.spec_from_file_location("trt_stand_in", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("trt_stand_in", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """Run a command that must fail; gives what it said, having checked what holds for every failure."""

    def check(code: int, *words: object) -> str:
        before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        told = "".join(capfd.readouterr())
        assert end.value.code == code, told
        assert 1 <= len(told.splitlines()) <= 8, told
        assert "Traceback" not in told
        assert "mistake of ours" not in told
        assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
        return " ".join(told.split())

    return check
