"""TensorRT's backend over stand-ins for its module and CUDA: the cache, what is rebuilt and said, graphs, memory."""

import json
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from wordsight.runtime import MissingPart, Model, ModelError, SettingError, read_manifest
from wordsight.runtime.backends.cuda import Cuda
from wordsight.runtime.backends.engine_files import EngineRefused, engine_folder, private_folder
from wordsight.runtime.backends.engine_lock import only_builder
from wordsight.runtime.backends.tensorrt_cache import build_into_cache, open_tensorrt, target_gpu, unready
from wordsight.runtime.demo import demo_model


def frames(count):
    return np.random.default_rng(count).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)


@pytest.fixture
def board(tiny_model, trt_stand_in):
    """A machine with a GPU: `.open()` opens the tiny model, `.said` is what people were told, `.trt` the module."""
    runtime = trt_stand_in.CudaRuntime()
    machine = SimpleNamespace(cuda=Cuda(runtime), runtime=runtime, said=[], path=tiny_model, scores=trt_stand_in.scores)
    machine.manifest = read_manifest(tiny_model)
    machine.folder = engine_folder(tiny_model)
    machine.trt = trt_stand_in.Module(runtime)
    machine.engines = lambda: sorted(machine.folder.glob("*.engine"))

    def start(batch=8, **changes):
        machine.said.clear()
        more = {"trt": machine.trt, "cuda": machine.cuda, "name": "tensorrt", **changes}
        name = more.pop("name")
        return open_tensorrt(name, tiny_model, machine.manifest, batch=batch, on_step=machine.said.append, **more)

    machine.open = start
    machine.update = lambda **changes: trt_stand_in.Module(runtime, **changes)
    return machine


def test_the_first_start_builds_and_says_so_and_the_second_takes_the_engine(board):
    with board.open() as backend:
        assert backend.name == "tensorrt 10.3.0 Test GPU"
        assert "engine built in" in backend.reason
        assert board.said == ["building an engine with tensorrt for Test GPU (no engine yet); this can take minutes"]
    with board.open() as backend:
        assert "engine from the cache" in backend.reason
        assert board.said == []
    assert len(board.trt.builds) == 1


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 9, 19])
def test_scores_of_any_number_of_frames_in_order(board, count):
    with board.open() as backend:
        for _ in range(3):  # plain, captured, replayed
            found = backend.infer(frames(count))
            for name, wanted in board.scores(frames(count)).items():
                np.testing.assert_array_equal(found[name], wanted)


def test_results_are_the_callers_own(board):
    with board.open() as backend:
        first = backend.infer(frames(2))["score"]
        backend.infer(255 - frames(2))
    np.testing.assert_array_equal(first, board.scores(frames(2))["score"])


def test_a_graph_is_captured_after_one_plain_run_and_then_replayed(board):
    with board.open() as backend:
        assert backend.graphs == "CUDA graphs"
        before = board.runtime.launches
        backend.infer(frames(3))
        assert board.runtime.launches == before
        for _ in range(3):
            backend.infer(frames(3))
        assert board.runtime.launches == before + 3
        assert board.runtime.graphs == 2  # one for single frames, from the warm-up, and one for four


def test_graphs_can_be_kept_off(board):
    with board.open(graphs=False) as backend:
        assert "without CUDA graphs, as asked" in backend.reason
        for _ in range(3):
            found = backend.infer(frames(3))
    assert (board.runtime.launches, board.runtime.graphs) == (0, 0)
    np.testing.assert_array_equal(found["score"], board.scores(frames(3))["score"])


def test_an_engine_that_cannot_be_captured_runs_without_graphs_and_says_so(board):
    board.runtime.fails = {"cudaGraphInstantiate"}
    with board.open() as backend:
        assert "without CUDA graphs: cudaGraphInstantiate failed: out of memory" in backend.reason
        found = backend.infer(frames(2))
    np.testing.assert_array_equal(found["score"], board.scores(frames(2))["score"])


def test_closing_gives_everything_back(board):
    backend = board.open()
    backend.infer(frames(3))
    backend.infer(frames(3))
    backend.close()
    backend.close()
    del backend
    assert (len(board.runtime.blocks), board.runtime.graphs, board.runtime.streams) == (0, 0, 0)


