"""s_img against closed forms and plain double loops: distances, WinCLIP's windows spread to patches, and their map."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wordsight.runtime import nearest
from wordsight.runtime.errors import SettingError
from wordsight.runtime.few_shot import s_img, s_img_map, sum_scores, winclip_sum
from wordsight.runtime.references import Origin, ReferenceFrame, References, ReferencesError

GRID, DIM, WIDE = 5, 4, 7  # patches a side; the shared space; the tower's own width
COUNTS = {"patches": GRID**2, "windows_2": (GRID - 1) ** 2, "windows_3": (GRID - 2) ** 2}


def vectors_of(rng, count, *, unit=False):
    shapes = {"embedding": (count, DIM)}
    shapes |= {name: (count, places, WIDE if name == "patches" else DIM) for name, places in COUNTS.items()}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return {n: a / np.linalg.norm(a, axis=-1, keepdims=True) for n, a in arrays.items()} if unit else arrays


def references_of(vectors, dim=DIM):
    count = len(next(iter(vectors.values())))
    origin = Origin(
        encoder="test", weights="mini", encoder_sha256="a" * 64, embed_dim=dim, size=8, fit="crop", camera=(),
        crops="single", boxes=(), model_sha256="c" * 64,
    )  # fmt: skip
    frames = tuple(ReferenceFrame(name=f"{at}.png", frame=0, sha256=f"{at:064x}") for at in range(count))
    return References(origin, frames, vectors)


def scores_of(vectors):
    count = len(next(iter(vectors.values())))
    return SimpleNamespace(s_pr=np.full(count, 0.5, np.float32), s_fnn=np.full(count, 0.25, np.float32), **vectors)


def angle(degrees):
    return [math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]


def plain_distance(vector, references):
    """(1 - the largest cosine) / 2 in Python's own numbers."""
    best = -2.0
    for other in references:
        dot = sum(float(a) * float(b) for a, b in zip(vector, other, strict=True))
        lengths = math.sqrt(sum(float(a) ** 2 for a in vector)) * math.sqrt(sum(float(b) ** 2 for b in other))
        best = max(best, dot / lengths)
    return (1 - best) / 2


def plain_map(frame, references):
    """The mean of three maps for one frame, each patch and window against all positions of all references."""
    side = GRID
    total = [[0.0] * side for _ in range(side)]
    for reach, name in enumerate(("patches", "windows_2", "windows_3"), start=1):
        places = side - reach + 1
        known = [vector for reference in references[name] for vector in reference]
        found = [plain_distance(vector, known) for vector in frame[name]]
        for row in range(side):
            for column in range(side):
                inverse = [
                    1 / found[top * places + left]
                    for top in range(places)
                    for left in range(places)
                    if top <= row < top + reach and left <= column < left + reach
                ]
                total[row][column] += len(inverse) / sum(inverse) / 3
    return total


def test_the_distance_is_known_at_known_angles():
    references = np.array([angle(0), angle(90)], np.float32)
    frames = np.array([angle(0), angle(45), angle(60), angle(180), angle(225)], np.float32)
    expected = [0, (1 - math.cos(math.pi / 4)) / 2, (1 - math.cos(math.pi / 6)) / 2, 0.5, (1 + math.sqrt(0.5)) / 2]
    np.testing.assert_allclose(nearest.embedding_distance(frames, references), expected, atol=1e-6)


def test_lengths_do_not_count_and_a_zero_vector_is_at_a_right_angle():
    references = np.array([[3.0, 0.0]], np.float32)
    frames = np.array([[0.001, 0.0], [-1e6, 0.0], [0.0, 0.0]], np.float32)
    np.testing.assert_allclose(nearest.embedding_distance(frames, references), [0, 1, 0.5], atol=1e-6)
    long = np.array([[5.0, 5.0], [-2.0, 0.0]], np.float32)
    found = nearest.embedding_distance(np.array([[0.0, 1.0]], np.float32), long)
    assert found == pytest.approx((1 - math.sqrt(0.5)) / 2)


