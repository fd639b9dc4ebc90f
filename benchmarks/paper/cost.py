"""What filling the paper's tables costs on this machine: a small sample of every stage, times the exact counts.

The counts are those of `jobs`, which the runner itself follows, and of the published sets. A stage is timed once or a
few times, on the machine as it is: the hours are an estimate, good to some ten percent on a quiet machine.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wordsight.benchmarks.paper.figures import classes
from wordsight.benchmarks.paper.jobs import SINGLE, Job, Place, jobs
from wordsight.benchmarks.paper.plan import Setting, all_settings
from wordsight.benchmarks.shots import SHOTS
from wordsight.runtime.figures import Figure

if TYPE_CHECKING:
    from wordsight.train.encoders import Encoder

SIZES = {"MVTec-AD": (1_725, 3_629), "VisA": (2_162, 8_659), "SewerML": (130_046, 0)}
"""Test pictures, and good pictures to draw references from, as their publishers count them: MVTec AD (Bergmann et al.,
CVPR 2019), VisA (lines of its split_csv/1cls.csv), Sewer-ML (Haurum and Moeslund, CVPR 2021; its validation set)."""
GIB = 2**30


@dataclass(frozen=True)
class Counts:
    """How often each stage is done. Pictures by (crops, data set)."""

    prompts: int
    fitted_pairs: int
    """Pairs that heads are fitted on, in all."""
    exports: Counter[str]
    """By crops."""
    pictures: Counter[tuple[str, str]]
    comparisons: int
    """Pairs of a scored picture and one reference, for WinCLIP's association."""
    settings: int
    passes: int
    """Classes scored by a file: what the settings share."""


@dataclass(frozen=True)
class Units:
    """Seconds, and bytes, of one of each, measured here."""

    prompt_s: float
    fitted_pair_s: float
    export_s: dict[str, float]
    """By crops, as all below."""
    picture_s: dict[str, float]
    comparison_s: float | None
    """None where the encoder has no windows."""
    file_bytes: dict[str, int]
    embed_dim: int


@dataclass(frozen=True)
class Line:
    """A stage: `count` times `unit_s`."""

    stage: str
    unit_s: float
    count: int
    of: str
    """What is counted."""

    @property
    def hours(self) -> float:
        """Here."""
        return self.unit_s * self.count / 3600


def count(seeds: int, settings: Iterable[Setting] | None = None) -> Counts:
    """Count the work of these settings, all of the paper's without them, each done once."""
    wanted = list(settings or all_settings())
    found = list(jobs(wanted))
    recipes = {(job.pair, job.num_pairs) for job in found}
    # The association's pass is the same file as the single view's, so it is made, and a class scored, once.
    passes = {(job.pair, job.num_pairs, job.crops, place): job for job in found for place, _ in job.by_place()}
    passes |= {(job.pair, job.num_pairs, SINGLE, place): job for job in found for place in job.associated}
    exports = Counter(crops for _, _, crops in {key[:3] for key in passes})
    pictures: Counter[tuple[str, str]] = Counter()
    comparisons = 0.0
    totals: dict[tuple[str, str], float] = {}
    for (_, _, crops, place), job in passes.items():
        test, good, references = _pictures(place, job, seeds, crops)
        totals[crops, place[0]] = totals.get((crops, place[0]), 0.0) + test + good
        comparisons += test * references
        if crops == SINGLE:  # the references' grids are taken from the file a second time
            totals[crops, place[0]] += references
    pictures.update({key: round(value) for key, value in totals.items()})
    each = sum(size for _, size in recipes)
    return Counts(2 * seeds * each, seeds * each, exports, pictures, round(comparisons), len(wanted), len(passes))


def _pictures(place: Place, job: Job, seeds: int, crops: str) -> tuple[float, float, float]:
    """Test and good pictures of one class, taken as an even share of its set, and distinct references drawn of it."""
    among = len(classes(place[0]))
    test, good = (size / among for size in SIZES[place[0]])
    if place not in job.referenced:
        return test, 0.0, 0.0
    # Of M pictures, k drawn leave each out with 1 - k / M; draws do not know of each other.
    left = float(np.prod([max(0.0, 1 - shots / good) ** seeds for shots in SHOTS])) if good else 1.0
    return test, good, good * (1 - left) if crops == SINGLE else 0.0


