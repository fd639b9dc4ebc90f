"""Single stream and multi-stream, the way of a frame in parts, memory, and the share of the arithmetic ceiling."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from wordsight.benchmarks import ceiling, progress
from wordsight.benchmarks.ceiling import Ceiling
from wordsight.benchmarks.speed import memory, scenarios, split
from wordsight.benchmarks.speed.board import Watch
from wordsight.benchmarks.speed.scenarios import STREAMS, Limit
from wordsight.benchmarks.speed.sheet import Sheet
from wordsight.benchmarks.speed.subjects import Subject

COLUMNS = {
    "latency.single_stream.p50": "p50 ms",
    "latency.single_stream.p90": "p90 ms",
    "latency.single_stream.p99": "p99 ms",
    "latency.single_stream.p90.early_stopping": "p90 est. ms",
    "latency.multi_stream.p99": f"{STREAMS} frames p99 ms",
    "fraction.of_arithmetic_limit": "of limit",
    "memory.peak": "peak MB",
}
SPLIT_COLUMNS = {f"split.{part}": f"{part} ms" for part in split.PARTS}


@dataclass(frozen=True)
class Latencies:
    """What was measured.

    Attributes:
        sheet: figures.
        single: seconds of each query in single stream, by label.
        parts: median seconds of each part, by "LABEL, jpeg" and the like.
    """

    sheet: Sheet
    single: Mapping[str, Sequence[float]]
    parts: Mapping[str, Mapping[str, float]]


def measure(
    subjects: Sequence[Subject],
    limit: Limit,
    threads: int,
    frames: Mapping[str, list[bytes]],
    *,
    rounds: int = 5,
    peaks: bool = True,
) -> Latencies:
    """Every scenario, all subjects in turns.

    Args:
        subjects: open, each ready for `STREAMS` frames.
        limit: of each scenario and subject.
        threads: of engines and of the ceiling.
        frames: encoded pictures for the split, by the name of their kind.
        rounds: of the ceiling's products.
        peaks: measure peak memory, a process a subject.
    """
    sheet = Sheet([subject.label for subject in subjects], COLUMNS)
    with Watch() as board:
        enough = replace(limit, least=_fewest_queries(99))
        single = scenarios.in_turns({s.label: s.query(1) for s in subjects}, enough, "single stream")
    one = replace(limit, warm_up=1)  # eight frames of a ViT-B/16+ take a second and more
    multi = scenarios.in_turns({s.label: s.query(STREAMS) for s in subjects}, one, f"{STREAMS} streams")
    for subject in subjects:
        add_percentiles(sheet, "latency.single_stream", subject.label, single[subject.label], (50, 90, 99), 90)
        add_percentiles(sheet, "latency.multi_stream", subject.label, multi[subject.label], (50, 99), 99)
    ceilings = measure_ceilings(subjects, threads, rounds)
    for subject in subjects:
        add_fraction(sheet, subject, 1 / statistics.median(single[subject.label]), ceilings)
    add_ceilings(sheet, ceilings)
    parts = _split(sheet, subjects, frames, max(10, min(20, *(len(single[s.label]) for s in subjects))))
    add_peaks(sheet, subjects, 1, threads, peaks)
    sheet.figures += board.figures()
    return Latencies(sheet, single, parts)


def add_percentiles(
    sheet: Sheet, scenario: str, label: str, seconds: Sequence[float], percents: Sequence[int], claimed: int
) -> None:
    """Percentiles as they fell, and MLPerf's estimate of the `claimed` one; a percentile no query lies above is none.

    Of n queries the p-th percentile needs n above 100 / (100 - p), or it is the slowest query by another name.
    """
    count = len(seconds)
    for percent in percents:
        name = f"{scenario}.p{percent}"
        least = _fewest_queries(percent)
        if count < least:
            sheet.add(name, label, None, "ms", reason=f"{count} queries; p{percent} needs {least} or more")
        else:
            sheet.add(name, label, 1000 * scenarios.percentile(seconds, percent), "ms",
                      low=1000 * min(seconds), high=1000 * max(seconds), n=count)  # fmt: skip
    estimate = scenarios.early_stopping(seconds, claimed)
    name = f"{scenario}.p{claimed}.early_stopping"
    if estimate is None:
        least = scenarios.fewest(claimed)
        sheet.add(name, label, None, "ms", reason=f"{count} queries; 99% confidence in p{claimed} needs {least}")
    else:
        sheet.add(name, label, 1000 * estimate, "ms", n=count)


def _fewest_queries(percent: int) -> int:
    """Queries from which on some lie above the percentile: 101 for the 99th."""
    return round(100 / (100 - percent)) + 1


def measure_ceilings(subjects: Sequence[Subject], threads: int, rounds: int) -> dict[str, Ceiling]:
    """The ceilings that bound the subjects, by precision."""
    wanted = dict.fromkeys(s.arithmetic for s in subjects if s.arithmetic is not None)
    return {precision: ceiling.measure(precision, threads, rounds) for precision in wanted}


def add_ceilings(sheet: Sheet, ceilings: Mapping[str, Ceiling]) -> None:
    """The ceilings, which engine's product each is, and which engines did not take part."""
    for name, found in ceilings.items():
        sheet.figures.append(found.figure(name))
        sheet.notes.append(f"ceiling.{name} is of {found.engine} at {found.size}")
        sheet.notes += [f"ceiling.{name} without {engine}: {reason}" for engine, reason in found.refused.items()]


