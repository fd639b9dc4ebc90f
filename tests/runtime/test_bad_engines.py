"""Bad input of engines by the real command and the real builder: one line, and nothing half done is left behind.

Loading engines needs a GPU; what happens to those of other GPUs, versions and models there: test_backends_tensorrt.py.
"""

import json

import numpy as np
import pytest

from wordsight.runtime import Model
from wordsight.runtime.backends.engine_files import EngineRefused, engine_folder, known_key, read_engine

rtx = pytest.mark.parametrize("backend", [pytest.param("tensorrt-rtx", marks=pytest.mark.tensorrt)])


@pytest.fixture
def build(wordsight, tiny_model):
    """Build the tiny model's engine with the real builder: options -> what the command said."""

    def call(*words):
        return wordsight("build", tiny_model, "--backend", "tensorrt-rtx", "--batch", 2, *words)

    return call


def engines(model):
    return sorted(engine_folder(model).glob("*.engine"))


@rtx
@pytest.mark.parametrize("target", ["SM80", "SM86"])
def test_fp8_for_a_gpu_without_it_is_one_line_that_says_what_runs_there(
    build, backend, tiny_model, onnx_writer, target
):
    tiny_model.write_bytes(onnx_writer.fp8_model())
    done = build("--target", target)
    assert done.code == 2
    assert len(done.lines) == 1
    assert f"fp8 needs a GPU of compute capability 8.9 or later, got {target}" in done.err
    assert "fp32, fp16, int8 and bf16 files run there" in done.err
    assert engines(tiny_model) == []


@rtx
def test_rtx_on_turing_is_one_line_that_says_what_runs_there(build, backend, tiny_model):
    done = build("--target", "SM75")
    assert done.code == 2
    assert len(done.lines) == 1
    assert "multiplies no fp32 matrices on SM75 (Turing)" in done.err
    assert "use tensorrt or ort-cuda there" in done.err
    assert engines(tiny_model) == []


@rtx
@pytest.mark.parametrize(("precision", "target"), [("fp8", "SM89"), ("fp8", "SM120"), ("bf16", "SM80")])
def test_and_one_that_has_it_gets_its_engine(build, backend, tiny_model, onnx_writer, precision, target):
    tiny_model.write_bytes(getattr(onnx_writer, f"{precision}_model")())
    done = build("--target", target)
    assert done.code == 0, done.err
    assert known_key(engines(tiny_model)[0]).precision == precision


@rtx
def test_an_engine_of_another_model_is_replaced_by_the_next_build(build, backend, tiny_model, onnx_writer):
    assert build("--target", "SM89").code == 0
    (old,) = engines(tiny_model)
    tiny_model.write_bytes(b"".join(onnx_writer.model_parts(onnx_writer.manifest(training={"lr": 2e-3}).to_json())))
    assert build("--target", "SM89").code == 0
    (new,) = engines(tiny_model)
    assert new.name != old.name
    assert not old.with_name(old.name + ".json").exists()


@rtx
@pytest.mark.parametrize("harm", ["cut", "no sidecar", "cut sidecar"])
def test_a_half_written_engine_is_refused_and_the_next_build_mends_it(build, backend, tiny_model, harm):
    assert build("--target", "SM89").code == 0
    (engine,) = engines(tiny_model)
    key = known_key(engine)
    sidecar = engine.with_name(engine.name + ".json")
    if harm == "no sidecar":
        sidecar.unlink()
    else:
        hurt = engine if harm == "cut" else sidecar
        hurt.write_bytes(hurt.read_bytes()[:-100])
    with pytest.raises(EngineRefused, match="half-written"):
        read_engine(engine_folder(tiny_model), key)
    assert build("--target", "SM89").code == 0
    assert read_engine(engine_folder(tiny_model), key) == engine.read_bytes()


@rtx
def test_engines_of_two_gpus_lie_side_by_side(build, backend, tiny_model):
    for target in ("SM86", "SM89"):
        assert build("--target", target).code == 0
    assert sorted(known_key(path).capability for path in engines(tiny_model)) == ["SM86", "SM89"]


@rtx
def test_an_engine_of_another_version_is_never_taken(build, backend, tiny_model):
    assert build("--target", "SM89").code == 0
    (engine,) = engines(tiny_model)
    sidecar = engine.with_name(engine.name + ".json")
    key = known_key(engine)
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), "version": "0.9"}))
    with pytest.raises(EngineRefused, match=r"was built for version 0\.9, here "):
        read_engine(engine_folder(tiny_model), key)


@rtx
def test_out_of_memory_while_building_tries_less_and_then_says_so(build, backend, tiny_model, monkeypatch):
    """The workspace is really set to each size in turn; that the builder wants more than it has is planted."""
    import tensorrt_rtx as trt

    sizes = []
    real = trt.IBuilderConfig.set_memory_pool_limit
    monkeypatch.setattr(trt.IBuilderConfig, "get_memory_pool_limit", lambda config, pool: 8 << 30)
    monkeypatch.setattr(
        trt.IBuilderConfig, "set_memory_pool_limit", lambda *given: (sizes.append(given[2]), real(*given))
    )

    def starved(builder, network, config):
        raise MemoryError

    monkeypatch.setattr(trt.Builder, "build_serialized_network", starved)
    done = build("--target", "SM89")
    assert done.code == 2
    assert sizes == [8 << 30, 1 << 30, 1 << 28]
    assert "not enough GPU memory to build an engine, with a workspace of 8192 MiB, 1024 MiB, 256 MiB" in done.err
    assert "--batch 1" in done.err
    assert len(done.lines) == 1
    assert engines(tiny_model) == []


def test_fp8_on_a_processor_gives_the_scores_of_fp8(tmp_path, onnx_writer):
    pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")
    path = tmp_path / "fp8.onnx"
    path.write_bytes(onnx_writer.fp8_model())
    with Model(path, "ort-cpu") as model:
        got = model.score(np.full((1, 8, 8, 3), (51, 102, 0), np.uint8))
    # 51 and 102 are 89.6 and 179.2 in steps of 255 / 448; fp8 has 88 and 176 there, by its three bits of mantissa.
    assert got.score[0] == pytest.approx((88 + 176) / 448, abs=1e-6)
    assert got.s_pr[0] == pytest.approx(0.2, abs=1e-6)


def test_bf16_on_onnxruntime_is_one_line_of_the_command_that_says_who_runs_it(
    wordsight, tmp_path, onnx_writer, save_picture
):
    pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")
    path = tmp_path / "bf16.onnx"
    path.write_bytes(onnx_writer.bf16_model())
    done = wordsight("run", path, save_picture(tmp_path / "a.png", 90), "--backend", "ort-cpu")
    assert done.code == 2
    assert "bf16 files run on: openvino, tensorrt, tensorrt-rtx, ort-cuda" in done.err
    assert len(done.lines) == 1
