"""`wordsight bench triton` on the packaged file, with a real server: what it finds out, and what it refuses to time."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from wordsight.benchmarks.scale import triton as bench
from wordsight.benchmarks.scale import triton_server
from wordsight.benchmarks.scale.triton_profile import CLOCKS, CORES, Spent, figures
from wordsight.runtime.cli import main
from wordsight.runtime.demo import demo_model
from wordsight.runtime.errors import ModelError

pytestmark = pytest.mark.scale("triton")


def test_scores_are_the_same_and_every_figure_is_there(tmp_path, capsys):
    import onnxruntime

    target = tmp_path / "figures.json"
    words = ["--clients", "6", "--batch", "4", "--rounds", "1", "--block", "0.1", "--repeats", "3", "--threads", "1"]
    with pytest.raises(SystemExit) as end:
        main(["bench", "triton", str(demo_model()), *words, "--json", str(target)])
    assert end.value.code == 0
    version = onnxruntime.__version__
    assert (
        "mini, 6 clients, batches of 4, 1 threads; "
        f"onnxruntime {version} in this process, {version} in the server: scores bit for bit the same"
    ) in " ".join(capsys.readouterr().out.split())
    told = json.loads(target.read_text())
    assert told["command"] == "bench triton"
    value = {figure["name"]: figure["value"] for figure in told["figures"]}
    assert set(bench.MEANING) < set(value)
    assert value["difference.triton"] == 0
    assert value["difference.triton.shared"] <= 1e-6
    # Clients that wait for each other give passes of more than one frame, and never more than the server takes.
    assert 1 < value["frames_per_pass"] <= 4
    # The model's process computes, the client and the server pass on.
    assert value["core_ms.model"] > max(value["core_ms.client"], value["core_ms.server"])
    assert value["request.compute_infer"] > 0
    assert 0 < value["wait.p99"] <= value["wait.longest"]
    rates = value["frames_per_s.triton"] / value["frames_per_s.engine"]
    assert value["ratio.triton_over_engine"] == pytest.approx(rates)


def test_more_instances_than_threads_are_refused(capsys):
    with pytest.raises(SystemExit) as end:
        main(["bench", "triton", str(demo_model()), "--threads", "1", "--instances", "2"])
    assert end.value.code == 2
    assert "--instances 2: expected at most the 1 threads" in " ".join(capsys.readouterr().err.split())


def test_scores_that_differ_are_not_timed(tmp_path, monkeypatch):
    real = bench.connect

    class Off:
        def __init__(self, client):
            self.client = client

        def __enter__(self):
            self.inner = self.client.__enter__()
            return self

        def __exit__(self, *told):
            return self.client.__exit__(*told)

        def infer(self, frames):
            found = self.inner.infer(frames)
            return {**found, "s_pr": found["s_pr"] + np.float32(2e-4)}

    monkeypatch.setattr(bench, "connect", lambda *words: Off(real(*words)))
    with pytest.raises(ModelError, match="nothing was timed"):
        bench.measure(
            demo_model(), tmp_path / "models", batch=2, clients=1, rounds=1, block_s=0.01, repeats=1, threads=1
        )


def test_the_answers_of_many_clients_come_in_the_order_of_their_frames():
    class Echo:
        def infer(self, frames):
            return {"score": frames}

    for clients in (1, 3, 7):
        answers = bench._through([Echo()] * clients, list(range(7)))
        assert [answer["score"] for answer in answers] == list(range(7))


def test_means_are_of_requests_for_waits_and_of_frames_for_cores():
    def spent(frames, passes, requests, ms, core_ms):
        return Spent(frames, passes, requests, dict.fromkeys(CLOCKS, ms), dict.fromkeys(CORES, core_ms))

    first, second = spent(30, 10, 15, 60.0, 90.0), spent(110, 20, 20, 75.0, 330.0)
    found = {figure.name: figure for figure in figures([first, second - first])}
    assert found["frames_per_pass"].value == 110 / 20
    queue, client = found["request.queue"], found["core_ms.client"]
    assert (queue.value, queue.low, queue.high) == (75 / 20, 3, 4)
    assert (client.value, client.low, client.high) == (3, 3, 3)


def test_a_signal_within_the_start_of_a_server_does_not_lose_it(monkeypatch, tmp_path):
    server, real, started = triton_server.TritonServer(tmp_path), subprocess.Popen, []

    def interrupted(*words, **more):
        started.append(real([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True))
        signal.raise_signal(signal.SIGINT)  # as if it came before the process was given back
        return started[0]

    monkeypatch.setattr(triton_server.subprocess, "Popen", interrupted)
    with pytest.raises(KeyboardInterrupt), server:
        pass
    monkeypatch.undo()
    assert started[0].wait(60) == -signal.SIGKILL


def test_a_bench_that_is_ended_ends_its_server(tmp_path):
    words = [sys.executable, "-m", "wordsight.runtime", "bench", "triton", str(demo_model()), "--block", "300"]
    bench = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)

    def servers():
        found = []
        for pid in Path(f"/proc/{bench.pid}/task/{bench.pid}/children").read_text().split():
            with contextlib.suppress(OSError):  # it has just ended: a question put to the linker, say
                found += [int(pid)] if Path(f"/proc/{pid}/comm").read_text() == "tritonserver\n" else []
        return found

    end = time.monotonic() + 120
    while not (started := servers()) and time.monotonic() < end:
        assert bench.poll() is None, bench.stderr.read()
        time.sleep(0.1)
    bench.send_signal(signal.SIGTERM)
    bench.communicate(timeout=120)
    assert bench.returncode == 130
    assert started
    for pid in started:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