def add_fraction(sheet: Sheet, subject: Subject, frames_per_s: float, ceilings: Mapping[str, Ceiling]) -> None:
    """Arithmetic a second that a rate of frames is, and its share of the ceiling."""
    flops = subject.manifest.cost.flops
    if not flops:
        reason = "the file does not say its arithmetic (manifest: cost.flops); export it anew"
        sheet.add("flops.achieved", subject.label, None, "GFLOP/s", reason=reason)
        sheet.add("fraction.of_arithmetic_limit", subject.label, None, reason=reason)
        return
    sheet.add("flops.achieved", subject.label, flops * frames_per_s / 1e9, "GFLOP/s")
    if subject.arithmetic is None:
        reason = f"the ceiling here is the processor's, in fp32, bf16 or int8; not {subject.backend}'s"
        sheet.add("fraction.of_arithmetic_limit", subject.label, None, reason=reason)
        return
    sheet.add("fraction.of_arithmetic_limit", subject.label, ceilings[subject.arithmetic].fraction(flops, frames_per_s))


def add_peaks(sheet: Sheet, subjects: Sequence[Subject], batch: int, threads: int, wanted: bool = True) -> None:
    """Peak memory of each subject in a process of its own."""
    if not wanted:
        return
    with progress.bar("peak memory", len(subjects)) as tick:
        for subject in subjects:
            name = f"memory.peak.{subject.label}"
            sheet.figures.append(memory.peak(name, subject.path, subject.backend, batch, threads))
            tick()


def _split(
    sheet: Sheet, subjects: Sequence[Subject], frames: Mapping[str, list[bytes]], rounds: int
) -> dict[str, dict[str, float]]:
    parts: dict[str, dict[str, float]] = {}
    with progress.bar("parts of a frame", len(subjects) * len(frames)) as tick:
        for subject in subjects:
            for kind, pictures in frames.items():
                taken = split.measure(subject, pictures, rounds)
                parts[f"{subject.label}, {kind}"] = {part: statistics.median(taken[part]) for part in split.PARTS}
                for part, seconds in taken.items():
                    sheet.add(f"split.{part}", f"{subject.label}.{kind}", 1000 * statistics.median(seconds), "ms",
                              low=1000 * min(seconds), high=1000 * max(seconds), n=rounds)  # fmt: skip
                tick()
    return parts
