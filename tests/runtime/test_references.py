"""References as a set: how k of them are taken, what fits together, and what is refused."""

import numpy as np
import pytest

from wordsight.runtime.errors import SettingError
from wordsight.runtime.references import Origin, ReferenceFrame, References, ReferencesError
from wordsight.runtime.references_file import read_references, write_references

DIM = 4


def origin(**changes):
    facts = dict(
        encoder="test", weights="mini", encoder_sha256="a" * 64, embed_dim=DIM, size=8, fit="crop", camera=(),
        crops="single", boxes=(), model_sha256="c" * 64,
    )  # fmt: skip
    return Origin(**{**facts, **changes})


def references_of(count=5, seed=0, **changes):
    rng = np.random.default_rng(seed)
    vectors = {
        "embedding": rng.normal(size=(count, DIM)).astype(np.float32),
        "patches": rng.normal(size=(count, 9, 6)).astype(np.float32),
    }
    vectors = {name: array / np.linalg.norm(array, axis=-1, keepdims=True) for name, array in vectors.items()}
    frames = tuple(
        ReferenceFrame(name=f"teil ä{at}.png", frame=at, sha256=f"{seed * 1000 + at:064x}") for at in range(count)
    )
    return References(origin(**changes), frames, vectors)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "r.safetensors"
    write_references(path, references_of())
    return path


def test_the_first_k_and_k_by_chance():
    references = references_of(9)
    assert references.first(2).frames == references.frames[:2]
    np.testing.assert_array_equal(references.first(2).vectors["patches"], references.vectors["patches"][:2])
    assert references.first(9).frames == references.frames
    drawn = [references.draw(3, seed) for seed in range(200)]
    for one in drawn:
        places = [references.frames.index(frame) for frame in one.frames]
        assert places == sorted(set(places))
        np.testing.assert_array_equal(one.vectors["embedding"], references.vectors["embedding"][places])
    assert references.draw(3, 7).frames == drawn[7].frames
    counts = {frame: sum(frame in one.frames for one in drawn) for frame in references.frames}
    # Each is drawn with probability 1/3: 67 of 200, standard deviation 6.7.
    assert all(40 < count < 94 for count in counts.values()), counts


def test_a_draw_is_that_of_the_raw_words():
    # The documented words of PCG64 for seed 0, so that the choice is the same on every version of numpy.
    keys = [int(word) for word in np.random.PCG64(0).random_raw(5)]
    expected = sorted(sorted(range(5), key=keys.__getitem__)[:2])
    references = references_of(5)
    assert [references.frames.index(frame) for frame in references.draw(2, 0).frames] == expected


@pytest.mark.parametrize("take", [lambda r, k: r.first(k), lambda r, k: r.draw(k, 0)])
def test_a_k_that_is_not_there_is_refused_by_name(path, take):
    with pytest.raises(ReferencesError, match=r"r\.safetensors: expected k of at most 5, .*, got 6"):
        take(read_references(path), 6)
    with pytest.raises(SettingError, match="k of at least 1, got 0"):
        take(read_references(path), 0)


def test_a_seed_below_zero_is_refused():
    with pytest.raises(SettingError, match="seed"):
        references_of().draw(1, -1)


def test_sets_of_one_model_are_joined():
    one, two = references_of(2), references_of(3, seed=1)
    both = one.joined(two)
    assert both.frames == one.frames + two.frames
    np.testing.assert_array_equal(both.vectors["embedding"][2:], two.vectors["embedding"])
    with pytest.raises(ReferencesError, match="size 8, the model has 16"):
        one.joined(references_of(1, size=16))
    with pytest.raises(ReferencesError, match="hold embedding, patches, expected embedding"):
        one.joined(References(two.origin, two.frames, {"embedding": two.vectors["embedding"]}))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"encoder": "ViT-B-32"}, "encoder test, the model has ViT-B-32"),
        ({"weights": "openai"}, "weights mini, the model has openai"),
        ({"encoder_sha256": "b" * 64}, f"encoder sha256 {'a' * 64}, the model has {'b' * 64}"),
        ({"embed_dim": 512}, "embed dim 4, the model has 512"),
        ({"size": 240}, "size 8, the model has 240"),
        ({"fit": "pad"}, "fit crop, the model has pad"),
        ({"camera": (3, 4)}, r"camera none, the model has \(3, 4\)"),
        ({"crops": "full"}, "crops single, the model has full"),
        ({"boxes": ((0, 0, 4),)}, r"boxes none, the model has \(\(0, 0, 4\),\)"),
        ({"model_sha256": "d" * 64}, f"model sha256 {'c' * 64}, the model has {'d' * 64}"),
    ],
)
def test_references_of_another_model_name_both(change, says):
    with pytest.raises(ReferencesError, match=f"^r.file .*{says}; make new ones"):
        origin().require_same(origin(**change), "r.file")
    origin().require_same(origin(), "r.file")


def test_of_several_differences_the_encoder_comes_first():
    with pytest.raises(ReferencesError, match="encoder test, the model has x"):
        origin().require_same(origin(encoder="x", size=16, model_sha256="d" * 64), "r")


@pytest.mark.parametrize(
    ("vectors", "says"),
    [
        ({}, "at least one reference"),
        ({"embedding": np.ones((2, DIM), np.float32) / 2}, r"of 5 references .*\(2, 4\)"),
        ({"embedding": np.ones((5, DIM + 1), np.float32)}, r"4 wide, got float32 \(5, 5\)"),
        ({"embedding": np.ones((5, 1, DIM), np.float32)}, r"got float32 \(5, 1, 4\)"),
        ({"embedding": np.ones((5, DIM), np.float64) / 2}, "got float64"),
        ({"logits": np.ones((5, 1, DIM), np.float32) / 2}, "expected logits"),
        ({"windows_2": np.ones((5, 2, DIM + 1), np.float32)}, "4 wide"),
        ({"embedding": np.ones((5, DIM), np.float32)}, "of teil ä0.png holds vectors that are not of length 1"),
        ({"embedding": np.full((5, DIM), np.nan, np.float32)}, "not of length 1"),
    ],
)
def test_vectors_unlike_their_description_are_refused(vectors, says):
    with pytest.raises(ReferencesError, match=says):
        References(origin(), references_of(5).frames, vectors)
