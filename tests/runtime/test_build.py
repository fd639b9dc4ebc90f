"""`wordsight build` with TensorRT for RTX's own parser and builder, ahead of time: neither needs a GPU or a driver."""

import inspect
import json
import re
import sys
from pathlib import Path

import pytest

from wordsight.runtime import ModelError, backends, read_manifest
from wordsight.runtime.backends.cuda import MEMBERS
from wordsight.runtime.backends.engine_files import engine_folder, known_key, read_engine
from wordsight.runtime.backends.tensorrt_build import batch_profile, build_engine, load_module
from wordsight.runtime.demo import demo_model


@pytest.fixture
def mini(tmp_path):
    path = tmp_path / "mini.onnx"
    path.write_bytes(demo_model().read_bytes())
    return path


@pytest.mark.tensorrt
def test_it_writes_an_engine_that_is_found_again_and_prints_where(wordsight, mini, tmp_path):
    done = wordsight("build", mini, "--backend", "tensorrt-rtx", "--target", "SM89", "--json", tmp_path / "b.json")
    assert done.code == 0, done.err
    (engine,) = engine_folder(mini).glob("*.engine")
    told = dict(line.split(None, 1) for line in done.out.splitlines() if not line.startswith(("built", "of the")))
    assert told["engine"] == str(engine)  # whole, on one line, however narrow the terminal
    key = known_key(engine)
    assert (key.module, key.gpu, key.capability, key.precision) == ("tensorrt_rtx", "any", "SM89", "fp32")
    assert key.profile == batch_profile(8) == (1, 4, 8)
    assert key.model_sha256 in done.out
    data = read_engine(engine_folder(mini), key)
    weights = mini.stat().st_size
    assert len(data) > 0.9 * weights
    figures = {item["name"]: item["value"] for item in json.loads((tmp_path / "b.json").read_text())["figures"]}
    assert figures["build.size"] == len(data)
    assert 0 < figures["build.seconds"] < 600


@pytest.mark.tensorrt
def test_auto_takes_the_module_that_knows_the_target(wordsight, mini):
    done = wordsight("build", mini, "--target", "sm120", "--batch", "3")
    assert done.code == 0, done.err
    (engine,) = engine_folder(mini).glob("*.engine")
    assert known_key(engine).capability == "SM120"
    assert known_key(engine).profile == (1, 1, 3)


@pytest.mark.tensorrt
@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--target", "SM99"], 2, "expected a target of SM75, .*SM120.*, got 'SM99'"),
        (["--backend", "openvino"], 2, "others need no engine"),
        (["--backend", "abacus"], 2, "expected tensorrt, tensorrt-rtx"),
        (["--backend", "ort-tensorrt", "--target", "SM89"], 2, "--target goes with tensorrt-rtx"),
        (["--batch", "0"], 2, "--batch"),
        (["--target", "SM89", "--json", "nowhere/b.json"], 2, "no such folder"),
    ],
)
def test_what_cannot_be_built_is_one_line(wordsight, mini, words, code, says):
    done = wordsight("build", mini, *words)
    assert done.code == code
    assert re.search(says, done.err), done.err
    assert len(done.lines) <= 8
    assert not engine_folder(mini).exists()


