"""What `wordsight triton` writes, served by a real Triton server: the python variant, over both protocols."""

import contextlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from wordsight.runtime import Model, WordsightError
from wordsight.runtime.demo import demo_model
from wordsight.runtime.golden import golden_frame, golden_spec
from wordsight.runtime.manifest import HeadSpec, Manifest

pytestmark = pytest.mark.scale("triton")
NAMES = ("score", "s_pr", "s_fnn", "embedding", "s_fnn_seeds")


@pytest.fixture
def place(tmp_path):
    return tmp_path / "models"


@pytest.fixture
def client():
    """A client of a server: (server, "grpc" or "http") -> infer(frames, names), and the module's own client."""
    made = []

    def connect(server, protocol):
        module = pytest.importorskip(f"tritonclient.{protocol}", reason="pip install 'wordsight[remote]'")
        own = module.InferenceServerClient(getattr(server, protocol))
        made.append(own)

        def infer(frames, names=NAMES, model="mini", **more):
            given = module.InferInput("frames", list(frames.shape), "UINT8")
            given.set_data_from_numpy(frames)
            found = own.infer(model, [given], outputs=[module.InferRequestedOutput(name) for name in names], **more)
            return {name: found.as_numpy(name) for name in names}

        return SimpleNamespace(infer=infer, own=own)

    yield connect
    for one in made:
        one.close()


def frames(count, side=96, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.fixture
def tiny(tmp_path, onnx_writer):
    """Write a tiny model whose golden frame scores so much more than it does: (off, changes) -> path."""

    def write(off=0.0, **changes):
        frame = golden_frame(8, 8).astype(np.float64)
        blue, green = frame[..., 0].mean() / 255, frame[..., 1].mean() / 255
        golden = golden_spec([blue + green + off, blue, green], parity=1e-5, drift=0.0)
        path = tmp_path / "tiny.onnx"
        path.write_bytes(b"".join(onnx_writer.model_parts(onnx_writer.manifest(golden=golden, **changes).to_json())))
        return path

    return write


def test_scores_equal_local_ones_bit_for_bit_over_both_protocols(wordsight, place, triton_server, client):
    import onnxruntime

    assert wordsight("triton", demo_model(), "-o", place, "--kind", "python").code == 0
    server = triton_server(place)
    assert f"wordsight: onnxruntime {onnxruntime.__version__} CPUExecutionProvider" in server.told()
    clients = [client(server, protocol) for protocol in ("grpc", "http")]
    with Model(demo_model(), backend="ort-cpu") as model:
        for count in (1, 7):
            local = model.score(frames(count))
            for served in clients:
                found = served.infer(frames(count))
                for name in NAMES:
                    wanted = getattr(local, name)
                    # Scores come as (N, 1), since Triton has no outputs without an axis of their own.
                    assert found[name].shape == (wanted.shape if wanted.ndim > 1 else (count, 1))
                    np.testing.assert_array_equal(found[name].reshape(wanted.shape), wanted)
    told = clients[0].own.get_model_config("mini", as_json=True)["config"]["parameters"]
    assert Manifest.from_json(told["wordsight"]["string_value"]) == model.manifest


def test_frames_of_many_clients_share_a_pass_and_each_gets_its_own_scores(wordsight, place, triton_server, client):
    words = ["--kind", "python", "--batch", "8", "--delay-ms", "200"]
    assert wordsight("triton", demo_model(), "-o", place, *words).code == 0
    served = client(triton_server(place), "grpc")
    given = frames(24)
    with Model(demo_model(), backend="ort-cpu") as model:
        wanted = model.score(given).score

    def counted():
        told = served.own.get_inference_statistics("mini", as_json=True)["model_stats"][0]
        return int(told["inference_count"]), int(told["execution_count"])

    assert counted() == (1 + 8, 2)  # it has warmed up, with one frame and with as many as it takes
    together = threading.Barrier(12)

    def line(index):
        together.wait(60)
        return [served.infer(given[one : one + 1], ["score"])["score"].item() for one in (index, index + 12)]

    with ThreadPoolExecutor(12) as pool:
        found = np.array(list(pool.map(line, range(12)))).T.ravel()
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    scored, passes = counted()
    assert scored - 9 == 24
    assert passes - 2 < 24


def test_only_what_is_asked_for_is_sent_and_bad_frames_are_refused(wordsight, place, triton_server, client):
    assert wordsight("triton", demo_model(), "-o", place, "--kind", "python", "--batch", "4").code == 0
    served = client(triton_server(place), "grpc")
    assert set(served.infer(frames(2), ["embedding"])) == {"embedding"}
    for wrong in (frames(5), frames(1, side=95), frames(1)[..., :1]):
        with pytest.raises(Exception, match=r"(?i)batch-size must be <= 4|unexpected shape"):
            served.infer(wrong)
    assert np.isfinite(served.infer(frames(4))["score"]).all()


def test_over_grpc_what_nobody_waits_for_any_more_is_not_scored(wordsight, place, triton_server, client):
    assert wordsight("triton", demo_model(), "-o", place, "--kind", "python", "--batch", "1").code == 0
    program = place / "mini" / "1" / "model.py"
    slow = program.read_text("utf-8").replace("asked = [", "__import__('time').sleep(0.5); asked = [", 1)
    program.write_text(slow, "utf-8")
    served = client(triton_server(place), "grpc")
    together = threading.Barrier(12)

    def line(_):
        together.wait(60)
        with contextlib.suppress(Exception):
            served.infer(frames(1), ["score"], client_timeout=0.3)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(line, range(12)))
    served.infer(frames(1), ["score"])  # the queue is first in, first out: what was before it is through
    told = served.own.get_inference_statistics("mini", as_json=True)["model_stats"][0]
    # One to warm up and the last one; of twelve, what was begun in time, and what the server holds ready.
    assert 2 + 1 <= int(told["execution_count"]) < 2 + 7


