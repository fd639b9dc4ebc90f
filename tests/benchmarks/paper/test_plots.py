"""Figures 3 to 5: what they show is what they were given, from arrays and from mini."""

import numpy as np
import pytest

from wordsight.benchmarks.paper import embedding_plots
from wordsight.benchmarks.paper.embedding_plots import LAYERS, Group, figure3, figure4, figure5, png, tsne
from wordsight.benchmarks.paper.sentences import own_captions
from wordsight.benchmarks.paper.text_groups import hidden_layers, layer_groups, text_groups


def _clouds(count=20, width=8):
    rng = np.random.default_rng(0)
    return rng.normal(0, 0.1, (count, width)), rng.normal(3, 0.1, (count, width))


def test_tsne_keeps_clouds_apart_and_repeats_itself():
    near, far = _clouds()
    places = tsne(np.concatenate([near, far]))
    assert places.shape == (40, 2)
    centres = places[:20].mean(0), places[20:].mean(0)
    right = np.linalg.norm(places - centres[0], axis=1) < np.linalg.norm(places - centres[1], axis=1)
    assert right.tolist() == [True] * 20 + [False] * 20
    assert np.array_equal(places, tsne(np.concatenate([near, far])))


def test_tsne_takes_small_sets_and_refuses_none():
    assert tsne(_clouds(5)[0]).shape == (5, 2)
    with pytest.raises(ValueError, match="5 rows or more, got 4"):
        tsne(_clouds(4)[0])


def test_figure_3_draws_every_row_of_both_kinds():
    drawing = figure3(*_clouds(), title="planted")
    (ax,) = drawing.axes
    assert [len(points.get_offsets()) for points in ax.collections] == [20, 20]
    assert [points.get_label() for points in ax.collections] == [
        "normal with random words", "anomalous with random words",
    ]  # fmt: skip
    assert drawing.get_suptitle() == "planted"
    assert png(drawing).startswith(b"\x89PNG")


def test_figure_5_has_a_panel_a_layer_and_refuses_fewer():
    near, far = _clouds()
    groups = [Group("words", False, False, near), Group("captions", True, True, far[:7])]
    drawing = figure5([groups] * 4)
    assert [ax.get_xlabel() for ax in drawing.axes] == list(LAYERS)
    assert [[len(p.get_offsets()) for p in ax.collections] for ax in drawing.axes] == [[20, 7]] * 4
    with pytest.raises(ValueError, match="zip"):
        figure5([groups] * 3)


def test_figure_4_draws_the_points_it_is_given_in_order():
    drawing = figure4({10_000: (92.0, 0.3), 1_000: (90.0, None)})
    (ax,) = drawing.axes
    line = ax.lines[0]
    assert line.get_xdata().tolist() == [1_000, 10_000]
    assert line.get_ydata().tolist() == [90.0, 92.0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1,000", "10,000"]
    with pytest.raises(ValueError, match="at least one"):
        figure4({})


@pytest.fixture(scope="module")
def mini():
    from wordsight.train.encoders import load_encoder

    return load_encoder("mini")


@pytest.fixture(scope="module")
def groups(mini):
    return text_groups(mini, own_captions(), 40)


def test_text_groups_are_unit_embeddings_and_mini_tells_the_random_words_apart(mini, groups):
    assert [len(group.rows) for group in groups] == [40, 40, 60, 60]
    for group in groups:
        assert group.rows.shape[1] == mini.embed_dim
        np.testing.assert_allclose(np.linalg.norm(group.rows, axis=1), 1, atol=1e-5)
    axis = groups[1].rows.mean(0) - groups[0].rows.mean(0)
    assert np.median(groups[1].rows @ axis) > np.median(groups[0].rows @ axis)


def test_hidden_layers_are_what_the_head_computes(mini, groups):
    import torch

    from wordsight.train.head import Head

    torch.manual_seed(0)
    head = Head(mini.embed_dim, (16, 8, 4))
    head.train()
    rows = groups[0].rows
    layers = hidden_layers(head, rows)
    assert head.training, "the head is left as it was"
    assert [layer.shape for layer in layers] == [(40, 16), (40, 8), (40, 4)]
    assert all((layer >= 0).all() and layer.any() for layer in layers)
    head.eval()
    with torch.inference_mode():
        logits = head.layers[-1](torch.as_tensor(layers[-1])).squeeze(-1)
        assert torch.allclose(logits, head(torch.as_tensor(rows)), atol=1e-6)
    for ours, again in zip(layers, hidden_layers(head, 3 * rows), strict=True):
        np.testing.assert_allclose(ours, again, atol=1e-5)
    with pytest.raises(ValueError, match="the head has 2"):
        layer_groups(Head(mini.embed_dim, (16, 8)), groups)


def test_figure_5_of_mini(mini, groups):
    from wordsight.train.head import Head

    panels = [groups, *layer_groups(Head(mini.embed_dim, (16, 8, 4)), groups)]
    drawing = figure5(panels, "mini")
    assert [[len(p.get_offsets()) for p in ax.collections] for ax in drawing.axes] == [[40, 40, 60, 60]] * 4
    names = [text.get_text() for text in drawing.legends[0].get_texts()]
    assert names == [group.name for group in groups]
    assert embedding_plots.png(drawing).startswith(b"\x89PNG")
