"""From what a picture costs to what a thousand million cost: rates, hours, money, and what saturates first.

Every number follows from measured costs and stated settings. A rate is pictures a second.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from wordsight.runtime.errors import SettingError
from wordsight.runtime.figures import Figure

CPU = ("read", "decode", "fit", "write")
"""Stages that the processor does with or without a GPU; the engine comes on top without."""


@dataclass(frozen=True)
class Costs:
    """What one picture takes.

    Attributes:
        stages: core-seconds by stage: list, read, decode, fit, engine, write.
        picture: bytes that are read.
        listing: bytes in the listing.
        result: bytes that are written.
        gpu_rate: pictures a second of one GPU's engine; None where that was not measured.
        efficiency: rate of a whole run over what the stages alone promise its cores; 1 where no run was measured.
    """

    stages: Mapping[str, float]
    picture: float
    listing: float
    result: float
    gpu_rate: float | None = None
    efficiency: float = 1.0


@dataclass(frozen=True)
class Fleet:
    """What the pictures are scored on.

    Attributes:
        cores: of all machines.
        gpus: of all machines.
        network_gbit: a second, of all machines together.
        requests_per_s: what the store answers.
    """

    cores: int = 1024
    gpus: int = 16
    network_gbit: float = 100.0
    requests_per_s: float = 5500.0


@dataclass(frozen=True)
class Prices:
    """What things cost, in one currency; they are settings, and nobody's offer.

    Attributes:
        core_hour: of one core.
        gpu_hour: of one GPU.
        thousand_requests: of the store.
        gb_moved: of reading 10^9 bytes from the store.
        gb_month: of keeping 10^9 bytes of results for a month.
    """

    core_hour: float = 0.04
    gpu_hour: float = 2.5
    thousand_requests: float = 0.0004
    gb_moved: float = 0.0
    gb_month: float = 0.023


def costs_from(documents: list[dict[str, object]]) -> Costs:
    """Take the costs out of what commands wrote with --json, later ones over earlier ones.

    Args:
        documents: of `bench stages`; and, where they were run, of `bench gpu` (the best of its engines counts) and of
            `wordsight archive` on pictures like those of `bench stages` (for the efficiency).

    Raises:
        SettingError: a figure that is needed is not there.
    """
    values: dict[str, float] = {}
    cores = 0
    for document in documents:
        machine, figures = document.get("machine"), document.get("figures")
        for figure in figures if isinstance(figures, list) else []:
            if figure.get("value") is not None:
                values[str(figure["name"])] = float(figure["value"])
                whole = document.get("command") == "archive" and figure["name"] == "archive.rate"
                if whole and isinstance(machine, dict):
                    cores = int(machine.get("cores") or 0)
    wanted = [*(f"stage.{name}" for name in ("list", *CPU, "engine")), "bytes.picture", "bytes.listing", "bytes.result"]
    missing = [name for name in wanted if not values.get(name, 0.0) > 0]
    if missing:
        raise SettingError(f"expected figures of wordsight bench stages --json, {missing[0]} is not among these")
    stages = {name: values[f"stage.{name}"] for name in ("list", *CPU, "engine")}
    rates = [value for name, value in values.items() if name.startswith("throughput.batch_")]
    on_one = sum(stages[name] for name in (*CPU, "engine"))
    efficiency = values["archive.rate"] * on_one / cores if cores else 1.0
    return Costs(
        stages, values["bytes.picture"], values["bytes.listing"], values["bytes.result"], max(rates, default=None),
        efficiency,
    )  # fmt: skip


@dataclass(frozen=True)
class Way:
    """One way to score all pictures.

    Attributes:
        name: "cpu" or "gpu".
        limits: rate that each resource allows, by name.
        hours: of scoring, at the lowest of them.
        listing_hours: before, in one process.
        core_hours: that the stages keep cores busy.
        gpu_hours: that engines keep GPUs busy.
        money: for the whole fleet, for as long as it takes, with requests and bytes moved.
    """

    name: str
    limits: dict[str, float]
    hours: float
    listing_hours: float
    core_hours: float
    gpu_hours: float
    money: float

    @property
    def first(self) -> str:
        """The resource that saturates first."""
        return min(self.limits, key=lambda name: self.limits[name])

    @property
    def rate(self) -> float:
        """Pictures a second."""
        return self.limits[self.first]


def way(name: str, costs: Costs, fleet: Fleet, prices: Prices, pictures: float) -> Way:
    """Work out one way: "cpu", all on the processors, or "gpu", the engine on GPUs and the rest on the processors.

    Raises:
        SettingError: "gpu" without a GPU or its rate.
    """
    if name == "gpu" and (costs.gpu_rate is None or fleet.gpus < 1):
        raise SettingError("expected a GPU, and its rate from wordsight bench gpu --json or --gpu-rate")
    on_cores = sum(costs.stages[stage] for stage in CPU) + (costs.stages["engine"] if name == "cpu" else 0.0)
    limits = {"cores": costs.efficiency * fleet.cores / on_cores}
    if name == "gpu" and costs.gpu_rate is not None:
        limits["gpus"] = fleet.gpus * costs.gpu_rate
    limits["network"] = fleet.network_gbit * 1e9 / 8 / (costs.picture + costs.result)
    limits["requests"] = fleet.requests_per_s
    hours = pictures / min(limits.values()) / 3600
    gpus = fleet.gpus if name == "gpu" else 0
    money = (
        hours * (fleet.cores * prices.core_hour + gpus * prices.gpu_hour)
        + pictures / 1000 * prices.thousand_requests
        + pictures * costs.picture / 1e9 * prices.gb_moved
    )
    gpu_hours = pictures / costs.gpu_rate / 3600 if gpus and costs.gpu_rate else 0.0
    return Way(
        name, limits, hours, pictures * costs.stages["list"] / 3600, pictures * on_cores / costs.efficiency / 3600,
        gpu_hours, money,
    )  # fmt: skip


def figures(costs: Costs, fleet: Fleet, prices: Prices, pictures: float, why_no_gpu: str) -> list[Figure]:
    """Return all that follows for N pictures, for both ways; those of the GPU with a reason where there is none."""
    found = [
        Figure("scale.pictures", pictures),
        Figure("scale.efficiency", costs.efficiency),
        Figure("scale.read", pictures * costs.picture / 1e12, "TB"),
        Figure("scale.listing", pictures * costs.listing / 1e9, "GB"),
        Figure("scale.results", pictures * costs.result / 1e9, "GB"),
        Figure("scale.results_month", pictures * costs.result / 1e9 * prices.gb_month),
        Figure("scale.listing_hours", pictures * costs.stages["list"] / 3600, "h"),
    ]
    without = sum(costs.stages[name] for name in CPU)
    cores_a_gpu = None if costs.gpu_rate is None else costs.gpu_rate * without / costs.efficiency
    found.append(Figure.or_reason("scale.cores_per_gpu", cores_a_gpu, why_no_gpu))
    for name, units in (("cpu", ("cores", "network", "requests")), ("gpu", ("cores", "gpus", "network", "requests"))):
        one = None
        if name == "cpu" or (costs.gpu_rate is not None and fleet.gpus):
            one = way(name, costs, fleet, prices, pictures)
        for unit in units:
            limit = one.limits[unit] if one else None
            found.append(Figure.or_reason(f"scale.{name}.limit.{unit}", limit, why_no_gpu, "pictures/s"))
        for key, unit in (("hours", "h"), ("core_hours", "h"), ("gpu_hours", "h"), ("money", "")):
            value = getattr(one, key) if one else None
            found.append(Figure.or_reason(f"scale.{name}.{key}", value, why_no_gpu, unit))
    return found


def told(rate: float) -> str:
    """A rate, or any number above 1, with three digits that count and its thousands set apart."""
    if rate <= 0 or not math.isfinite(rate):
        return f"{rate:g}"
    digits = max(0, 2 - math.floor(math.log10(rate)))
    return f"{rate:,.{digits}f}"
