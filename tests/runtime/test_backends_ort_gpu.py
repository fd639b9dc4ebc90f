"""ONNX Runtime on a GPU, through a stand-in of its session: what is asked of it, and what happens when it will not."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from wordsight.runtime import MissingPart, Model, ModelError, read_manifest
from wordsight.runtime.backends import _best_provider
from wordsight.runtime.backends.base import buckets
from wordsight.runtime.backends.ort import OrtBackend
from wordsight.runtime.demo import demo_model
from wordsight.runtime.files import file_sha256

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


class Value:
    """A tensor of fixed address and shape."""

    def __init__(self, array):
        self.array = array

    def update_inplace(self, array):
        assert array.shape == self.array.shape
        assert array.dtype == self.array.dtype
        self.array[...] = array

    def numpy(self):
        return self.array.copy()


class Session:
    """Gives mean blue as s_pr and mean green as s_fnn; remembers how it was run."""

    def __init__(self, ort, path, options, providers):
        names = [entry if isinstance(entry, str) else entry[0] for entry in providers]
        given = dict(entry for entry in providers if not isinstance(entry, str))
        ort.asked.append(given)
        if ort.refuses_graphs and given.get(CUDA, {}).get("enable_cuda_graph") == "1":
            raise RuntimeError("This session cannot use the graph capture feature")
        self.ort, self.names = ort, [CPU] if ort.falls_back else names
        self.fallback = True

    def disable_fallback(self):
        self.fallback = False

    def get_providers(self):
        return self.names

    def run(self, outputs, feed):
        found = score(next(iter(feed.values())))
        return [found[name] for name in outputs]

    def io_binding(self):
        given, made = {}, {}
        return SimpleNamespace(
            given=given, made=made, bind_ortvalue_input=given.__setitem__, bind_ortvalue_output=made.__setitem__
        )

    def run_with_iobinding(self, binding, options):
        assert not self.fallback
        if self.ort.broken:
            raise RuntimeError("CUDA failure 209: no kernel image is available\nfor execution on the device")
        frames = binding.given["frames"].array
        self.ort.runs.append((len(frames), options.entries["gpu_graph_id"]))
        for name, value in score(frames).items():
            binding.made[name].array[...] = value


def score(frames):
    means = frames.mean((1, 2), dtype=np.float64).astype(np.float32)
    s_pr, s_fnn = means[:, 0] / 255, means[:, 1] / 255
    return {"score": s_pr + s_fnn, "s_pr": s_pr, "s_fnn": s_fnn, "embedding": means}


class Options(SimpleNamespace):
    def add_run_config_entry(self, key, value):
        self.entries = {key: value}


class FakeOrt:
    """What is used of the module."""

    __version__ = "9.9"
    SessionOptions = RunOptions = Options

    def __init__(self, falls_back=False, refuses_graphs=False, broken=False, providers=(CUDA, CPU)):
        self.falls_back, self.refuses_graphs, self.broken = falls_back, refuses_graphs, broken
        self.providers, self.asked, self.runs, self.made = list(providers), [], [], 0

    def get_available_providers(self):
        return self.providers

    def InferenceSession(self, path, options, providers):
        return Session(self, path, options, providers)

    @property
    def OrtValue(self):
        def new(shape, kind, device, number):
            assert device == "cuda"
            self.made += 1
            return Value(np.zeros(shape, kind))

        return SimpleNamespace(ortvalue_from_shape_and_type=new)


@pytest.fixture
def open_cuda(tiny_model):
    def run(ort, batch=4):
        return OrtBackend(tiny_model, read_manifest(tiny_model), provider="cuda", batch=batch, onnxruntime=ort)

    return run


def frames(count):
    return np.random.default_rng(count).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9])
def test_padding_and_splitting_change_no_score(open_cuda, count):
    with open_cuda(FakeOrt()) as backend:
        found = backend.infer(frames(count))
    for name, wanted in score(frames(count)).items():
        np.testing.assert_array_equal(found[name], wanted)


def test_every_batch_size_has_one_graph_and_one_set_of_buffers(open_cuda):
    ort = FakeOrt()
    with open_cuda(ort) as backend:
        made = ort.made  # for the warm-up of one frame: the input and four outputs
        for _ in range(3):
            backend.infer(frames(3))
    assert ort.runs == [(1, "1"), (4, "4"), (4, "4"), (4, "4")]
    assert made == 5
    assert ort.made == 10


def test_results_are_the_callers_own(open_cuda):
    with open_cuda(FakeOrt()) as backend:
        first = backend.infer(frames(2))["score"]
        backend.infer(255 - frames(2))
    np.testing.assert_array_equal(first, score(frames(2))["score"])


def test_fp32_stays_fp32_and_cuda_graphs_are_asked_for(open_cuda):
    ort = FakeOrt()
    backend = open_cuda(ort)
    assert ort.asked == [{CUDA: {"device_id": "0", "use_tf32": "0", "enable_cuda_graph": "1"}}]
    assert backend.reason == "asked for; CUDA graphs"


def test_a_file_that_cannot_be_captured_runs_without_graphs_and_says_so(open_cuda):
    ort = FakeOrt(refuses_graphs=True)
    backend = open_cuda(ort)
    assert len(ort.asked) == 2
    assert "enable_cuda_graph" not in ort.asked[1][CUDA]
    assert backend.reason == "asked for; without CUDA graphs: This session cannot use the graph capture feature"


def test_a_session_that_fell_back_to_the_processor_is_no_cuda(open_cuda):
    with pytest.raises(MissingPart, match="is listed, but the session fell back to CPUExecutionProvider") as caught:
        open_cuda(FakeOrt(falls_back=True))
    assert "wordsight[gpu]" in caught.value.install


def test_a_provider_that_fails_on_the_first_frame_is_found_out_at_once(open_cuda):
    with pytest.raises(ModelError, match="no kernel image is available for execution") as caught:
        open_cuda(FakeOrt(broken=True))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fault", [{"falls_back": True}, {"broken": True}])
def test_ort_takes_the_processor_then_and_says_why(tiny_model, fault):
    backend = _best_provider(tiny_model, read_manifest(tiny_model), 4, None, FakeOrt(**fault))
    assert backend.name == "onnxruntime 9.9 CPUExecutionProvider"
    assert backend.fallback.startswith("ort-cuda does not run here: ")
    assert backend.fallback in backend.reason


@pytest.mark.parametrize("bad", [False, True])
def test_run_warns_of_it_however_the_run_ends(wordsight, tiny_model, save_picture, tmp_path, monkeypatch, bad):
    parts = tmp_path / "parts"
    save_picture(parts / "good.png", 90)
    if bad:
        (parts / "bad.png").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "onnxruntime", FakeOrt(falls_back=True))
    done = wordsight("run", tiny_model, parts, "--backend", "ort")
    assert done.code == int(bad)
    assert "warning: ort-cuda does not run here: CUDAExecutionProvider is listed, but" in done.out
    assert not bad or len(done.lines) <= 8


def test_ort_takes_cuda_where_it_runs(tiny_model):
    backend = _best_provider(tiny_model, read_manifest(tiny_model), 4, None, FakeOrt())
    assert backend.name == "onnxruntime 9.9 CUDAExecutionProvider"
    assert backend.reason == "the best provider of ONNX Runtime that runs here; CUDA graphs"
    assert backend.fallback == ""


TENSORRT = "TensorrtExecutionProvider"


def test_the_tensorrt_provider_keeps_its_engines_in_a_folder_of_ours_alone(tiny_model):
    ort = FakeOrt(providers=(TENSORRT, CUDA, CPU))
    with OrtBackend(tiny_model, read_manifest(tiny_model), provider="tensorrt", batch=6, onnxruntime=ort) as backend:
        assert backend.name == "onnxruntime 9.9 TensorrtExecutionProvider"
        np.testing.assert_array_equal(backend.infer(frames(7))["score"], score(frames(7))["score"])
    (asked,) = ort.asked
    options = asked[TENSORRT]
    (folder,) = tiny_model.with_name("tiny.onnx.engines").iterdir()
    assert file_sha256(tiny_model)[:16] in folder.name
    assert options["trt_engine_cache_path"] == options["trt_timing_cache_path"] == str(folder)
    assert folder.stat().st_mode & 0o777 == folder.parent.stat().st_mode & 0o777 == 0o700
    shapes = [options[f"trt_profile_{which}_shapes"] for which in ("min", "opt", "max")]
    assert shapes == ["frames:1x8x8x3", "frames:4x8x8x3", "frames:6x8x8x3"]
    assert asked[CUDA]["use_tf32"] == "0"


def open_tensorrt_provider(path):
    ort = FakeOrt(providers=(TENSORRT, CUDA, CPU))
    OrtBackend(path, read_manifest(path), provider="tensorrt", onnxruntime=ort).close()
    return Path(ort.asked[0][TENSORRT]["trt_engine_cache_path"])


def test_graphs_can_be_kept_off(tiny_model):
    ort = FakeOrt()
    manifest = read_manifest(tiny_model)
    with OrtBackend(tiny_model, manifest, provider="cuda", onnxruntime=ort, graphs=False) as backend:
        assert backend.reason == "asked for; without CUDA graphs"
    assert [asked[CUDA].get("enable_cuda_graph") for asked in ort.asked] == [None]


def test_a_file_with_other_weights_finds_no_engine_of_the_old_ones(tiny_model):
    first = open_tensorrt_provider(tiny_model)
    (first / "kept.engine").write_bytes(b"")
    assert open_tensorrt_provider(tiny_model) == first
    assert (first / "kept.engine").exists()
    tiny_model.write_bytes(tiny_model.read_bytes() + b"\x72\x02\x0a\x00")  # one more, empty entry of metadata
    second = open_tensorrt_provider(tiny_model)
    assert [path.name for path in second.parent.iterdir()] == [second.name] != [first.name]
    assert list(second.iterdir()) == []


def test_and_is_not_shown_the_folder_when_another_could_have_written_there(tiny_model):
    folder = open_tensorrt_provider(tiny_model)
    (folder / "planted.engine").write_bytes(b"")
    (folder / "planted.engine").chmod(0o666)
    with pytest.raises(ModelError, match="open to other users"):
        open_tensorrt_provider(tiny_model)


def test_an_output_of_open_shape_is_refused(tiny_model, onnx_writer):
    shapes = {**onnx_writer.manifest().outputs, "embedding": ("N", 3), "patches": ("N", "P", 3)}
    manifest = onnx_writer.manifest(outputs=shapes)
    with pytest.raises(ModelError, match="patches has an open shape"):
        OrtBackend(tiny_model, manifest, provider="cuda", onnxruntime=FakeOrt())


def test_buckets_are_powers_of_two_and_the_most():
    assert buckets(1) == (1,)
    assert buckets(6) == (1, 2, 4, 6)
    assert buckets(32) == (1, 2, 4, 8, 16, 32)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["ort-cuda", "ort-tensorrt"])
def test_on_a_gpu_it_agrees_with_the_processor(name, tmp_path):
    path = tmp_path / "mini.onnx"
    path.write_bytes(demo_model().read_bytes())
    pictures = np.random.default_rng(0).integers(0, 256, (5, 96, 96, 3), dtype=np.uint8)
    try:
        gpu = Model(path, name)
    except MissingPart as error:
        pytest.skip(str(error))
    with gpu, Model(path, "ort-cpu") as cpu:
        for size in (1, 5, 1):
            wanted, got = cpu.score(pictures[:size]), gpu.score(pictures[:size])
            np.testing.assert_allclose(got.score, wanted.score, atol=1e-4)