def test_nor_one_that_fails_while_it_is_recorded(board):
    board.trt.capture_fails = True
    with board.open() as backend:
        assert "without CUDA graphs: tensorrt failed on 1 frames: Error Code 1" in backend.reason
        for _ in range(3):
            found = backend.infer(frames(2))
    np.testing.assert_array_equal(found["score"], board.scores(frames(2))["score"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("version", "the engine there is for version 10.3.0, here 10.7.0"),
        ("gpu", "the engine there is for gpu Test GPU, here Other GPU"),
        ("model", "the engine there is for model_sha256 "),
        ("cut", "half-written"),
        ("no sidecar", "half-written: its sidecar is missing"),
        ("open", "open to other users"),
    ],
)
def test_an_engine_that_does_not_fit_is_never_loaded_but_built_anew_and_said(board, change, told):
    board.open().close()
    (engine,) = board.engines()
    planted = engine.read_bytes() + b" "  # valid for the stand-in, too: loading it would go unnoticed otherwise
    if change == "version":
        board.trt = board.update(version="10.7.0")
    elif change == "gpu":
        board.runtime.name = b"Other GPU"
    elif change == "model":
        board.path.write_bytes(board.path.read_bytes() + b"\x72\x02\x0a\x00")  # one more, empty entry of metadata
    elif change == "no sidecar":
        engine.with_name(engine.name + ".json").unlink()
    elif change == "open":
        engine.chmod(0o666)
    else:
        engine.write_bytes(planted)
    board.trt.loaded.clear()
    with board.open() as backend:
        assert "engine built in" in backend.reason
        assert told in backend.reason
    assert told in board.said[0]
    assert len(board.trt.loaded) == 1
    assert planted not in board.trt.loaded
    with board.open() as backend:
        assert "engine from the cache" in backend.reason


def test_an_engine_that_tensorrt_no_longer_takes_is_built_anew_once(board):
    board.open().close()
    (engine,) = board.engines()
    stale = json.dumps({"profile": [1, 4, 8], "version": "of an older driver"}).encode()
    from wordsight.runtime.backends.engine_files import known_key, write_engine

    write_engine(board.folder, known_key(engine), stale, {})
    with board.open() as backend:
        assert "does not take the engine: The engine plan file is not compatible" in backend.reason
        assert "engine built in" in backend.reason


def test_a_process_that_waited_for_another_ones_build_takes_its_engine(board):
    waiting, opened = threading.Event(), []

    class Said(list):
        def append(self, line):
            list.append(self, line)
            waiting.set()

    def second():
        board.said = Said()
        with open_tensorrt(
            "tensorrt", board.path, board.manifest, trt=board.trt, cuda=board.cuda, on_step=board.said.append
        ) as backend:
            opened.append(backend.reason)

    folder = private_folder(board.folder)
    with only_builder(folder) as waited:
        assert not waited
        thread = threading.Thread(target=second, daemon=True)
        thread.start()
        assert waiting.wait(60)
        build_into_cache(board.trt, board.cuda.gpu(), board.path, board.manifest, 8)
    thread.join(60)
    assert board.said == [f"another process is building an engine into {folder.name}; waiting for it"]
    assert "built by another process meanwhile" in opened[0]
    assert len(board.trt.builds) == 1


def test_and_builds_itself_where_the_other_one_gave_up(board):
    waiting, opened = threading.Event(), []

    def second():
        opened.append(
            open_tensorrt(
                "tensorrt", board.path, board.manifest, trt=board.trt, cuda=board.cuda,
                on_step=lambda line: waiting.set(),
            ).reason
        )  # fmt: skip

    with only_builder(private_folder(board.folder)):
        thread = threading.Thread(target=second, daemon=True)
        thread.start()
        assert waiting.wait(60)
        assert not board.trt.builds
    thread.join(60)
    assert "engine built in" in opened[0]


def test_a_folder_that_others_may_enter_is_refused_before_anything_is_built(board):
    board.folder.mkdir()
    board.folder.chmod(0o755)
    with pytest.raises(EngineRefused, match="open to other users"):
        board.open()
    assert board.trt.builds == []


def test_less_workspace_is_tried_when_memory_runs_out(board):
    board.trt.has = 1 << 28
    with board.open() as backend:
        assert "engine built" in backend.reason
    assert board.trt.builds[-1].workspace == 1 << 28
    assert len(board.trt.builds) == 3


