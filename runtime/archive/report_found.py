"""All that a report tells, gathered from the shards in one pass, and the rows of the highest scores in a second."""

import itertools
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wordsight.runtime.archive.report_bins import Histogram, Span, Times
from wordsight.runtime.archive.report_read import Archive, ShardReader
from wordsight.runtime.archive.report_top import Candidate, Folded, Top, candidate, fold
from wordsight.runtime.archive.shards import Unread
from wordsight.runtime.errors import ArchiveError

DECISIONS = ("good", "unsure", "defect")
MOST_REASONS = 50
"""Different reasons that are counted one by one; what comes later is "other reasons"."""
_EXAMPLES = 3
_PACE = 500  # finished shards, the last ones, that tell how fast it goes
_SEED = 9


@dataclass
class Reason:
    """A reason for which pictures were not scored: how many, and the first of them."""

    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass
class Decided:
    """Pictures with one decision: their scores, and the highest of them."""

    scores: Histogram = field(default_factory=Histogram)
    high: float = -np.inf


@dataclass
class Found:
    """What an archive says.

    Attributes:
        archive: the run.
        scored: pictures.
        unreadable: pictures that were not.
        odd: scored pictures whose score is not finite; they are in nothing below.
        reasons: of those that were not scored.
        decided: by decision; None where there is no threshold.
        undated: pictures whose time is not known.
        spans: the others over time.
        looked_at: pictures among which those that look alike were folded: the ones with the highest scores.
        groups: these, folded, the highest score first.
        alike: cosine from which they were.
        has_embeddings: whether they could be.
    """

    archive: Archive
    scored: int = 0
    unreadable: int = 0
    odd: int = 0
    reasons: dict[str, Reason] = field(default_factory=dict)
    decided: dict[str | None, Decided] = field(default_factory=dict)
    undated: int = 0
    spans: list[Span] = field(default_factory=list)
    looked_at: int = 0
    groups: list[Folded] = field(default_factory=list)
    alike: float = 1.0
    has_embeddings: bool = False

    @property
    def scores(self) -> Histogram:
        """Of all decisions together."""
        result = Histogram()
        for one in self.decided.values():
            result = result.merged(one.scores)
        return result

    @property
    def folded(self) -> int:
        """Pictures that were folded into others."""
        return self.looked_at - len(self.groups)


@dataclass(frozen=True)
class Pace:
    """How fast a run goes, by the last shards that it finished.

    Attributes:
        shard_s: seconds from one finished shard to the next.
        left_s: seconds that the rest takes at this pace.
        silent_s: seconds since the last one was finished.
        longest_s: the longest wait for one of them.
        of: shards that tell it.
    """

    shard_s: float
    left_s: float
    silent_s: float
    longest_s: float
    of: int

    @property
    def stalled(self) -> bool:
        """Whether nothing came for so long that the run has probably stopped."""
        return self.silent_s > max(60.0, 10 * self.longest_s)


def pace(archive: Archive, now: float) -> Pace | None:
    """Return the pace of a run that is not finished; None without three finished shards to tell it by.

    A pause, such as from a stopped run to its resumption, is left out: a wait of more than ten times the next longest.
    Many workers that finish together and then nothing for a while make many long waits, which are none.
    """
    times = sorted(shard.finished for shard in archive.done)[-_PACE:]
    left = archive.run.shards - len(archive.done)
    if len(times) < 3 or not left:
        return None
    gaps = sorted(after - before for before, after in itertools.pairwise(times))
    while len(gaps) > 2 and gaps[-1] > 10 * gaps[-2] > 0:
        gaps.pop()
    shard_s = statistics.fmean(gaps)
    return Pace(shard_s, left * shard_s, max(0.0, now - times[-1]), gaps[-1], len(gaps) + 1)


def gather(archive: Archive, candidates: int, alike: float, on_shard: Callable[[], None] = lambda: None) -> Found:
    """Read every finished shard once, and of a few the rows of the highest scores again.

    Memory does not grow with the number of pictures: scores are counted in bins, of every bin of time a sample is
    kept, and of the embeddings those of `candidates` pictures alone.

    Args:
        archive: the run.
        candidates: how many of the highest scores are looked at more closely.
        alike: cosine from which two of them are folded into one.
        on_shard: called after each shard.

    Raises:
        ArchiveError: a shard is damaged or does not belong to the run.
    """
    found, top, times = Found(archive, alike=alike), Top(candidates), Times()
    dims: dict[int, int] = {}
    for shard in archive.done:
        with ShardReader(archive, shard) as reader:
            _scores(found, top, times, reader, shard.number)
            for item in reader.failures():
                _failure(found, item)
            found.scored += reader.scored
            dims.setdefault(reader.dim, shard.number)
        on_shard()
    if len(dims) > 1:
        told = " and ".join(f"{dim} in shard {number}" for dim, number in dims.items())
        raise ArchiveError(f"{archive.folder}: expected embeddings of one length, got {told}")
    found.spans = times.spans()
    found.has_embeddings = any(dims)
    _look_closer(found, top)
    return found


def _scores(found: Found, top: Top, times: Times, reader: ShardReader, number: int) -> None:
    rng, row = np.random.default_rng((_SEED, number)), 0
    for batch in reader.batches(("score", "decision", "modified")):
        scores = batch.column("score").to_numpy(zero_copy_only=False).astype(np.float64)
        finite = np.isfinite(scores)
        found.odd += int((~finite).sum())
        top.add(np.where(finite, scores, -np.inf), number, row)
        row += len(scores)
        decisions = batch.column("decision").to_numpy(zero_copy_only=False)
        _known(reader, decisions)
        for decision in (None, *DECISIONS):
            mine = scores[finite & (decisions == decision)]
            if len(mine):
                kept = found.decided.setdefault(decision, Decided())
                kept.scores.add(mine)
                kept.high = max(kept.high, float(mine.max()))
        modified = batch.column("modified")
        dated = finite & modified.is_valid().to_numpy(zero_copy_only=False)
        found.undated += int((finite & ~dated).sum())
        seconds = modified.cast("int64").fill_null(0).to_numpy(zero_copy_only=False) // 1_000_000
        times.add(seconds[dated], scores[dated], rng.random(len(scores))[dated])


def _known(reader: ShardReader, decisions: Any) -> None:
    for decision in {*decisions} - {None, *DECISIONS}:
        raise ArchiveError(f"{reader.path}: expected a decision good, unsure, defect or none, got {decision!r}")


def _failure(found: Found, item: Unread) -> None:
    found.unreadable += 1
    reason = " ".join(item.reason.replace(item.source, "").split()).removeprefix("is ").strip(" :") or "no reason given"
    if reason not in found.reasons and len(found.reasons) >= MOST_REASONS:
        reason = "other reasons"
    kept = found.reasons.setdefault(reason, Reason())
    kept.count += 1
    if len(kept.examples) < _EXAMPLES:
        kept.examples.append(item.source)


def _look_closer(found: Found, top: Top) -> None:
    shards = {shard.number: shard for shard in found.archive.done}
    items: list[tuple[tuple[float, int, int], Candidate]] = []
    for number, rows in top.by_shard().items():
        with ShardReader(found.archive, shards[number]) as reader:
            for row, values in reader.rows(rows):
                item = candidate(number, row, reader.scored, values)
                if np.isfinite(item.score):
                    items.append(((-item.score, number, row), item))
    items.sort(key=lambda pair: pair[0])
    found.looked_at = len(items)
    found.groups = fold([item for _, item in items], found.alike)
