"""Offline: frames a second against the batch, and what share of the arithmetic ceiling the best batch reaches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from wordsight.benchmarks.speed import scenarios
from wordsight.benchmarks.speed.board import Watch
from wordsight.benchmarks.speed.latency import add_ceilings, add_fraction, add_peaks, measure_ceilings
from wordsight.benchmarks.speed.scenarios import Limit
from wordsight.benchmarks.speed.sheet import Sheet
from wordsight.benchmarks.speed.subjects import Subject

BATCHES = (1, 2, 4, 8, 16)
"""Without --batch. On a processor nothing is gained beyond them, and a pass takes seconds."""


@dataclass(frozen=True)
class Rates:
    """What was measured.

    Attributes:
        sheet: figures.
        by_batch: frames a second of each batch, by label.
    """

    sheet: Sheet
    by_batch: Mapping[str, Mapping[int, float]]


def columns(batches: Sequence[int]) -> dict[str, str]:
    """What the table shows."""
    return {
        **{f"throughput.batch_{batch}": f"batch {batch}" for batch in batches},
        "throughput.best": "best frames/s",
        "throughput.best_batch": "at batch",
        "flops.achieved": "GFLOP/s",
        "fraction.of_arithmetic_limit": "of limit",
        "memory.peak": "peak MB",
    }


def measure(
    subjects: Sequence[Subject],
    batches: Sequence[int],
    limit: Limit,
    threads: int,
    *,
    rounds: int = 5,
    peaks: bool = True,
) -> Rates:
    """Every batch of every subject, in turns.

    Args:
        subjects: open, ready for the largest batch.
        batches: frames a query, in rising order.
        limit: of each subject; its time is shared by the batches, its queries are not.
        threads: of engines and of the ceiling.
        rounds: of the ceiling's products.
        peaks: measure peak memory at the best batch, a process a subject.
    """
    sheet = Sheet([subject.label for subject in subjects], columns(batches))
    each = replace(limit, duration_s=limit.duration_s / len(batches), warm_up=1, blocks=3)
    found: dict[str, dict[int, float]] = {subject.label: {} for subject in subjects}
    with Watch() as board:
        for batch in batches:
            taken = scenarios.in_turns({s.label: s.query(batch) for s in subjects}, each, f"batch {batch}")
            for label, seconds in taken.items():
                # Offline counts all frames over all time: a slow query is part of it, unlike in a median.
                found[label][batch] = batch * len(seconds) / sum(seconds)
                sheet.add(f"throughput.batch_{batch}", label, found[label][batch], "frames/s",
                          low=batch / max(seconds), high=batch / min(seconds), n=len(seconds))  # fmt: skip
    ceilings = measure_ceilings(subjects, threads, rounds)
    for subject in subjects:
        best = best_batch(found[subject.label])
        sheet.add("throughput.best", subject.label, found[subject.label][best], "frames/s")
        sheet.add("throughput.best_batch", subject.label, best, "batch")
        add_fraction(sheet, subject, found[subject.label][best], ceilings)
        add_peaks(sheet, [subject], best, threads, peaks)
    add_ceilings(sheet, ceilings)
    sheet.figures += board.figures()
    return Rates(sheet, found)


def best_batch(rates: Mapping[int, float]) -> int:
    """The batch with most frames a second."""
    return max(rates, key=lambda batch: rates[batch])
