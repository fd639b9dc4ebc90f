"""Mutual scores: against plain loops over pictures and patches, in blocks of any size, in memory and in a file."""

import numpy as np
import pytest

from wordsight.runtime.mutual import Tokens, area_under_curve, by_neighbours, lowest_mean, mutual_maps


def stored(vectors, folder, **limits):
    tokens = Tokens(folder, **limits)
    for at in range(0, len(vectors), 4):
        tokens.add(vectors[at : at + 4])
    return tokens


def by_loops(vectors):
    """The definition, one number at a time."""
    unit = vectors.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=-1, keepdims=True)
    count, places = len(unit), unit.shape[1]
    maps = np.zeros((count, places))
    for i in range(count):
        for m in range(places):
            distances = []
            for j in range(count):
                if j != i:
                    distances.append(min((1 - float(unit[i, m] @ unit[j, n])) / 2 for n in range(places)))
            kept = max(1, int(0.3 * len(distances)))
            maps[i, m] = sum(sorted(distances)[:kept]) / kept
    return maps


@pytest.mark.parametrize("shape", [(8, 1, 5), (9, 6, 4), (14, 9, 3)])
def test_they_are_those_of_a_loop_over_pictures_patches_and_pictures(tmp_path, shape):
    vectors = np.random.default_rng(0).normal(size=shape).astype(np.float32) * 3
    found = mutual_maps(stored(vectors, tmp_path))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_loops(vectors), atol=1e-6)


@pytest.mark.parametrize("block_bytes", [1, 1_000, 10_000])
@pytest.mark.parametrize("memory_bytes", [0, 500, 2**30])
def test_blocks_and_the_file_change_nothing(tmp_path, block_bytes, memory_bytes):
    vectors = np.random.default_rng(1).normal(size=(13, 4, 6)).astype(np.float32)
    whole = mutual_maps(stored(vectors, tmp_path))
    tokens = stored(vectors, tmp_path, memory_bytes=memory_bytes)
    assert tokens.spilled == (memory_bytes < 2**30)
    pairs = []
    np.testing.assert_allclose(mutual_maps(tokens, pairs.append, block_bytes), whole, atol=1e-6)
    assert sum(pairs) == 13 * 13
    assert not list(tmp_path.iterdir())  # the file has no name that could be left behind
    tokens.close()


def test_an_odd_picture_among_copies_comes_first_and_its_odd_patch_is_the_highest(tmp_path):
    rng = np.random.default_rng(2)
    vectors = np.repeat(rng.normal(size=(1, 9, 8)), 12, axis=0) + rng.normal(scale=0.05, size=(12, 9, 8))
    vectors[7, 5] = rng.normal(size=8)
    maps = mutual_maps(stored(vectors.astype(np.float32), tmp_path))
    assert maps.max(axis=1).argmax() == 7
    assert maps[7].argmax() == 5
    assert maps[7, 5] > 5 * np.delete(maps.max(axis=1), 7).max()


def test_two_of_a_kind_among_many_are_not_odd_when_a_third_of_the_others_is_like_them(tmp_path):
    """The lowest 30% decide: with 10 others, 3 that are like a picture are enough."""
    rng = np.random.default_rng(3)
    one, other = rng.normal(size=(2, 1, 16))
    kinds = np.array([0] * 7 + [1] * 4)
    vectors = np.where(kinds[:, None, None] == 0, one, other).astype(np.float32)
    assert mutual_maps(stored(vectors, tmp_path)).max() < 1e-6
    kinds[-1] = 0  # three of a kind: two others like each of them, of the three that count
    vectors = np.where(kinds[:, None, None] == 0, one, other).astype(np.float32)
    maps = mutual_maps(stored(vectors, tmp_path))[:, 0]
    assert maps[kinds == 0].max() < 1e-6
    cosine = float((one @ other.T).item() / np.linalg.norm(one) / np.linalg.norm(other))
    assert maps[kinds == 1] == pytest.approx((1 - cosine) / 2 / 3, abs=1e-6)


def test_the_lowest_of_few_is_one():
    assert lowest_mean(np.array([[3.0, 1.0, 2.0]], np.float32)) == pytest.approx([1.0])
    assert lowest_mean(np.arange(10, dtype=np.float32)[None]) == pytest.approx([1.0])  # 0, 1 and 2


def test_neighbours_are_averaged_by_their_cosines():
    embedding = np.array([[1, 0], [1, 0], [0.6, 0.8], [0, 1], [-1, 0]], np.float32) * 2
    scores = np.array([1.0, 0.0, 0.5, 0.25, 0.75], np.float32)
    found = by_neighbours(scores, embedding)
    # The first: alone 1; with its copy (1 + 0) / 2; with the third, at cosine 0.6, (1 + 0 + 0.6 * 0.5) / 2.6.
    assert found[0] == pytest.approx((1 + 0.5 + 1.3 / 2.6) / 3)
    # The last has no neighbour at a cosine above 0 and keeps its score.
    assert found[4] == pytest.approx(0.75)


def test_the_area_under_the_curve_counts_pairs_and_ties_half():
    # Good 0.1 and 0.5, defective 0.5 and 0.9: three pairs in order, one tie.
    labels, scores = np.array([0, 1, 0, 1]), np.array([0.1, 0.5, 0.5, 0.9])
    assert area_under_curve(labels, scores) == pytest.approx(3.5 / 4)