def test_with_a_limit_of_the_queue_the_server_refuses_what_waits_longer(
    wordsight, place, triton_server, client, waiting
):
    assert wordsight("triton", demo_model(), "-o", place, "--kind", "python", "--drop-after-s", "60").code == 0
    server = triton_server(place)
    served, stop, refused = client(server, "grpc"), threading.Event(), []

    def busy():
        while not stop.is_set():
            served.infer(frames(32), ["score"])

    def hasty():
        try:
            served.infer(frames(1), ["score"], timeout=1)  # in microseconds; where the engine is free, it is scored
        except Exception as error:
            refused.append(str(error))
        return refused

    with ThreadPoolExecutor(3) as pool:
        work = [pool.submit(busy) for _ in range(3)]
        try:
            waiting(60)(hasty)
        finally:
            stop.set()
        for one in work:
            one.result()
    assert "Request timeout expired" in refused[0]


def test_a_golden_frame_that_scores_otherwise_keeps_the_model_from_getting_ready(wordsight, place, tiny, triton_server):
    assert wordsight("triton", tiny(off=0.01), "-o", place, "--kind", "python").code == 0
    with pytest.raises(WordsightError, match=r"ended before it was ready: .*the golden frame scored"):
        triton_server(place)


def test_a_file_that_was_swapped_is_not_served(wordsight, place, tiny, triton_server):
    assert wordsight("triton", tiny(), "-o", place, "--kind", "python").code == 0
    server = triton_server(place)
    server.kill()
    (place / "tiny/1/model.onnx").write_bytes(demo_model().read_bytes())
    with pytest.raises(WordsightError, match=r"ended before it was ready: .*config.pbtxt says"):
        server.start()


def test_the_next_version_takes_over_while_frames_are_scored(wordsight, place, tiny, triton_server, client, waiting):
    """Polled, the server changes from one version to the next with no frame lost, and manifest and scores together."""
    assert wordsight("triton", tiny(), "-o", place, "--kind", "python").code == 0
    server = triton_server(place, "--model-control-mode=poll", "--repository-poll-secs=1")
    served, given = client(server, "grpc"), frames(1, side=8)
    stop, answered, failed = threading.Event(), [], []

    def line():
        while not stop.is_set():
            try:
                answered.append(served.infer(given, ["score"], "tiny")["score"].item())
            except Exception as error:
                failed.append(error)

    thread = threading.Thread(target=line, daemon=True)
    thread.start()
    try:
        newer = tiny(head=HeadSpec(sha256="c" * 64, seeds=(1,)))
        assert wordsight("triton", newer, "-o", place, "--kind", "python").code == 0

        def current():
            told = served.own.get_model_config("tiny", as_json=True)["config"]
            versions = told["version_policy"]["specific"]["versions"]
            return [str(one) for one in versions] == ["2"] and told["parameters"]["wordsight"]["string_value"]

        told = waiting(60)(current)
        assert json.loads(told)["head"]["sha256"] == "c" * 64
        seen = len(answered)
        assert waiting(60)(lambda: len(answered) > seen + 5)
    finally:
        stop.set()
        thread.join()
    assert failed == []
    assert set(answered) == {answered[0]}
