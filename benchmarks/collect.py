"""Pictures through one exported file, kept on disk, so that a long table goes on where it was interrupted."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wordsight.benchmarks import progress
from wordsight.benchmarks.datasets import Dataset, Sample
from wordsight.benchmarks.methods import Outputs
from wordsight.benchmarks.shots import Association
from wordsight.runtime.errors import WordsightError
from wordsight.runtime.files import whole_file
from wordsight.runtime.references import GRID

if TYPE_CHECKING:
    from wordsight.runtime.model import Model, Scores

_CHUNK = 32  # pictures held in memory at a time
_NAMES = ("s_pr", "s_fnn_seeds", "embedding")


def object_words(dataset: Dataset) -> list[str]:
    """What the pictures show, in words a prompt can use; empty where nobody said."""
    nouns = sorted({sample.noun for sample in dataset.test} - {""})
    return nouns or ([dataset.object_word] if dataset.object_word else [])


def every_word(sets: Sequence[Dataset]) -> list[str]:
    """The words of all sets, sorted: what one file must know by name to serve them all."""
    return sorted({word for dataset in sets for word in object_words(dataset)})


def collect(model: "Model", dataset: Dataset, keep: Path) -> Outputs:
    """Score a set with a file, or read what an earlier call kept.

    Where the file has windows, each picture is also compared with references, drawn as often as the file has heads.

    Args:
        model: an exported file with the outputs s_fnn_seeds and embedding, and with the set's objects by name.
        dataset: what to score.
        keep: the npz file that keeps the outputs; of another model or another set it is made anew.

    Raises:
        PictureError: a picture cannot be read: a table must not be of fewer pictures than it says.
        WordsightError: the file lacks an output.
    """
    identity = f"{model.sha256} {dataset.name} {len(dataset.test)} {len(dataset.fit)}"
    if (kept := _load(keep, identity)) is not None:
        return kept
    words = object_words(dataset)
    good = _scores(model, dataset.fit, "good pictures", [])
    good_groups = np.array([sample.noun for sample in dataset.fit], np.str_)
    association = None
    if set(GRID) <= model.manifest.outputs.keys():
        groups, draws = [sample.noun for sample in dataset.test], len(model.manifest.head.seeds)
        association = Association(model, dataset.fit, good_groups, groups, draws)
    test = _scores(model, dataset.test, f"{dataset.name[:20]}", words, association)

    def own(name: str) -> np.ndarray:
        """Each picture's own object's column (N,); nothing without names or without that output."""
        if not words or name not in test:
            return np.zeros(0)
        listed = [known.name for known in model.manifest.objects]
        columns = [listed.index(sample.noun or words[0]) for sample in dataset.test]
        return np.asarray(test[name][np.arange(len(columns)), columns], np.float64)

    outputs = Outputs(
        labels=np.array([sample.label for sample in dataset.test], np.int64),
        groups=np.array([sample.noun for sample in dataset.test], np.str_),
        s_pr=test["s_pr"].astype(np.float64),
        s_pr_known=own("s_pr_objects"),
        s_winclip=test.get("s_winclip", np.zeros(0)).astype(np.float64),
        s_winclip_known=own("s_winclip_objects"),
        s_association=test.get("s_association", np.zeros(0)),
        s_fnn_seeds=test["s_fnn_seeds"].astype(np.float64),
        embedding=test["embedding"],
        good_embedding=good["embedding"],
        good_groups=good_groups,
    )
    with whole_file(keep) as file:
        np.savez(file, identity=np.array(identity), **{name: getattr(outputs, name) for name in Outputs.names()})
    return outputs


def _load(path: Path, identity: str) -> Outputs | None:
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if str(arrays["identity"]) != identity or not set(Outputs.names()) <= set(arrays):
                return None
            return Outputs(**{name: arrays[name] for name in Outputs.names()})
    except (OSError, ValueError, KeyError) as error:
        raise WordsightError(f"{path} is damaged ({error}): delete it and run again") from error


def _scores(
    model: "Model", samples: Sequence[Sample], title: str, words: list[str], association: Association | None = None
) -> dict[str, np.ndarray]:
    names = [*_NAMES, *(["s_pr_objects"] if words else [])]
    names += [name for name in ("s_winclip", "s_winclip_objects") if name in model.manifest.outputs]
    parts: list[dict[str, np.ndarray]] = []
    with progress.bar(title, len(samples)) as tick:
        for start in range(0, len(samples), _CHUNK):
            chunk = samples[start : start + _CHUNK]
            scores = model.score([sample.load() for sample in chunk])
            parts.append(_named(model, scores, names))
            if association is not None:
                parts[-1]["s_association"] = association.of(scores, [sample.noun for sample in chunk])
            for _ in chunk:
                tick()
    parts = parts or [_named(model, model.score([]), names)]
    return {name: np.concatenate([part[name] for part in parts], axis=-1 if name == "s_association" else 0)
            for name in parts[0]}  # fmt: skip


def _named(model: "Model", scores: "Scores", names: Sequence[str]) -> dict[str, np.ndarray]:
    """The outputs by name, without those that need not be kept: windows of 32 pictures are 54 MB."""
    found = {name: getattr(scores, name) for name in names}
    if lacking := [name for name, array in found.items() if array is None]:
        raise WordsightError(f"{model.path} has no output {lacking[0]}: export it with --seeds-output and --objects")
    return found