def test_a_backend_that_is_not_installed_is_exit_three_with_its_line(wordsight, mini, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    done = wordsight("build", mini, "--backend", "tensorrt")
    assert done.code == 3
    assert "pip install 'wordsight[tensorrt]'" in done.err or "apt install" in done.err


@pytest.mark.tensorrt
def test_without_a_gpu_it_asks_for_a_target(wordsight, mini, monkeypatch, trt_stand_in):
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", trt_stand_in.CudaRuntime(gpus=0))
    done = wordsight("build", mini, "--backend", "tensorrt-rtx")
    assert done.code == 3
    assert "name a target of SM75" in done.err


@pytest.mark.tensorrt
def test_a_real_build_that_runs_out_of_memory_says_so(monkeypatch):
    """The builder itself refuses when its scratch memory is smaller than what one of its steps asks for."""
    import tensorrt_rtx as trt

    manifest = read_manifest(demo_model())
    monkeypatch.setattr(trt.IBuilderConfig, "get_memory_pool_limit", lambda config, pool: 1 << 20)
    with pytest.raises(ModelError, match="not enough GPU memory to build an engine, with a workspace of 1 MiB"):
        build_engine(trt, demo_model().read_bytes(), manifest, batch_profile(8), "SM89")


@pytest.mark.tensorrt
def test_progress_of_a_real_build_reaches_the_end():
    import tensorrt_rtx as trt

    seen = []
    build_engine(
        trt, demo_model().read_bytes(), read_manifest(demo_model()), batch_profile(2), "SM86",
        on_progress=lambda share, what: seen.append(share),
    )  # fmt: skip
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert len(set(seen)) > 3


@pytest.mark.tensorrt
def test_a_file_that_is_no_model_is_refused_by_the_real_parser():
    with pytest.raises(ModelError, match="cannot parse the file") as caught:
        build_engine(load_module("tensorrt-rtx"), b"garbage", read_manifest(demo_model()), (1, 1, 1), "SM89")
    assert "\n" not in str(caught.value)


@pytest.mark.tensorrt
def test_every_member_that_the_code_names_is_in_the_real_module():
    """What is used of `trt.` is read out of the code itself; what is used of objects is listed here."""
    import tensorrt_rtx as trt

    folder = Path(inspect.getfile(backends)).parent
    code = "".join((folder / f"{name}.py").read_text() for name in ("tensorrt", "tensorrt_build", "tensorrt_cache"))
    named = set(re.findall(r"(?<![\w.])trt\.([A-Z]\w*(?:\.\w+)*|float32)", code))
    assert {"Builder", "OnnxParser", "Runtime", "MemoryPoolType.WORKSPACE", "BuilderFlag.TF32"} <= named
    for path in named:
        found = trt
        for part in path.split("."):
            found = getattr(found, part)
    objects = {
        "Builder": "create_network create_builder_config create_optimization_profile build_serialized_network",
        "IBuilderConfig": "add_optimization_profile clear_flag create_timing_cache get_memory_pool_limit "
        "get_timing_cache num_compute_capabilities progress_monitor set_compute_capability set_memory_pool_limit "
        "set_timing_cache",
        "IOptimizationProfile": "set_shape",
        "OnnxParser": "parse num_errors get_error",
        "Runtime": "deserialize_cuda_engine",
        "ICudaEngine": "create_execution_context get_tensor_dtype get_tensor_shape",
        "IExecutionContext": "execute_async_v3 is_stream_capturable set_input_shape set_tensor_address",
    }
    lacking = [f"{kind}.{name}" for kind, names in objects.items() for name in names.split()
               if not hasattr(getattr(trt, kind), name)]  # fmt: skip
    assert lacking == []


@pytest.mark.tensorrt
def test_rtx_differs_from_tensorrt_as_the_documentation_says():
    import tensorrt_rtx as trt

    config = trt.Builder(trt.Logger(trt.Logger.INTERNAL_ERROR)).create_builder_config()
    assert {"SM75", "SM80", "SM86", "SM89", "SM120", "CURRENT"} <= set(trt.ComputeCapability.__members__)
    assert hasattr(trt.IExecutionContext, "is_stream_capturable")
    assert hasattr(trt, "IRuntimeCache")
    assert not [name for name in trt.BuilderFlag.__members__ if name in ("FP16", "BF16", "INT8", "FP8")]
    assert config.get_flag(trt.BuilderFlag.TF32)  # on, unless it is cleared


@pytest.mark.tensorrt
def test_every_call_of_the_cuda_runtime_exists_and_no_other_is_made():
    runtime = pytest.importorskip("cuda.bindings.runtime", reason="pip install 'wordsight[rtx]'")
    code = Path(inspect.getfile(backends)).with_name("cuda.py").read_text()
    made = set(re.findall(r'_call\(\s*"(\w+)"', code)) | set(re.findall(r"_rt\.(\w+)", code))
    assert made == set(MEMBERS)
    assert [name for name in MEMBERS if not hasattr(runtime, name)] == []