def test_and_when_that_is_not_enough_the_error_says_what_to_do(board):
    board.trt.has = 0
    with pytest.raises(ModelError, match=r"not enough GPU memory.*8192 MiB, 1024 MiB, 256 MiB.*--batch 1") as caught:
        board.open()
    assert "\n" not in str(caught.value)
    assert board.engines() == []


def test_a_file_the_parser_refuses_is_one_line(board):
    board.trt.parse_fails = True
    with pytest.raises(ModelError, match="cannot parse the file: first input has type UInt8 but must have") as caught:
        board.open()
    assert "\n" not in str(caught.value)


def test_an_interrupted_build_leaves_nothing_and_is_an_interruption(board):
    def interrupt(share, what):
        raise KeyboardInterrupt

    gpu = board.cuda.gpu()
    with pytest.raises(KeyboardInterrupt):
        build_into_cache(board.trt, gpu, board.path, board.manifest, 8, on_progress=interrupt)
    assert board.engines() == []


def test_progress_goes_from_nothing_to_all(board):
    seen = []
    gpu = board.cuda.gpu()
    build_into_cache(board.trt, gpu, board.path, board.manifest, 8, on_progress=lambda *step: seen.append(step))
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert {"Timing tactics"} < {what for _, what in seen}


def test_precision_is_the_files_own(board):
    board.open().close()
    (config,) = board.trt.builds
    assert config.network_flags == 1 << 1  # strongly typed
    assert config.cleared == ["TF32"]


def test_a_module_without_the_flag_is_asked_for_no_flag(board):
    board.trt = board.update(version="11.5.0", strongly_typed=False)
    board.open().close()
    assert board.trt.builds[0].network_flags == 0


def test_timings_are_kept_for_the_next_build_and_only_if_they_are_ours(board):
    gpu = board.cuda.gpu()
    for _ in range(2):
        build_into_cache(board.trt, gpu, board.path, board.manifest, 8)
    (timings,) = board.folder.glob("timings-*.cache")
    assert timings.read_bytes() == b"+timed+timed"
    assert timings.stat().st_mode & 0o777 == 0o600
    timings.chmod(0o666)
    build_into_cache(board.trt, gpu, board.path, board.manifest, 8)
    assert timings.read_bytes() == b"+timed"


def test_an_engine_for_larger_batches_serves_smaller_ones_and_is_not_built_twice(board):
    build_into_cache(board.trt, board.cuda.gpu(), board.path, board.manifest, 16)
    with board.open(batch=4) as backend:
        assert "engine from the cache" in backend.reason
        found = backend.infer(frames(16))
    np.testing.assert_array_equal(found["score"], board.scores(frames(16))["score"])
    assert len(board.trt.builds) == 1


def test_without_a_gpu_it_is_exit_three(board):
    board.runtime.gpus = 0
    with pytest.raises(MissingPart, match="no NVIDIA GPU that runs here") as caught:
        board.open()
    assert caught.value.exit_code == 3


def test_no_memory_for_a_context_is_said(board):
    board.open().close()
    board.trt.context_fails = True
    with pytest.raises(ModelError, match="not enough GPU memory for batches of 1: Requested amount"):
        board.open()


def test_no_memory_for_buffers_is_said_and_what_was_taken_is_given_back(board):
    board.open().close()
    board.runtime.fails = {"cudaMalloc"}
    board.runtime.cudaHostAlloc = lambda size, flags: type(board.runtime).cudaMalloc(board.runtime, size)
    with pytest.raises(ModelError, match="cudaMalloc failed: out of memory"):
        board.open()
    assert board.runtime.streams == 0


def test_a_failing_run_is_said_and_closes(board):
    board.open().close()
    board.trt.run_fails = True
    with pytest.raises(ModelError, match="tensorrt failed on 1 frames: Error Code 1: Cuda Runtime"):
        board.open()
    assert board.runtime.streams == 0


def test_outputs_of_another_type_are_refused(board):
    board.trt.output_type = board.trt.float16
    with pytest.raises(ModelError, match=r"should be float32, the engine gives DataType\.HALF"):
        board.open()


