"""The arithmetic of an archive beside numbers worked out by hand, and the stages that it rests on."""

import json
from pathlib import Path

import numpy as np
import pytest

from wordsight.benchmarks.scale import stages
from wordsight.benchmarks.scale.arithmetic import Costs, Fleet, Prices, costs_from, figures, told, way
from wordsight.runtime.errors import SettingError
from wordsight.runtime.figures import Figure

# A picture: 1 ms to read, 6 to decode, 2 to fit, 90 in the engine, 1 to write; 100 kB in, 3 kB out.
STAGES = {"list": 1e-5, "read": 1e-3, "decode": 6e-3, "fit": 2e-3, "engine": 90e-3, "write": 1e-3}
COSTS = Costs(STAGES, 100e3, 60.0, 3e3, gpu_rate=2000.0)
FREE = Prices(0, 0, 0, 0, 0)


def test_processors_alone():
    one = way("cpu", COSTS, Fleet(1000, 0, 100, 1e9), Prices(0.05, 99, 0, 0, 0), 1e9)
    # 100 ms a picture on 1,000 cores: 10,000 pictures/s, 27.8 hours, 27,778 core-hours.
    assert one.limits == pytest.approx({"cores": 1e4, "network": 12.5e9 / 103e3, "requests": 1e9})
    assert one.first == "cores"
    assert one.hours == pytest.approx(1e5 / 3600)
    assert one.core_hours == pytest.approx(1e8 / 3600)
    assert one.listing_hours == pytest.approx(1e4 / 3600)
    assert one.money == pytest.approx(1e5 / 3600 * 1000 * 0.05)


def test_a_gpu_is_as_fast_as_the_cores_that_feed_it():
    # 10 ms a picture are left to the cores: 100 pictures/s each.
    starved = way("gpu", COSTS, Fleet(10, 2, 100, 1e9), FREE, 1e6)
    assert (starved.first, starved.rate) == ("cores", pytest.approx(1000))
    fed = way("gpu", COSTS, Fleet(80, 2, 100, 1e9), FREE, 1e6)
    assert (fed.first, fed.rate) == ("gpus", pytest.approx(4000))
    assert fed.gpu_hours == pytest.approx(1e6 / 2000 / 3600)
    found = {figure.name: figure for figure in figures(COSTS, Fleet(), Prices(), 1e9, "")}
    assert found["scale.cores_per_gpu"].value == pytest.approx(20)


@pytest.mark.parametrize(
    ("fleet", "first", "rate"),
    [(Fleet(10_000, 100, 1, 1e9), "network", 1e9 / 8 / 103e3), (Fleet(10_000, 100, 1e6, 500), "requests", 500)],
)
def test_what_saturates_first(fleet, first, rate):
    one = way("gpu", COSTS, fleet, FREE, 1e9)
    assert (one.first, one.rate) == (first, pytest.approx(rate))


def test_requests_and_bytes_have_their_price():
    one = way("cpu", COSTS, Fleet(), Prices(0, 0, 0.4, 0.02, 0), 1e9)
    assert one.money == pytest.approx(1e6 * 0.4 + 1e5 * 0.02 * 1)  # 10^9 pictures are 10^5 GB
    found = {figure.name: figure.value for figure in figures(COSTS, Fleet(), Prices(gb_month=0.02), 1e9, "")}
    assert found["scale.read"] == pytest.approx(100)  # TB
    assert found["scale.results"] == pytest.approx(3000)  # GB
    assert found["scale.results_month"] == pytest.approx(60)
    assert found["scale.listing"] == pytest.approx(60)


def document(values, command="bench stages", cores=2):
    return {
        "command": command,
        "machine": {"cores": cores},
        "figures": [{"name": name, "value": value} for name, value in values.items()],
    }


MEASURED = {
    **{f"stage.{name}": value for name, value in STAGES.items()},
    "bytes.picture": 100e3, "bytes.listing": 60.0, "bytes.result": 3e3,
}  # fmt: skip


