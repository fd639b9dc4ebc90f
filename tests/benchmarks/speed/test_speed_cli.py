"""The two commands from end to end, on the demonstration's file, and what they refuse."""

import json
from pathlib import Path

import pytest

from wordsight.runtime.cli import main

DEMO = next((Path(__file__).parents[3] / "runtime" / "demo").glob("*.onnx"))


def run(*words: object) -> None:
    with pytest.raises(SystemExit) as end:
        main(["bench", *map(str, words)])
    assert not end.value.code


def figures(path: Path) -> dict[str, dict]:
    document = json.loads(path.read_text())
    assert document["machine"]["cores"]
    return {figure["name"]: figure for figure in document["figures"]}


@pytest.fixture(autouse=True)
def small_products(monkeypatch: pytest.MonkeyPatch):
    """The ceiling's real sizes take seconds; small ones run the same code."""
    from wordsight.benchmarks import ceiling

    whole = ceiling.measure
    monkeypatch.setattr(
        ceiling, "measure", lambda precision, threads, rounds: whole(precision, threads, 1, sizes=(64,))
    )


def test_latency_tells_all_scenarios_and_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "l.json"
    run("latency", DEMO, "--backend", "ort-cpu", "--backend", "ort-cuda", "--threads", 1, "--queries", 101,
        "--json", out, "-o", tmp_path / "plots", "--profile")  # fmt: skip
    found, label = figures(out), f"{DEMO.stem}.ort-cpu"
    assert found[f"latency.single_stream.p50.{label}"]["value"] <= found[f"latency.single_stream.p99.{label}"]["value"]
    assert found[f"latency.single_stream.p90.early_stopping.{label}"]["n"] == 101
    assert found[f"latency.multi_stream.p99.{label}"]["n"] == 101
    assert found[f"latency.multi_stream.p99.early_stopping.{label}"]["reason"].endswith("needs 662")
    for part in ("decode", "preprocess", "inference", "decision"):
        for kind in ("jpeg", "png"):
            assert found[f"split.{part}.{label}.{kind}"]["value"] >= 0
    assert found["ceiling.fp32"]["value"] > 0
    assert found[f"memory.peak.{label}"]["value"] > 30
    assert sum(figure["value"] for name, figure in found.items() if name.startswith("profile.")) == pytest.approx(1)
    assert found[f"latency.single_stream.p50.{DEMO.stem}.ort-cuda"]["reason"]
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"latency.png", "split.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (tmp_path / "plots").iterdir())
    assert "p99 ms" in capsys.readouterr().out


def test_throughput_tells_every_batch_and_the_best(tmp_path: Path):
    out = tmp_path / "t.json"
    run("throughput", DEMO, "--backend", "ort-cpu", "--threads", 1, "--queries", 3, "--batch", 1, "--batch", 3,
        "--json", out, "-o", tmp_path)  # fmt: skip
    found, label = figures(out), f"{DEMO.stem}.ort-cpu"
    rates = {batch: found[f"throughput.batch_{batch}.{label}"]["value"] for batch in (1, 3)}
    assert found[f"throughput.best.{label}"]["value"] == max(rates.values())
    assert rates[found[f"throughput.best_batch.{label}"]["value"]] == max(rates.values())
    assert (tmp_path / "throughput.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_file_mini_is_exported_and_held_against_the_ceiling(tmp_path: Path):
    out = tmp_path / "m.json"
    run("throughput", "--backend", "ort-cpu", "--threads", 1, "--queries", 2, "--batch", 2, "--json", out)
    found = figures(out)
    achieved = found["flops.achieved.mini-fp32.ort-cpu"]["value"]
    share = found["fraction.of_arithmetic_limit.mini-fp32.ort-cpu"]["value"]
    assert share == pytest.approx(achieved / found["ceiling.fp32"]["value"])
    assert share > 0


def test_linear_cost_through_the_model(tmp_path: Path):
    out = tmp_path / "n.json"
    run("throughput", DEMO, "--backend", "ort-cpu", "--frames", 2000, "--threads", 1, "--json", out)
    found = figures(out)
    assert found["linear.rate_1000"]["value"] > 0
    assert found["linear.rate_spread"]["n"] == 2
    assert found["linear.memory_growth_mb"]["value"] is not None


@pytest.mark.parametrize(
    "words",
    [
        ("latency", "a.png", "b.png"),
        ("latency", "absent.onnx"),
        ("latency", DEMO, "absent.png"),
        ("latency", DEMO, "--backend", "abacus"),
        ("latency", DEMO, "--backend", "ort-cuda"),
        ("latency", DEMO, "--threads", "4096"),
        ("latency", DEMO, "--precision", "fp32"),
        ("latency", DEMO, "--duration", "0"),
        ("latency", DEMO, "--queries", "0"),
        ("latency", DEMO, "--json", "absent/x.json"),
        ("throughput", DEMO, DEMO, "--frames", "2000"),
        ("throughput", DEMO, "--frames", "10"),
    ],
)
def test_wrong_use_is_one_message(refused, words):
    refused(2, "bench", *words)