def measure(encoder: "Encoder", folder: Path, say: Callable[[str], None] = print) -> Units:
    """Time a small sample of every stage.

    Args:
        encoder: what is to be measured; its weights do not change the times.
        folder: for heads, exported files and a picture.
        say: called with a line for people before each stage.
    """
    import cv2

    from wordsight.benchmarks.building import exported
    from wordsight.export.crops import DEFAULT_MULTICROP
    from wordsight.export.windows import has_windows
    from wordsight.runtime.model import Model
    from wordsight.runtime.pictures import read_picture
    from wordsight.train.checkpoint import save_heads
    from wordsight.train.embed import embed_texts
    from wordsight.train.fit import Settings, fit_head
    from wordsight.train.prompts import PromptPair, random_prompts

    say("text: 256 prompts")
    normal, anomalous = random_prompts(PromptPair(), 160, 0)
    embed_texts(encoder, normal[128:] + anomalous[128:], progress=False)  # warms up
    prompt_s = _seconds(lambda: embed_texts(encoder, normal[:128] + anomalous[:128], progress=False)) / 256
    say("heads: one on 2,000 pairs")
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((2, 2000, encoder.embed_dim)).astype(np.float32)
    settings = Settings(num_pairs=2000)
    fitted_pair_s = _seconds(lambda: fit_head(rows[0], rows[1], settings, 0)) / 2000
    heads = [fit_head(rows[0, :256], rows[1, :256], settings, seed) for seed in range(10)]
    save_heads(folder / "head.safetensors", heads, settings, range(10), encoder)
    picture = folder / "picture.png"
    # As large as most pictures of MVTec AD; smooth, so that its file is of the size of a photograph's.
    cv2.imwrite(str(picture), cv2.resize(rng.integers(0, 256, (90, 90, 3), np.uint8), (900, 900)))

    export_s, picture_s, file_bytes = {}, {}, {}
    comparison_s = None
    for crops in (SINGLE, DEFAULT_MULTICROP):
        say(f"export, {crops}")
        export_s[crops] = _seconds(lambda: exported(encoder.spec, settings, range(10), folder, crops, ["screw"]))  # noqa: B023
        path = exported(encoder.spec, settings, range(10), folder, crops, ["screw"])
        file_bytes[crops] = path.stat().st_size
        say(f"pictures, {crops}")
        with Model(path) as model:
            scores = model.score([read_picture(picture)])  # warms up
            # In batches as the runner's: 4 of them, which is about what one of 32 takes a picture.
            picture_s[crops] = _seconds(lambda: model.score([read_picture(picture)] * 4)) / 4
        if crops == SINGLE and has_windows(encoder.model.get_submodule("visual")):
            comparison_s = _comparison(scores)
    return Units(prompt_s, fitted_pair_s, export_s, picture_s, comparison_s, file_bytes, encoder.embed_dim)


def lines(units: Units, counts: Counts) -> list[Line]:
    """Every stage with its unit cost and its count."""
    found = [
        Line("text embeddings", units.prompt_s, counts.prompts, "prompts"),
        Line("heads", units.fitted_pair_s, counts.fitted_pairs, "pairs fitted"),
        *(Line(f"exports, {crops}", units.export_s[crops], n, "files") for crops, n in counts.exports.items()),
        *(Line(f"{name}, {crops}", units.picture_s[crops], n, "pictures")
          for (crops, name), n in sorted(counts.pictures.items())),
    ]  # fmt: skip
    if units.comparison_s is not None:
        found.append(Line("association", units.comparison_s, counts.comparisons, "pictures x references"))
    return found


def disk_bytes(units: Units, counts: Counts, seeds: int) -> int:
    """What the output folder takes in the end: exported files, heads, and kept scores and embeddings."""
    files = sum(units.file_bytes[crops] * n for crops, n in counts.exports.items())
    head = 4 * (units.embed_dim * 512 + 512 * 256 + 256 * 128 + 3 * 1000) * seeds
    kept = sum(counts.pictures.values()) * (4 * units.embed_dim + 8 * seeds * (1 + len(SHOTS)) + 100)
    return files + head * max(counts.exports.values()) + kept


def figures(found: Iterable[Line], units: Units, counts: Counts, seeds: int) -> list[Figure]:
    """As every command writes them."""
    every = list(found)
    parts = [
        figure
        for line in every
        for figure in (
            Figure(f"seconds/{line.stage}", line.unit_s, "s"),
            Figure(f"count/{line.stage}", line.count, line.of),
            Figure(f"hours/{line.stage}", line.hours, "h"),
        )
    ]
    total = sum(line.hours for line in every)
    return [
        *parts,
        Figure("hours/total", total, "h"),
        Figure("hours/without SewerML", total - sum(ln.hours for ln in every if ln.stage.startswith("SewerML")), "h"),
        Figure("disk", disk_bytes(units, counts, seeds) / GIB, "GiB"),
        Figure("count/settings", counts.settings, "settings"),
        Figure("count/passes", counts.passes, "classes scored by a file"),
    ]


def _comparison(scores: object) -> float:
    """Seconds to compare one picture's grid with one reference's."""
    from wordsight.runtime.nearest import nearest_distance
    from wordsight.runtime.references import GRID

    grids = [getattr(scores, name)[0] for name in GRID]
    return _seconds(lambda: [nearest_distance(grid, grid) for _ in range(20) for grid in grids]) / 20


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
