"""Runs that fill the paper's cells: heads, exported files, scores through the runtime, one result file a run.

    FOLDER/heads/<words and N_p>/        heads, exported files and scores, kept
    FOLDER/runs/                         one JSON file a run, see `results`

What is there is not done again, so an interrupted run goes on where it was.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordsight.benchmarks.building import exported, in_name
from wordsight.benchmarks.collect import collect, every_word
from wordsight.benchmarks.datasets import Dataset, open_dataset
from wordsight.benchmarks.methods import Outputs, references, winclip_few_shot
from wordsight.benchmarks.metrics import aupr, auroc, f1_max
from wordsight.benchmarks.paper.figures import CLIP, KNOWN, METRICS, OURS, SUM, WINCLIP
from wordsight.benchmarks.paper.jobs import SINGLE, Place, jobs, key_of, place_of, shots_of
from wordsight.benchmarks.paper.plan import Setting, all_settings
from wordsight.benchmarks.paper.results import Run, is_done, save_run
from wordsight.benchmarks.shots import CannotFill
from wordsight.runtime.errors import SettingError
from wordsight.runtime.files import check_output_folder
from wordsight.runtime.manifest import EncoderSpec
from wordsight.runtime.model import Model
from wordsight.train.fit import Settings

Floats = NDArray[np.float64]

COLLECTIONS = {"mvtec-ad": "MVTec-AD", "visa": "VisA", "sewer-ml": "SewerML"}
"""What the paper's tables call the published sets."""


def run_all(
    roots: Sequence[Path], folder: Path, encoder: str, seeds: int = 10, say: Callable[[str], None] = print,
    settings: Iterable[Setting] | None = None, random_weights: bool = False,
) -> Path:  # fmt: skip
    """Run every setting of the paper on the sets that are there.

    Args:
        roots: folders of published sets.
        folder: where everything is kept; made if it is not there.
        encoder: "mini", "NAME:TAG" or "NAME:/path/to/checkpoint".
        seeds: heads, and draws of references.
        say: called with a line for people for each class.
        settings: which settings to run; all of the paper's without it.
        random_weights: the encoder knows nothing: its runs are marked, and fill no cell.

    Returns:
        The folder of the runs.

    Raises:
        SettingError: a folder is not one of the sets of the paper, or no folder was given.
        LayoutError: a set is missing or incomplete; says the layout expected and the licence to accept.
    """
    sets = {(COLLECTIONS[d.collection], key_of(_class(d))): d for root in roots for d in _published(root)}
    if not sets:
        raise SettingError("expected the folder of MVTec AD, VisA or Sewer-ML")
    check_output_folder(folder)
    words = every_word(list(sets.values()))
    runs = folder / "runs"
    for job in jobs(setting for setting in settings or all_settings() if place_of(setting) in sets):
        home = folder / "heads" / f"{key_of(job.pair.normal)}-{key_of(job.pair.anomalous)}-{job.num_pairs}"
        home.mkdir(parents=True, exist_ok=True)
        heads = Settings(pair=job.pair, num_pairs=job.num_pairs)
        path = exported(encoder, heads, range(seeds), home, job.crops, words)
        with Model(path) as model:
            for place, of_class in job.by_place():
                todo = [s for s in of_class if not _done(runs, s, model, job.crops, seeds)]
                if not todo:
                    continue
                say(f"{place[0]} {todo[0].category or ''} {job.pair.normal} / {job.pair.anomalous} {job.crops}")
                # Train has twice as many pictures as test: they are scored only where references are taken from them.
                pictures = sets[place] if place in job.referenced else replace(sets[place], fit=[])
                outputs = collect(model, pictures, home / _kept(place, job.crops))
                if place in job.associated and any(s.method == WINCLIP and shots_of(s) for s in todo):
                    association = _association(encoder, heads, seeds, home, words, pictures, place)
                    outputs = replace(outputs, s_association=association)
                for setting in todo:
                    _save(runs, setting, outputs, model, job.crops, random_weights)
    return runs


def scores_of(setting: Setting, outputs: Outputs) -> Floats:
    """Scores (S, N) of a setting; S is 1 where no seed decides anything.

    With references the object is taken as known: the paper sets them beside WinCLIP's, which names it.

    Raises:
        CannotFill: this file cannot fill the cell.
    """
    shots = shots_of(setting)
    known = setting.setup.startswith(KNOWN) or shots > 0
    heads = outputs.s_fnn_seeds.T
    if setting.method == OURS:
        return np.asarray(heads)
    s_pr = outputs.known() if known else outputs.s_pr
    if setting.method == CLIP:
        return np.asarray(s_pr[None])
    if setting.method == WINCLIP:
        return winclip_few_shot(outputs, shots) if shots else outputs.winclip(known=known)[None]
    if setting.method != SUM:
        raise CannotFill(f"{setting.method} is no method of Wordsight")
    total = s_pr + heads
    return np.asarray(total + references(outputs, shots, len(heads)) if shots else total)


def _save(runs: Path, setting: Setting, outputs: Outputs, model: Model, crops: str, random_weights: bool) -> None:
    about = model.manifest.encoder
    common = (setting, label(about), about.sha256, crops)
    good, bad = int((outputs.labels == 0).sum()), int(outputs.labels.sum())
    try:
        rows = scores_of(setting, outputs)
    except CannotFill as reason:
        save_run(runs, Run(*common, None, reason=str(reason), random_weights=random_weights))
        return
    for number, row in enumerate(rows):
        values = (auroc(outputs.labels, row), aupr(outputs.labels, row), f1_max(outputs.labels, row).value)
        seed = None if _seedless(setting) else number
        save_run(runs, Run(*common, seed, dict(zip(METRICS, values, strict=True)), good=good, defective=bad,
                           random_weights=random_weights, model_sha256=model.sha256))  # fmt: skip


def _done(runs: Path, setting: Setting, model: Model, crops: str, seeds: int) -> bool:
    numbers: Sequence[int | None] = [None] if _seedless(setting) else range(seeds)
    return all(is_done(runs, setting, model.manifest.encoder.sha256, crops, number) for number in numbers)


def _seedless(setting: Setting) -> bool:
    """Whether no seed decides anything, neither of a head nor of a draw of references: one run a setting."""
    return setting.method == CLIP or (setting.method == WINCLIP and not shots_of(setting))


def _kept(place: Place, crops: str) -> str:
    return f"{place[0]}-{place[1] or 'all'}-{in_name(crops)}.npz"


def _association(
    encoder: str, heads: Settings, seeds: int, home: Path, words: Sequence[str], pictures: Dataset, place: Place,
) -> Floats:  # fmt: skip
    """WinCLIP's association, which only a file of the single view can give: its windows are of one square."""
    path = exported(encoder, heads, range(seeds), home, SINGLE, words)
    with Model(path) as model:
        return collect(model, pictures, home / _kept(place, SINGLE)).s_association


def label(encoder: EncoderSpec) -> str:
    """What a result calls its encoder; a local checkpoint is told by its hash."""
    if encoder.weights == "mini":
        return "mini"
    weights = f"sha256 {encoder.sha256[:12]}" if encoder.weights == "local checkpoint" else encoder.weights
    return f"{encoder.name}:{weights}"


def _published(root: Path) -> list[Dataset]:
    found = open_dataset(root)
    if any(dataset.collection not in COLLECTIONS for dataset in found):
        raise SettingError(f"{root} is not a whole set of the paper (MVTec AD, VisA, Sewer-ML); see `bench results`")
    return found


def _class(dataset: Dataset) -> str:
    return "" if dataset.collection == "sewer-ml" else dataset.name
