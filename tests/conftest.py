"""What tests of several rooms share."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from wordsight.runtime.backends import auto
from wordsight.runtime.cli import main

# What a shell started in the background ignores Ctrl-C, and so would every command that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
# gRPC, once loaded, minds every fork, and aborts some children before they become the command that a test runs.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

ROOT = Path(__file__).parents[1]
PARTS = {
    "basler": ("pypylon", "pip install 'wordsight[basler]'"),
    "openvino": ("openvino", "pip install 'wordsight[openvino]'"),
    "tensorrt": ("tensorrt_rtx", "pip install 'wordsight[rtx]'"),
}
"""A marker's real part: its module, and the line that brings it."""
SCALE = {
    "pyarrow": "pip install 'wordsight[archive]'",
    "ray": "pip install 'wordsight[archive]'",
    "s3fs": "pip install 'wordsight[archive]'",
    "moto": "pip install 'moto[server]'",
}
"""Arguments of the marker `scale`: modules, and the line that brings each."""
BROKER = ("mosquitto", "openssl")
RTSP_SERVER = (
    "/usr/bin/python3",
    "-c",
    "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0')\n"
    "from gi.repository import Gst, GstRtspServer; Gst.init(None); assert Gst.ElementFactory.find('x264enc')",
)
RTSP_INSTALL = (
    "apt-get install gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base gstreamer1.0-plugins-good "
    "gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly"
)


@functools.cache
def serves_rtsp() -> bool:
    """Say whether the system's own Python has GStreamer's RTSP server."""
    try:
        return subprocess.run(RTSP_SERVER, capture_output=True, timeout=60, check=False).returncode == 0
    except OSError:
        return False


def _by_place(place: Path) -> ModuleType:
    """Load a module by its place: the tests are no package."""
    spec = importlib.util.spec_from_file_location(place.stem, place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(place.stem, module)
    spec.loader.exec_module(module)
    return module


_MATRIX = _by_place(Path(__file__).with_name("fault_matrix.py"))
told = _MATRIX.told
_TWO = _by_place(Path(__file__).with_name("two_environments.py"))


def pytest_configure(config: pytest.Config) -> None:
    # Debian keeps servers such as mosquitto where a plain user's path does not lead.
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])
    config.pluginmanager.register(_MATRIX.FaultMatrix(), "fault matrix")
    config.pluginmanager.register(_TWO.TwoEnvironments(), "two environments")


def pytest_unconfigure() -> None:
    left = [one.name for one in threading.enumerate() if one is not threading.main_thread() and not one.daemon]
    if left:  # Python waits for them, however long; a test that leaves one behind is to be mended
        print(f"\nthreads that tests left behind, and that may keep this run from ending: {', '.join(left)}")


def pytest_addoption(parser: pytest.Parser) -> None:
    _TWO.add_options(parser)
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
    for mark in item.iter_markers("plant"):
        if mark.args and importlib.util.find_spec(mark.args[0]) is None:
            pytest.skip(f"needs {mark.args[0]}: pip install 'wordsight[{mark.args[1]}]'")
    for mark in item.iter_markers("scale"):
        for part in mark.args:
            if part in SCALE and importlib.util.find_spec(part) is None:
                pytest.skip(f"needs {part}: {SCALE[part]}")
    if any("triton" in mark.args for mark in item.iter_markers("scale")):
        from wordsight.benchmarks.scale.triton_server import lacks

        if told := lacks():
            pytest.skip(f"needs a Triton server: {told}")
    if item.get_closest_marker("broker") is not None and None in map(shutil.which, BROKER):
        pytest.skip(f"needs an MQTT broker: apt-get install {' '.join(BROKER)}")
    if item.get_closest_marker("rtsp") is not None and not serves_rtsp():
        pytest.skip(f"needs GStreamer's RTSP server: {RTSP_INSTALL}")


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
def fault_matrix() -> ModuleType:
    """The module of the plug-in that prints the fault matrix."""
    return _MATRIX


@pytest.fixture(scope="session")
def trt_stand_in() -> ModuleType:
    """The module with stand-ins for TensorRT and CUDA, loaded by its place: the tests are no package."""
    return _by_place(Path(__file__).parent / "runtime" / "trt_stand_in.py")


@pytest.fixture(scope="session")
def written_graphs(tmp_path_factory: pytest.TempPathFactory):
    """Stands in for `build_graph`, which takes seconds: a graph that torch wrote once a session is read back."""
    from wordsight.export.graph import build_graph

    module = _by_place(Path(__file__).parent / "export" / "written.py")
    return module.Written(build_graph, tmp_path_factory.mktemp("graphs"))


@pytest.fixture(scope="module")
def graphs_written_once(written_graphs):
    """Exports of a module ask what becomes of a graph: torch writes it once for all of them."""
    from wordsight.export import onnx as export_onnx

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_onnx, "build_graph", written_graphs)
        yield


@pytest.fixture(scope="session")
def small_vit(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], str]:
    """Name of a vision transformer of so many blocks that open_clip then knows: 56 px, a grid of 7 x 7."""
    import open_clip

    def name(layers: int) -> str:
        vision = {"image_size": 56, "layers": layers, "width": 48, "head_width": 16, "patch_size": 8}
        text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
        path = tmp_path_factory.mktemp("configs") / f"ViT-of-{layers}-blocks.json"
        path.write_text(json.dumps({"embed_dim": 32, "vision_cfg": vision, "text_cfg": text}), encoding="utf-8")
        open_clip.add_model_config(path)
        return path.stem

    return name


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
