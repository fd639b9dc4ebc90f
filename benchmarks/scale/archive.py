"""What an archive costs: a picture as it grows, memory, Ray beside processes, two workers beside one core."""

import itertools
import shutil
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from wordsight.benchmarks import progress
from wordsight.benchmarks.scale.archive_limit import two_over_one
from wordsight.benchmarks.scale.archive_run import Seen, Way, timed
from wordsight.benchmarks.speed import linear
from wordsight.runtime.archive.begin import run_of
from wordsight.runtime.archive.places import normal
from wordsight.runtime.archive.run_file import Run
from wordsight.runtime.figures import Figure, usable_cores
from wordsight.runtime.files import file_sha256

FIRST = 1000
"""Pictures that are scored before the cost of one is looked at."""
WAYS = {
    "one": Way("here", 1, cores=1),
    "here": Way("here", 1),
    "local": Way("local", 2),
    "ray": Way("ray", 2),
}
"""What is compared: a process on one core, the same free to use all, two processes, two actors of Ray."""


def prepare(source: Path, folder: Path, model: Path, per_shard: int) -> tuple[Run, float]:
    """List the pictures of `source` for an archive in `folder`; the run, and how long it took in seconds."""
    wanted = Run(
        source=normal(str(source)), model=model.name, model_sha256=file_sha256(model), listing="", listing_sha256="",
        pictures=0, shards=0, pictures_per_shard=per_shard, passed_over=0, column=None, object=None, backend="ort-cpu",
        threshold=None, unsure=None, gate=None, calibration_sha256=None, created="", wordsight="",
    )  # fmt: skip
    began = time.perf_counter()
    run, _ = run_of(folder, wanted, look_again=True)
    return run, time.perf_counter() - began