def test_rounding_never_makes_a_distance_negative():
    vectors = nearest.unit(np.random.default_rng(2).normal(size=(500, 640)))
    assert (vectors @ vectors.T).max() > 1  # what has to be guarded against
    found = nearest.nearest_distance(vectors, vectors)
    assert found.min() == 0
    assert found.max() < 1e-6


def test_what_is_not_a_number_stays_visible():
    distances = nearest.embedding_distance(
        np.array([[np.nan, 1.0], [1.0, 0.0]], np.float32), np.array([[1.0, 0.0]], np.float32)
    )
    assert np.isnan(distances[0])
    assert distances[1] == 0


@pytest.mark.parametrize("block", [4, 100, 4 * 2**20])
def test_blocks_change_nothing(monkeypatch, block):
    rng = np.random.default_rng(1)
    frame, known = rng.normal(size=(9, 6)), nearest.unit(rng.normal(size=(50, 6)))
    monkeypatch.setattr(nearest, "BLOCK_BYTES", block)
    found = nearest.nearest_distance(frame, known)
    np.testing.assert_allclose(found, [plain_distance(vector, known) for vector in frame], atol=1e-6)
    assert found.dtype == np.float32


def test_no_product_is_larger_than_a_block(monkeypatch):
    largest = []

    class Watched(np.ndarray):
        def __matmul__(self, other):
            result = np.asarray(self) @ np.asarray(other)
            largest.append(result.nbytes)
            return result

    monkeypatch.setattr(nearest, "unit", lambda vectors: np.asarray(vectors, np.float32).view(Watched))
    monkeypatch.setattr(nearest, "BLOCK_BYTES", 1000)
    nearest.nearest_distance(np.ones((10, 3)), np.ones((500, 3), np.float32))
    assert len(largest) == 20
    assert max(largest) <= 1000


def test_windows_are_spread_by_the_harmonic_mean():
    # Windows of 2 on a grid of 3: the middle patch lies in all four, a corner in one, an edge in two.
    windows = np.array([[[0.1, 0.2], [0.4, 0.8]]], np.float32)
    middle = 4 / (1 / 0.1 + 1 / 0.2 + 1 / 0.4 + 1 / 0.8)
    expected = [
        [0.1, 2 / (10 + 5), 0.2],
        [2 / (10 + 2.5), middle, 2 / (5 + 1.25)],
        [0.4, 2 / (2.5 + 1.25), 0.8],
    ]
    np.testing.assert_allclose(nearest.spread(windows, 2)[0], expected, rtol=1e-6)


def test_a_window_that_a_reference_shows_exactly_makes_its_patches_zero():
    windows = np.array([[[0.0, 0.2], [0.4, 0.8]]], np.float32)
    found = nearest.spread(windows, 2)[0]
    assert (found[:2, :2] == 0).all()
    assert found[2, 2] == pytest.approx(0.8)
    assert np.isfinite(found).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shots=st.integers(1, 3))
def test_the_association_equals_plain_loops(seed, shots):
    rng = np.random.default_rng(seed)
    frames, known = vectors_of(rng, 2), vectors_of(rng, shots, unit=True)
    scores, references = scores_of(frames), references_of(known)
    maps = s_img_map(scores, references)
    assert maps.shape == (2, GRID, GRID)
    assert maps.dtype == np.float32
    for index in range(2):
        expected = plain_map({name: array[index] for name, array in frames.items()}, known)
        np.testing.assert_allclose(maps[index], expected, atol=2e-6)
        assert s_img(scores, references, "association")[index] == pytest.approx(np.max(expected), abs=2e-6)
        assert s_img(scores, references)[index] == pytest.approx(
            plain_distance(frames["embedding"][index], known["embedding"]), abs=1e-6
        )


def test_a_reference_itself_is_at_distance_zero_wherever_its_patches_went():
    rng = np.random.default_rng(3)
    known = vectors_of(rng, 2, unit=True)
    moved = {name: array[:1, rng.permutation(array.shape[1])] for name, array in known.items() if name != "embedding"}
    found = s_img(scores_of({"embedding": known["embedding"][:1], **moved}), references_of(known), "association")
    assert found == pytest.approx(0, abs=1e-6)


