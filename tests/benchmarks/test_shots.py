"""References over whole sets: the association of every draw against the runtime's own, picture by picture."""

import numpy as np
import pytest

from wordsight.benchmarks.building import exported
from wordsight.benchmarks.collect import collect
from wordsight.benchmarks.datasets import Dataset, Sample
from wordsight.benchmarks.fold import random_checkpoint
from wordsight.benchmarks.methods import association, winclip_few_shot
from wordsight.benchmarks.shots import SHOTS, CannotFill, drawn
from wordsight.runtime import Model
from wordsight.runtime.few_shot import s_img, winclip_sum
from wordsight.runtime.reference_builder import frame_sha256
from wordsight.runtime.references import GRID, ReferenceFrame, References, origin_of
from wordsight.train.fit import Settings
from wordsight.train.mini import training_nouns

DRAWS = 2


@pytest.fixture(scope="module")
def windows_file(small_vit, tmp_path_factory):
    folder = tmp_path_factory.mktemp("windows")
    spec = random_checkpoint(small_vit(2), folder)
    return exported(spec, Settings(num_pairs=40), range(DRAWS), folder, "single", ["nut", "bolt"])


@pytest.fixture(scope="module")
def dataset():
    shown = list(training_nouns(18, seed=3))
    nouns = ["nut", "bolt"]
    test = [Sample(f"{i}", p.label, "x", nouns[i % 2], frame=p.image) for i, p in enumerate(shown[:4])]
    # Five good nuts and three good bolts: too few bolts for four references.
    fit = [Sample(f"f{i}", 0, "good", nouns[i % 2 if i < 6 else 0], frame=p.image) for i, p in enumerate(shown[4:12])]
    return Dataset("two nouns", test, fit)


def test_every_draw_is_what_the_runtime_says_of_these_references(windows_file, dataset, tmp_path):
    with Model(windows_file) as model:
        outputs = collect(model, dataset, tmp_path / "kept.npz")
        scores = model.score([sample.load() for sample in dataset.test])
        good = model.score([sample.load() for sample in dataset.fit])
        for shots in SHOTS[:2]:
            found = association(outputs, shots)
            assert found.shape == (DRAWS, len(dataset.test))
            for draw in range(DRAWS):
                for index, sample in enumerate(dataset.test):
                    places = drawn(outputs.good_groups, sample.noun, shots, draw)
                    assert {dataset.fit[at].noun for at in places} == {sample.noun}
                    frames = tuple(ReferenceFrame(name=f"{at}", frame=0, sha256=frame_sha256(dataset.fit[at].load()))
                                   for at in places)  # fmt: skip
                    vectors = {name: getattr(good, name)[places] for name in GRID}
                    expected = s_img(scores, References(origin_of(model), frames, vectors), "association")[index]
                    assert found[draw, index] == pytest.approx(float(expected), abs=1e-6)
    assert len(np.unique(association(outputs, 1).round(6))) > 2  # two draws, and frames that differ
    known = winclip_sum(outputs.s_winclip_known, association(outputs, 2))
    np.testing.assert_allclose(winclip_few_shot(outputs, 2), known, atol=1e-7)


def test_a_group_with_too_few_good_pictures_is_said_and_costs_the_others_nothing(windows_file, dataset, tmp_path):
    with Model(windows_file) as model:
        outputs = collect(model, dataset, tmp_path / "kept.npz")
    with pytest.raises(CannotFill, match="4 references asked for, the set has 3"):
        association(outputs, 4)
    four = outputs.s_association[SHOTS.index(4)]
    np.testing.assert_array_equal(np.isnan(four), np.tile(outputs.groups == "bolt", (DRAWS, 1)))


def test_scores_kept_by_an_earlier_version_are_made_anew(windows_file, dataset, tmp_path):
    keep = tmp_path / "kept.npz"
    with Model(windows_file) as model:
        first = collect(model, dataset, keep)
        with np.load(keep) as arrays:
            older = {name: arrays[name] for name in arrays if name != "s_association"}
        np.savez(keep, **older)
        again = collect(model, dataset, keep)
    np.testing.assert_array_equal(again.s_association, first.s_association)
