"""Which pictures a table is made of: by seed, the same for all, nested, and refused where there are too few."""

import numpy as np
import pytest

from wordsight.benchmarks.datasets import Dataset, Sample
from wordsight.benchmarks.rivals.draws import category, content_sha256, shuffled
from wordsight.benchmarks.rivals.methods import METHODS, cells, chosen, shot_counts
from wordsight.benchmarks.rivals.nouns import nouns
from wordsight.benchmarks.rivals.others import Part, others_of
from wordsight.runtime.errors import SettingError


def dataset(good=20, defective=10, fit=9, name="parts"):
    def sample(kind, number, label):
        return Sample(f"{kind} {number}", label, kind, frame=np.full((4, 4, 3), number, np.uint8))

    test = [sample("good", i, 0) for i in range(good)] + [sample("bar", i, 1) for i in range(defective)]
    return Dataset(name, test, [sample("good", 100 + i, 0) for i in range(fit)])


def chosen_category(data=None, **changes):
    settings = {"shots": 4, "draws": 3, "good": 8, "defective": 5, "seed": 0, **changes}
    return category("set", data or dataset(), **settings)


def names(samples):
    return [sample.name for sample in samples]


def test_a_seed_chooses_so_many_of_each():
    one = chosen_category()
    assert [s.label for s in one.test] == [0] * 8 + [1] * 5
    assert names(one.test) == names(chosen_category().test)
    assert names(one.test) != names(chosen_category(seed=1).test)
    assert len(chosen_category(good=None, defective=None).test) == 30
    assert len(chosen_category(good=1000).test) == 25


def test_draws_are_nested_and_differ():
    one = chosen_category()
    assert names(one.support(4, 0))[:2] == names(one.support(2, 0))
    assert names(one.support(2, 0))[:1] == names(one.support(1, 0))
    assert len({tuple(names(one.support(4, d))) for d in range(3)}) == 3
    assert all(len(set(names(one.support(4, d)))) == 4 for d in range(3))
    assert not set(names(one.support(4, 0))) & set(names(one.test))


def test_fewer_shots_draw_from_the_same_order():
    assert names(chosen_category(shots=1).support(1, 2)) == names(chosen_category(shots=4).support(1, 2))


def test_more_shots_than_good_pictures_names_set_count_and_shots():
    with pytest.raises(SettingError, match=r"^parts has 3 good pictures to draw from, --shots asks for 4"):
        chosen_category(dataset(fit=3))


def test_an_order_is_a_permutation_that_does_not_change_with_numpy():
    assert sorted(shuffled(50, 3, 1)) == list(range(50))
    assert shuffled(8, 0, 0) == [3, 2, 1, 6, 0, 7, 4, 5]  # written down once: results name their pictures by it


def test_content_is_told_by_bytes_masks_and_labels_not_by_names(tmp_path):
    frame = np.zeros((2, 2, 3), np.uint8)
    base = Sample("a", 1, "bar", frame=frame, mask=np.ones((2, 2), bool))
    same = Sample("b", 1, "other", frame=frame.copy(), mask=np.ones((2, 2), bool))
    assert content_sha256([base]) == content_sha256([same])
    others = [
        Sample("a", 0, "bar", frame=frame, mask=base.mask), Sample("a", 1, "bar", frame=frame),
        Sample("a", 1, "bar", frame=frame + 1, mask=base.mask),
    ]  # fmt: skip
    assert len({content_sha256([sample]) for sample in [base, *others]}) == 4
    (tmp_path / "x.png").write_bytes(b"one")
    on_disk = Sample("x", 0, "good", path=tmp_path / "x.png")
    before = content_sha256([on_disk])
    (tmp_path / "x.png").write_bytes(b"two")
    assert content_sha256([on_disk]) != before


def test_what_a_method_measures():
    by_key = {method.key: method for method in METHODS}
    assert [(c.shots, c.draw) for c in cells("s", "c", by_key["clip"], (1, 2), 3)] == [(0, 0)]
    assert [(c.shots, c.draw) for c in cells("s", "c", by_key["fnn"], (1, 2), 3)] == [(0, 0), (0, 1), (0, 2)]
    assert len(cells("s", "c", by_key["padim"], (1, 2), 3)) == 6


@pytest.mark.parametrize("text", ["", "spade,knn", "SPADE"])
def test_an_unknown_method_is_refused(text):
    with pytest.raises(SettingError, match="--methods takes some of clip,fnn,spade"):
        chosen(text)


@pytest.mark.parametrize("text", ["", "0,1", "1,two", "-1", "1.5"])
def test_odd_shots_are_refused(text):
    with pytest.raises(SettingError, match="--shots takes whole numbers"):
        shot_counts(text)


def test_shots_and_methods_are_put_in_order():
    assert shot_counts("4, 1,2,1") == (1, 2, 4)
    assert [method.key for method in chosen("img, spade")] == ["spade", "img"]


def test_regad_is_never_trained_on_what_it_is_measured_on():
    first, second = chosen_category(), chosen_category(dataset(name="other"))
    groups = others_of(first, [Part(one, 0) for one in (first, second)]).categories()
    assert len(groups) == 1
    assert all(sample in second.fit for sample in groups[0])
    assert others_of(first, [Part(first, 0)]) is None
    few = chosen_category(dataset(fit=1), shots=1)
    assert others_of(first, [Part(first, 0), Part(few, 0)]) is None


def test_the_generators_nouns_are_a_class_each():
    classes = nouns(40)
    assert len(classes) == 10
    for one in classes:
        assert [s.noun for s in one.test + one.fit] == [one.name] * (len(one.test) + len(one.fit))
        assert [s.label for s in one.test] == [0, 1, 0, 1]
        assert len(one.fit) == 2
