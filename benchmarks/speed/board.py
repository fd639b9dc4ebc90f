"""Power and clocks while something is timed, from whatever this board has that tells them.

Jetsons have `tegrastats`, NVIDIA's cards `nvidia-smi`, Intel's and AMD's processors a counter of energy (RAPL), Linux
the clock of each core. What a machine does not tell is a figure without a value, and its reason.
"""

import re
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from wordsight.runtime.figures import Figure

_INTERVAL_S = 0.5
_COMMANDS = {
    "tegrastats": ["tegrastats", "--interval", "500"],
    "nvidia-smi": [
        "nvidia-smi", "--query-gpu=power.draw,clocks.sm,clocks.mem", "--format=csv,noheader,nounits", "-lms", "500",
    ],
}  # fmt: skip
_RAPL = Path("/sys/class/powercap")
_CPU = Path("/sys/devices/system/cpu")
_TOTALS = ("VDD_IN", "POM_5V_IN")
"""Rails that the whole board hangs on; AGX boards have none, and their rails are summed."""
NAMES = {
    "power.board": ("W", "tegrastats"),
    "power.gpu": ("W", "nvidia-smi"),
    "power.cpu_package": ("W", "RAPL"),
    "clock.cpu": ("MHz", "cpufreq"),
    "clock.gpu": ("MHz", "nvidia-smi or tegrastats"),
    "clock.gpu_memory": ("MHz", "nvidia-smi or tegrastats"),
}
"""Every figure of this module: its unit and who tells it."""


def parse_tegrastats(line: str) -> dict[str, float]:
    """One line of tegrastats: power of the board in W, clocks in MHz; empty for a line of something else."""
    found: dict[str, float] = {}
    rails = {name: float(now) / 1000 for name, now in re.findall(r"\b(\w+) (\d+)m?W?/\d+m?W?(?=\s|$)", line)}
    rails = {name: watts for name, watts in rails.items() if name.startswith(("VDD", "VIN", "POM"))}
    totals = [rails[name] for name in _TOTALS if name in rails]
    if rails:
        found["power.board"] = totals[0] if totals else sum(rails.values())
    cores = re.search(r"CPU \[([^\]]*)\]", line)
    clocks = [float(clock) for clock in re.findall(r"@(\d+)", cores.group(1))] if cores else []
    if clocks:
        found["clock.cpu"] = max(clocks)
    for name, key in (("GR3D_FREQ", "clock.gpu"), ("EMC_FREQ", "clock.gpu_memory")):
        clock = re.search(rf"{name} \d+%@\[?(\d+)", line)
        if clock:
            found[key] = float(clock.group(1))
    return found


def parse_nvidia_smi(line: str) -> dict[str, float]:
    """One line of nvidia-smi's query, the first card's: W, MHz, MHz; what reads [N/A] is left out."""
    found: dict[str, float] = {}
    for key, text in zip(("power.gpu", "clock.gpu", "clock.gpu_memory"), line.split(","), strict=False):
        try:
            found[key] = float(text)
        except ValueError:
            continue
    return found


def rapl_joules(start: Mapping[str, int], end: Mapping[str, int], limits: Mapping[str, int]) -> float:
    """Energy between two readings of the counters, in micro-joules each, that begin anew at their limits."""
    return sum((end[zone] - start[zone]) % (limits[zone] + 1) for zone in start) / 1e6


class Watch:
    """Reads the board while the block runs; `figures` afterwards.

    with Watch() as board:
        ...
    board.figures()
    """

    def __init__(self, rapl: Path = _RAPL, cpu: Path = _CPU) -> None:
        """Look at what there is; nothing is started yet."""
        self._zones = {z.name: z for z in sorted(rapl.glob("*-rapl:[0-9]*")) if z.name.count(":") == 1}  # packages
        self._clocks = sorted(cpu.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
        self._samples: dict[str, list[float]] = {name: [] for name in NAMES}
        self._reasons: dict[str, str] = {}
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> "Watch":
        """Start the tools that are installed, and read the first counters."""
        for tool, parse in (("tegrastats", parse_tegrastats), ("nvidia-smi", parse_nvidia_smi)):
            if shutil.which(tool) is None:
                continue
            process = subprocess.Popen(_COMMANDS[tool], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            self._processes.append(process)
            self._run(self._follow, process, parse)
        if self._clocks:
            self._run(self._read_clocks)
        self._energy, self._began = self._joules(), time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the tools, and read the counters again."""
        energy, passed = self._joules(), time.monotonic() - self._began
        if self._energy and energy.keys() == self._energy.keys() and passed > 0:
            self._samples["power.cpu_package"].append(rapl_joules(self._energy, energy, self._limits()) / passed)
        self._stop.set()
        for process in self._processes:
            process.terminate()
            process.wait()
        for thread in self._threads:
            thread.join()

    def figures(self, suffix: str = "") -> list[Figure]:
        """Means of what was read, smallest and largest beside them; a reason where there is nothing."""
        found = []
        for name, (unit, teller) in NAMES.items():
            values = self._samples[name]
            if values:
                mean = statistics.fmean(values)
                found.append(Figure(name + suffix, mean, unit, min(values), max(values), len(values)))
            else:
                reason = self._reasons.get(name, f"this machine does not tell it ({teller})")
                found.append(Figure(name + suffix, None, unit, reason=reason))
        return found

    def _run(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _follow(self, process: "subprocess.Popen[str]", parse: Callable[[str], dict[str, float]]) -> None:
        for line in process.stdout or ():
            for name, value in parse(line).items():
                self._samples[name].append(value)

    def _read_clocks(self) -> None:
        while not self._stop.wait(_INTERVAL_S):
            try:
                self._samples["clock.cpu"].append(max(int(path.read_text()) / 1000 for path in self._clocks))
            except (OSError, ValueError) as error:
                self._reasons["clock.cpu"] = f"cpufreq cannot be read: {error}"
                return

    def _joules(self) -> dict[str, int]:
        try:
            return {name: int((zone / "energy_uj").read_text()) for name, zone in self._zones.items()}
        except (OSError, ValueError) as error:
            # Kernels since 5.10 let root alone read it: fine-grained energy gives secrets away.
            self._reasons["power.cpu_package"] = f"RAPL cannot be read: {error}"
            return {}

    def _limits(self) -> dict[str, int]:
        return {name: int((zone / "max_energy_range_uj").read_text()) for name, zone in self._zones.items()}