def test_auto_waits_for_no_build_and_says_which_line_makes_one(board):
    def ask():
        return unready("tensorrt", board.path, board.manifest, trt=board.trt, cuda=board.cuda)

    assert ask() == "not tried, no engine yet: wordsight build tiny.onnx --backend tensorrt"
    board.open().close()
    assert ask() == ""
    board.engines()[0].chmod(0o666)
    assert "open to other users" in ask()
    board.runtime.gpus = 0
    assert ask() == "not tried, no NVIDIA GPU that runs here"


@pytest.fixture
def rtx(board):
    board.trt = board.update(name="tensorrt_rtx", version="1.7.1", ahead_of_time=True)
    return board


def test_rtx_builds_for_the_gpus_capability_and_names_no_gpu(rtx):
    rtx.open(name="tensorrt-rtx").close()
    (config,) = rtx.trt.builds
    assert (config.target, config.num_compute_capabilities) == (89, 1)
    rtx.runtime.name = b"Another Ada GPU"
    with rtx.open(name="tensorrt-rtx") as backend:
        assert "engine from the cache" in backend.reason


def test_rtx_takes_an_engine_built_ahead_for_this_capability(rtx):
    build_into_cache(rtx.trt, target_gpu(rtx.trt, "tensorrt-rtx", "sm89"), rtx.path, rtx.manifest, 8)
    with rtx.open(name="tensorrt-rtx") as backend:
        assert "engine from the cache" in backend.reason


def test_rtx_builds_for_the_current_gpu_where_its_capability_has_no_name(rtx):
    rtx.runtime.capability = (9, 0)
    rtx.open(name="tensorrt-rtx").close()
    assert rtx.trt.builds[0].target == 1


def test_targets_are_for_rtx_alone_and_only_those_it_knows(board, rtx):
    with pytest.raises(SettingError, match="expected a target of SM86, SM89, got 'SM99'"):
        target_gpu(rtx.trt, "tensorrt-rtx", "SM99")
    with pytest.raises(SettingError, match="builds for the GPU it runs on alone"):
        target_gpu(board.update(), "tensorrt", "SM89")


@pytest.mark.parametrize(
    ("precision", "capability", "least", "others"),
    [("fp8", (8, 6), "8.9", "fp32, fp16, int8 and bf16"), ("bf16", (7, 5), "8.0", "fp32, fp16 and int8")],
)
def test_on_the_gpu_at_hand_too_and_what_it_has_is_named(board, onnx_writer, precision, capability, least, others):
    board.runtime.capability = capability
    manifest = onnx_writer.manifest(precision=precision)
    with pytest.raises(SettingError, match=rf"{precision} needs .* {least} or later, got SM.*; {others} files run"):
        build_into_cache(board.trt, board.cuda.gpu(), board.path, manifest, 8)
    assert board.trt.builds == []


@pytest.mark.parametrize(("precision", "target"), [("fp8", "SM86"), ("fp8", "SM80")])
def test_a_precision_the_gpu_lacks_is_one_line_that_says_which_has_it(rtx, onnx_writer, precision, target):
    rtx.trt.ComputeCapability.__members__[target] = 0
    manifest = onnx_writer.manifest(precision=precision)
    with pytest.raises(
        SettingError, match=rf"{precision} needs a GPU of compute capability 8\.\d or later, got {target}"
    ):
        build_into_cache(rtx.trt, target_gpu(rtx.trt, "tensorrt-rtx", target), rtx.path, manifest, 8)
    assert rtx.trt.builds == []


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["tensorrt", "tensorrt-rtx"])
def test_on_a_gpu_it_agrees_with_the_processor(name, tmp_path):
    path = tmp_path / "mini.onnx"
    path.write_bytes(demo_model().read_bytes())
    pictures = np.random.default_rng(0).integers(0, 256, (11, 96, 96, 3), dtype=np.uint8)
    try:
        gpu = Model(path, name)
    except MissingPart as error:
        pytest.skip(str(error))
    with gpu, Model(path, "ort-cpu") as cpu:
        for size in (1, 11, 3, 1):
            wanted, got = cpu.score(pictures[:size]), gpu.score(pictures[:size])
            np.testing.assert_allclose(got.score, wanted.score, atol=1e-4)
    with Model(path, name) as again:
        assert "engine from the cache" in again.backend_reason
