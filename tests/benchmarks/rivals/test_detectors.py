"""SPADE and RegAD: what is planted is found, shuffled labels are not, and the arithmetic is that of plain numpy."""

import numpy as np
import pytest
import torch

from wordsight.benchmarks.metrics import auroc
from wordsight.benchmarks.pixels import pixel_auroc
from wordsight.benchmarks.rivals import regad, registration, spade
from wordsight.benchmarks.rivals.tower import Features

SHOTS = 4


@pytest.fixture(scope="module")
def shown(easy):
    return easy.pictures(12, seed=5)


@pytest.fixture(scope="module")
def network(mini, easy):
    blocks = easy.pictures(6, 8, "block")
    return registration.train(mini, [blocks.frames[blocks.labels == 0]], 0, lambda: None, steps=4)


@pytest.fixture(scope="module")
def support(easy):
    drawn = easy.pictures(SHOTS, seed=6)
    return drawn.frames[drawn.labels == 0]


@pytest.fixture(scope="module")
def found(mini, network, shown, support):
    views = np.concatenate([regad.views(frame) for frame in support])
    halves = [shown.frames[:10], shown.frames[10:]]
    return {
        "spade": spade.Spade(lambda: map(mini.features, halves), mini.size).score(mini.features(support), "abcd"),
        "regad": regad.regad(network.features(views), [network.features(half) for half in halves], mini.size),
    }


@pytest.mark.parametrize("method", ["spade", "regad"])
def test_a_planted_bar_is_found_and_shuffled_labels_are_not(found, shown, easy, method):
    scores, maps = found[method].scores, found[method].maps
    assert auroc(shown.labels, scores) > 0.9
    assert maps.shape == (len(shown.labels), easy.SIZE, easy.SIZE)
    assert pixel_auroc(shown.masks, list(maps)) > 0.9
    rng = np.random.default_rng(0)
    shuffled = [auroc(rng.permutation(shown.labels), scores) for _ in range(200)]
    assert abs(np.mean(shuffled) - 0.5) < 0.05  # 24 pictures: five standard errors are 0.042


def random_features(count, seed):
    rng = np.random.default_rng(seed)
    levels = [
        rng.normal(size=(count, width, side, side)).astype(np.float32) for width, side in ((3, 8), (4, 4), (5, 2))
    ]
    return Features(levels, rng.normal(size=(count, 6)).astype(np.float32))


def test_spade_is_the_nearest_cell_of_the_nearest_pictures(monkeypatch):
    monkeypatch.setattr(spade, "NEIGHBOURS", 2)
    monkeypatch.setattr(spade, "smoothed", lambda cells, size: cells.numpy())
    good, test = random_features(5, 0), random_features(3, 1)
    scored = spade.Spade(lambda: [test], 8).score(good, "abcde")
    cells, gallery = spade.pyramid(test).numpy(), spade.pyramid(good).numpy()
    for row in range(3):
        apart = np.linalg.norm(good.pooled - test.pooled[row], axis=1)
        nearest = np.argsort(apart)[:2]
        assert scored.scores[row] == pytest.approx(apart[nearest].mean(), abs=1e-5)
        beyond = np.linalg.norm(cells[row][:, None] - gallery[nearest].reshape(1, -1, 12), axis=2).min(1)
        np.testing.assert_allclose(scored.maps[row].ravel(), beyond, atol=1e-4)


def test_a_picture_of_the_support_is_not_odd():
    good = random_features(3, 0)
    assert spade.Spade(lambda: [good], 8).score(good, "abc").maps.max() < 2e-3


def test_what_is_kept_of_a_picture_changes_nothing():
    good, test = random_features(4, 0), random_features(3, 1)
    kept = spade.Spade(lambda: [test], 8)
    for names in ("a", "abcd", "abc"):
        part = Features([level[: len(names)] for level in good.levels], good.pooled[: len(names)])
        once = spade.Spade(lambda: [test], 8).score(part, names)
        again = kept.score(part, names)
        np.testing.assert_array_equal(once.scores, again.scores)
        np.testing.assert_array_equal(once.maps, again.maps)


def test_gaussians_are_those_of_numpy():
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(9, 4, 20))  # n, P, C
    away = rng.normal(size=(4, 20))
    distances = regad.Gaussians(torch.from_numpy(rows).float()).distances(torch.from_numpy(away).float()).numpy()
    for cell in range(4):
        covariance = np.cov(rows[:, cell], rowvar=False) + regad.REGULARISER * np.eye(20)
        delta = away[cell] - rows[:, cell].mean(0)
        assert distances[cell] == pytest.approx(np.sqrt(delta @ np.linalg.inv(covariance) @ delta), rel=1e-3)


def test_views_are_the_frame_turned_shifted_flipped_and_grey(easy):
    frame = easy.pictures(1, 0).frames[0]
    views = regad.views(frame)
    assert views.shape == (regad.VIEWS, *frame.shape)
    np.testing.assert_array_equal(views[0], frame)
    np.testing.assert_array_equal(views[regad.TURNS.index(180.0)], frame[::-1, ::-1])
    np.testing.assert_array_equal(views[-3], frame[:, ::-1])
    assert len({view.tobytes() for view in views}) == len(views)
    assert np.ptp(views[-1], axis=2).max() == 0


def test_what_is_moved_and_moved_back_lies_where_it_was():
    grid = torch.zeros(1, 1, 33, 33)
    grid[0, 0, 12, 18] = 1
    grid = torch.nn.functional.avg_pool2d(grid, 5, 1, 2)
    transformer = registration.Transformer(1)
    same, moves = transformer(grid)
    torch.testing.assert_close(same, grid)
    torch.testing.assert_close(moves[0], torch.eye(3))
    with torch.no_grad():
        transformer.locate[-1].bias.copy_(torch.tensor([0.2, 0.3]))
    there, moves = transformer(grid)
    back = registration.moved(there, torch.linalg.inv(moves))
    assert (there - grid).abs().max() > 0.02
    assert (back - grid).abs().max() < 0.02


def test_registration_learns_and_leaves_the_backbone_alone(mini, easy):
    blocks = easy.pictures(8, 9, "block")
    frames = blocks.frames[blocks.labels == 0]
    before = [parameter.clone() for parameter in mini.parameters()]

    def loss_after(steps):
        network = registration.train(mini, [frames], 0, lambda: None, steps=steps)
        network.train()
        network.tower.eval()
        with torch.no_grad():
            levels, _ = network(network.tower.normalised(frames))
            return float(registration.registration_loss(network, levels[-1]))

    assert loss_after(30) < loss_after(1) - 0.02
    assert all(torch.equal(old, new) for old, new in zip(before, mini.parameters(), strict=True))


def test_a_seed_gives_the_same_network(mini, easy):
    frames = easy.pictures(3, 9, "block").frames
    one, two = (registration.train(mini, [frames], 4, lambda: None, steps=2).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