def test_one_odd_patch_is_found_at_its_place():
    known = {name: np.zeros((1, places, DIM), np.float32) for name, places in COUNTS.items()}
    for array in known.values():
        array[..., 0] = 1
    frame = {name: array.copy() for name, array in known.items()}
    frame["patches"][0, 3 * GRID + 1] = [0, 1, 0, 0]  # row 3, column 1, at a right angle to all that is known
    maps = s_img_map(scores_of(frame), references_of(known))
    assert np.argwhere(maps[0] > 0).tolist() == [[3, 1]]
    assert maps[0, 3, 1] == pytest.approx(0.5 / 3)


def test_more_references_never_raise_a_distance_and_neighbours_change_nothing():
    rng = np.random.default_rng(5)
    frames, references = vectors_of(rng, 6), references_of(vectors_of(rng, 4, unit=True))
    for method in ("embedding", "association"):
        whole = s_img(scores_of(frames), references, method)
        alone = [
            s_img(scores_of({n: a[i : i + 1] for n, a in frames.items()}), references, method)[0] for i in range(6)
        ]
        assert whole.tolist() == alone
        fewer = [s_img(scores_of(frames), references.first(k), method) for k in (1, 2, 3)]
        for more, less in zip([*fewer[1:], whole], fewer, strict=True):
            assert (more <= less + 1e-6).all()
        assert (whole < fewer[0] - 1e-3).any()


def test_no_frames_give_no_scores():
    rng = np.random.default_rng(6)
    none, references = vectors_of(rng, 0), references_of(vectors_of(rng, 1, unit=True))
    assert s_img(scores_of(none), references).shape == (0,)
    assert s_img(scores_of(none), references, "association").shape == (0,)
    assert s_img_map(scores_of(none), references).shape == (0, GRID, GRID)


def test_the_sums_are_the_papers_and_winclips():
    scores = scores_of({"embedding": np.ones((2, DIM), np.float32)})
    distances = np.array([0.1, 0.3], np.float32)
    np.testing.assert_allclose(sum_scores(scores, distances), [0.85, 1.05], rtol=1e-6)
    np.testing.assert_allclose(sum_scores(scores, distances, w_pr=0, w_fnn=2, w_img=10), [1.5, 3.5], rtol=1e-6)
    np.testing.assert_allclose(winclip_sum(scores.s_pr, distances), [0.3, 0.4], rtol=1e-6)
    np.testing.assert_allclose(winclip_sum(np.ones((1, 2, 2)), np.full((1, 2, 2), 0.5)), np.full((1, 2, 2), 0.75))
    for weights in ({"w_pr": -1}, {"w_img": math.nan}, {"w_pr": 0, "w_fnn": 0, "w_img": 0}):
        with pytest.raises(SettingError, match="0 or more"):
            sum_scores(scores, distances, **weights)


def test_what_a_method_lacks_is_named():
    rng = np.random.default_rng(7)
    frames, known = vectors_of(rng, 1), vectors_of(rng, 1, unit=True)
    only = {"embedding": known["embedding"]}
    with pytest.raises(SettingError, match="embedding or association, got 'nearest'"):
        s_img(scores_of(frames), references_of(known), "nearest")
    with pytest.raises(ReferencesError, match="patches, windows_2, windows_3 not found in the references"):
        s_img(scores_of(frames), references_of(only), "association")
    absent = {"embedding": frames["embedding"], "patches": None, "windows_2": None, "windows_3": None}
    with pytest.raises(ReferencesError, match="patches, windows_2, windows_3 not found in the model"):
        s_img(scores_of(absent), references_of(known), "association")
    with pytest.raises(ReferencesError, match=r"embedding of a reference is \(4,\), of a frame \(5,\)"):
        s_img(scores_of({"embedding": np.ones((1, 5), np.float32)}), references_of(only))


def test_patches_of_several_tiles_are_no_map():
    known = vectors_of(np.random.default_rng(8), 1, unit=True)
    tiled = {name: np.concatenate((array, array), axis=1) for name, array in known.items() if name != "embedding"}
    tiled["embedding"] = known["embedding"]
    scores, references = scores_of(tiled), references_of(tiled)
    assert s_img(scores, references) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ReferencesError, match=r"got \[50, 32, 18\]; the association needs a model of one square view"):
        s_img(scores, references, "association")