def growth(source: Path, folder: Path, model: Path, count: int, batch: int) -> tuple[Seen, float]:
    """Score all pictures in processes, a core each; what was seen, and the seconds of the listing."""
    _, listing_s = prepare(source, folder, model, max(25, min(500, count // 100)))
    return _watched("scoring", folder, model, Way("local", min(2, usable_cores())), batch, count), listing_s


def _watched(title: str, folder: Path, model: Path, way: Way, batch: int, count: int) -> Seen:
    """A run, with a bar."""
    shown = 0
    with progress.bar(title, count) as tick:

        def on_pictures(done: int) -> None:
            nonlocal shown
            for _ in range(done - shown):
                tick()
            shown = done

        return timed(folder, model, way, batch, on_pictures)


def growth_figures(seen: Seen, listing_s: float) -> list[Figure]:
    """Rates of the stretches and how far they lie apart, the slope of a picture's cost, memory and its slope."""
    stretches = stretches_of(seen)
    rates = [stretch.frames_per_s for stretch in stretches]
    total = seen.ends[-1][1]
    at, held = np.asarray([sample for sample in seen.memory if sample[0] >= FIRST], np.float64).reshape(-1, 2).T
    slope = float(np.polyfit(at, held, 1)[0]) if len(set(at)) > 1 else None
    few = "too few pictures to see it: give more --pictures"
    grown = None if slope is None else slope * float(at[-1] - at[0]) / 1e6
    return [
        Figure("archive.rate_spread", max(rates) / min(rates) - 1, n=len(rates)),
        Figure("archive.cost_first", 1000 / rates[0], "ms", n=stretches[0].end),
        Figure("archive.cost_last", 1000 / rates[-1], "ms", n=total),
        Figure.or_reason("archive.memory_growth_mb", grown, few, "MB", len(at)),
        Figure.or_reason("archive.memory_bytes_per_picture", slope, few, "B", len(at)),
        Figure("archive.memory_mb", max(value for _, value in seen.memory) / 1e6, "MB", n=len(seen.memory)),
        Figure("archive.listing_us", 1e6 * listing_s / total, "us", n=total),
        *(Figure(f"archive.rate_{s.end}", s.frames_per_s, "pictures/s", n=s.end) for s in stretches),
    ]


def stretches_of(seen: Seen) -> list[linear.Stretch]:
    """Stretches of 1,000 to 2,000, to 5,000, to 10,000 pictures and so on, each from shard to shard."""
    marks = [next(mark for mark in seen.ends if mark[1] >= end) for end in linear.ends(seen.ends[-1][1])]
    found: list[linear.Stretch] = []
    for (begin, before), (end, after) in itertools.pairwise(marks):
        if after - before < FIRST / 2 and found:
            continue  # too short to tell
        held = [memory for count, memory in seen.memory if count <= after]
        found.append(linear.Stretch(after, (after - before) / (end - begin), (held[-1] if held else 0.0) / 1e6))
    return found


def compare(
    source: Path, folder: Path, model: Path, rounds: int, batch: int, ways: Mapping[str, Way] = WAYS
) -> tuple[dict[str, list[Seen]], list[float]]:
    """Score the same pictures in every way, in turns; what was seen in each round, and `two_over_one` of each."""
    found: dict[str, list[Seen]] = {name: [] for name in ways}
    limits: list[float] = []
    run, _ = prepare(source, folder, model, 50)
    names = list(ways)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            shutil.rmtree(folder / "shards")
            (folder / "shards").mkdir()
            title = f"round {turn + 1} of {rounds}: {name}"
            found[name].append(_watched(title, folder, model, ways[name], batch, run.pictures))
        if usable_cores() > 1:
            limits.append(two_over_one())
    return found, limits


def compare_figures(found: Mapping[str, Sequence[Seen]], limits: Sequence[float], pictures: int) -> list[Figure]:
    """Rates of every way, their ratios, what a second core can add here, and where the cores' time went."""
    rates = {name: [seen.steady_rate(WAYS[name].workers) for seen in runs] for name, runs in found.items()}

    def ratio(name: str, above: str, below: str) -> Figure:
        values = [a / b for a, b in zip(rates[above], rates[below], strict=True)]
        return Figure(name, statistics.median(values), "", min(values), max(values), len(values))

    figures = [
        ratio("archive.ratio.local_over_ray", "local", "ray"),
        ratio("archive.ratio.two_over_one_core", "local", "one"),
        ratio("archive.ratio.two_over_one_process", "local", "here"),
    ]
    if limits:
        middle = statistics.median(limits)
        figures.append(Figure("archive.limit.two_over_one", middle, "", min(limits), max(limits), len(limits)))
    else:
        figures.append(Figure("archive.limit.two_over_one", None, reason="this process may use one core alone"))
    for name, runs in found.items():
        values = rates[name]
        figures.append(Figure(f"archive.rate.{name}", statistics.median(values), "pictures/s", min(values), max(values),
                              len(values)))  # fmt: skip
        starts = [seen.whole_s - pictures / rate for seen, rate in zip(runs, values, strict=True)]
        figures.append(Figure(f"archive.start_s.{name}", statistics.median(starts), "s", n=len(starts)))
        spent = [seen.cpu_s for seen in runs if seen.cpu_s is not None]
        if spent:
            each = [1000 * value / pictures for value in spent]
            figures.append(Figure(f"archive.core_ms.{name}", statistics.median(each), "ms", min(each), max(each),
                                  len(each)))  # fmt: skip
            busy = [value / seen.whole_s for value, seen in zip(spent, runs, strict=True)]
            figures.append(Figure(f"archive.cores_busy.{name}", statistics.median(busy), "", n=len(busy)))
    return figures


def profile(figures: Sequence[Figure]) -> str:
    """Say what two workers lose against twice one core: cores that idle, or a picture that costs more of them."""
    values = {figure.name: figure.value for figure in figures}
    names = ("ratio.two_over_one_core", "core_ms.one", "core_ms.local", "cores_busy.local")
    gain, one, two, busy = (values.get(f"archive.{name}") or 0.0 for name in names)
    dearer = two / one if one else 0.0
    limit = values.get("archive.limit.two_over_one")
    most = "" if limit is None else f"; a matrix product alone, in two processes over one, gives {limit:.2f} here"
    return (
        f"two workers give {gain:.2f} times one core: a picture costs {dearer:.2f} times as much of a core beside "
        f"another worker, and {busy:.2f} cores are busy, start and end counted{most}"
    )


MEANING = {
    "archive.rate_spread": "fastest stretch over slowest, less 1; target at most 0.10",
    "archive.cost_first": "of a picture in the first stretch, on all workers together",
    "archive.cost_last": "the same in the last",
    "archive.memory_growth_mb": "of all processes from 1,000 pictures on: least-squares line, from end to end",
    "archive.memory_bytes_per_picture": "its slope",
    "archive.memory_mb": "the most, all processes together",
    "archive.listing_us": "the listing, a picture",
    "archive.ratio.local_over_ray": "rate of two processes over two actors of Ray; target at most 1.15",
    "archive.ratio.two_over_one_core": "two workers over one process on one core; target at least 1.7 on 2 cores",
    "archive.limit.two_over_one": "matrix products of two processes over one's: what a second core can add here",
    "archive.ratio.two_over_one_process": "the same beside one whose readers may use the other core",
    **{f"archive.start_s.{name}": "beside the pictures: begin and end" for name in WAYS},
    **{f"archive.core_ms.{name}": "of a core's time a picture, begin and end counted" for name in WAYS},
    **{f"archive.cores_busy.{name}": "cores that were busy, on average" for name in WAYS},
}