def test_costs_are_what_the_commands_wrote():
    assert costs_from([document(MEASURED)]) == Costs(STAGES, 100e3, 60.0, 3e3)
    gpu = document({"throughput.batch_64.ort-cuda": 1500.0, "throughput.batch_64.tensorrt": 2000.0,
                    "throughput.batch_64.torch": None})  # fmt: skip
    assert costs_from([document(MEASURED), gpu]) == COSTS
    # Two cores promise 20 pictures/s; a run of 17 is 0.85 of that, and the cores count for as much.
    half = costs_from([document(MEASURED), document({"archive.rate": 17.0}, "archive")])
    assert half.efficiency == pytest.approx(0.85)
    assert way("cpu", half, Fleet(1000, 0, 100, 1e9), FREE, 1e9).rate == pytest.approx(8500)


def test_without_its_figures_there_is_no_arithmetic():
    for name in MEASURED:
        lacking = {key: value for key, value in MEASURED.items() if key != name}
        with pytest.raises(SettingError, match=name):
            costs_from([document(lacking)])
    without = Costs(STAGES, 100e3, 60.0, 3e3)
    found = {figure.name: figure for figure in figures(without, Fleet(), Prices(), 1e9, "not run: wordsight bench gpu")}
    assert found["scale.gpu.hours"].reason == "not run: wordsight bench gpu"
    with pytest.raises(SettingError, match="--gpu-rate"):
        way("gpu", without, Fleet(), FREE, 1e9)


@pytest.mark.parametrize(
    ("rate", "shown"), [(0, "0"), (0.01234, "0.0123"), (1.5, "1.50"), (99.94, "99.9"), (123456.7, "123,457")]
)
def test_numbers_have_three_digits_that_count(rate, shown):
    assert told(rate) == shown


def test_the_command_prints_what_the_json_holds(tmp_path, capfd, refused):
    from wordsight.runtime.cli import main

    (tmp_path / "stages.json").write_text(json.dumps(document(MEASURED)))
    words = ["bench", "scale", tmp_path / "stages.json", "--cores", 1000, "--gpus", 2, "--gpu-rate", 2000,
             "--requests-per-s", 1e9, "--json", tmp_path / "scale.json"]  # fmt: skip
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    out = capfd.readouterr().out
    assert end.value.code == 0
    assert "cores saturate first: 27.8 h" in out
    assert "gpus saturate first: 69.4 h" in out
    assert "a GPU of 2,000 pictures/s is kept busy by 20.0 cores" in out
    held = {item["name"]: item["value"] for item in json.loads((tmp_path / "scale.json").read_text())["figures"]}
    assert held["scale.cpu.hours"] == pytest.approx(1e5 / 3600)
    assert held["scale.gpu.limit.gpus"] == 4000
    (tmp_path / "other.json").write_text('{"figures": []}')
    (tmp_path / "text.json").write_text("no")
    assert "stage.list is not among these" in refused(2, "bench", "scale", tmp_path / "other.json")
    assert "expected figures that a command wrote" in refused(2, "bench", "scale", tmp_path / "text.json")


class Engine:
    """Takes frames and remembers how many."""

    def __init__(self):
        self.sizes = []

    def infer(self, frames):
        self.sizes.append(frames.shape)
        return {}


def test_every_stage_sees_every_picture(tmp_path):
    cv2 = pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
    from wordsight.runtime.manifest import read_manifest

    manifest = read_manifest(Path(stages.__file__).parents[2] / "runtime" / "demo" / "mini.onnx")
    paths = []
    for number in range(5):
        paths.append(tmp_path / f"{number}.jpg")
        cv2.imwrite(str(paths[-1]), np.full((60, 80, 3), 40 * number, np.uint8))
    engine = Engine()
    found = stages.measure(engine, manifest, paths, tmp_path, batch=2, rounds=2)
    assert {figure.name for figure in found} == set(stages.MEANING)
    assert all(isinstance(figure, Figure) and figure.value > 0 for figure in found)
    # Three batches of two hold five pictures; a round to warm up and two that count.
    assert engine.sizes == [(2, 96, 96, 3)] * 9
    values = {figure.name: figure.value for figure in found}
    assert values["bytes.picture"] == np.mean([path.stat().st_size for path in paths])
    # 128 random numbers do not compress; the rest of a row is its name and a few numbers.
    assert 128 * 4 * 0.9 < values["bytes.result"] < 128 * 4 + 200
    assert 8 < values["bytes.listing"] < 100  # of each name 8 random bytes
    costs_from([{"machine": {}, "figures": [figure.as_json() for figure in found]}])
