"""What boards print, read; what they do not tell, said."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from wordsight.benchmarks.speed import board

ORIN_NANO = (
    "11-25-2026 05:20:11 RAM 2722/7620MB (lfb 2x4MB) SWAP 0/3810MB (cached 0MB) CPU [12%@1510,0%@1344,off,off] "
    "EMC_FREQ 3%@2133 GR3D_FREQ 45%@[624] NVDEC off NVJPG off cpu@48.5C soc2@46.1C gpu@47.9C tj@48.5C "
    "VDD_IN 5342mW/5200mW VDD_CPU_GPU_CV 1480mW/1400mW VDD_SOC 1500mW/1490mW"
)
AGX_ORIN = (
    "RAM 3000/30623MB (lfb 4x4MB) CPU [1%@729,2%@729] EMC_FREQ 0%@3199 GR3D_FREQ 0%@[305,305] "
    "VDD_GPU_SOC 3200mW/3200mW VDD_CPU_CV 800mW/800mW VIN_SYS_5V0 4000mW/4000mW VDDQ_VDD2_1V8AO 500mW/500mW"
)
NANO = (
    "RAM 1300/3956MB (lfb 1x4MB) CPU [5%@921,off] EMC_FREQ 1%@1600 GR3D_FREQ 0%@76 POM_5V_IN 2518/2400 POM_5V_GPU 0/0"
)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (ORIN_NANO, {"power.board": 5.342, "clock.cpu": 1510, "clock.gpu": 624, "clock.gpu_memory": 2133}),
        (AGX_ORIN, {"power.board": 8.5, "clock.cpu": 729, "clock.gpu": 305, "clock.gpu_memory": 3199}),
        (NANO, {"power.board": 2.518, "clock.cpu": 921, "clock.gpu": 76, "clock.gpu_memory": 1600}),
        ("RAM 2722/7620MB (lfb 2x4MB) SWAP 0/3810MB (cached 0MB)", {}),
        ("bash: tegrastats: permission denied", {}),
        ("", {}),
    ],
)
def test_tegrastats(line: str, expected: dict[str, float]):
    assert board.parse_tegrastats(line) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("112.35, 1980, 2619\n", {"power.gpu": 112.35, "clock.gpu": 1980, "clock.gpu_memory": 2619}),
        ("[N/A], 1980, [Not Supported]", {"clock.gpu": 1980}),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", {}),
    ],
)
def test_nvidia_smi(line: str, expected: dict[str, float]):
    assert board.parse_nvidia_smi(line) == expected


def test_rapl_counters_that_began_anew():
    start, end, limits = {"p0": 900, "p1": 10}, {"p0": 100, "p1": 60}, {"p0": 999, "p1": 999}
    assert board.rapl_joules(start, end, limits) == pytest.approx((200 + 50) / 1e6)


def _zone(folder: Path, name: str, energy: int) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "energy_uj").write_text(f"{energy}\n")
    (folder / name / "max_energy_range_uj").write_text("262143328850\n")


def test_a_watch_reads_packages_alone_and_tells_what_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))  # no tool of this machine
    _zone(tmp_path, "intel-rapl:0", 1_000_000)
    _zone(tmp_path, "intel-rapl:0:0", 5)  # the cores, part of the package
    seconds = iter((10.0, 14.0))
    monkeypatch.setattr(board, "time", SimpleNamespace(monotonic=lambda: next(seconds)))  # there alone
    with board.Watch(rapl=tmp_path, cpu=tmp_path / "none") as watch:
        (tmp_path / "intel-rapl:0" / "energy_uj").write_text("61000000\n")
        (tmp_path / "intel-rapl:0:0" / "energy_uj").write_text("999\n")
    found = {figure.name: figure for figure in watch.figures(".x")}
    assert set(found) == {f"{name}.x" for name in board.NAMES}
    assert found["power.cpu_package.x"].value == pytest.approx(60 / 4)
    for name in ("power.board.x", "power.gpu.x", "clock.cpu.x"):
        assert found[name].value is None
        assert "does not tell it" in str(found[name].reason)


def test_a_tool_is_followed_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tool = tmp_path / "tegrastats"
    tool.write_text(f"#!/bin/sh\necho '{NANO}'\necho '{NANO.replace('2518', '3518')}'\nexec /bin/sleep 60\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with board.Watch(rapl=tmp_path / "none", cpu=tmp_path / "none") as watch:
        while len(watch._samples["power.board"]) < 2:
            time.sleep(0.01)
    figure = next(figure for figure in watch.figures() if figure.name == "power.board")
    assert (figure.value, figure.low, figure.high, figure.n) == (pytest.approx(3.018), 2.518, 3.518, 2)
    assert all(process.poll() is not None for process in watch._processes)


def test_an_energy_counter_that_may_not_be_read_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "intel-rapl:0" / "energy_uj").mkdir(parents=True)  # reading a folder fails, for root too
    with board.Watch(rapl=tmp_path, cpu=tmp_path / "none") as watch:
        pass
    figure = next(figure for figure in watch.figures() if figure.name == "power.cpu_package")
    assert figure.value is None
    assert "RAPL cannot be read" in str(figure.reason)
