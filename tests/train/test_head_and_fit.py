import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from wordsight.train.errors import SettingError
from wordsight.train.fit import Settings, fit_head, train_heads
from wordsight.train.head import Head

SMALL = Settings(num_pairs=400, widths=(32, 16, 8), batch_pairs=32)


def auroc(good, bad):
    return float((bad[:, None] > good[None, :]).float().mean())


def logits_of(head, normal, anomalous):
    return head(torch.from_numpy(normal)), head(torch.from_numpy(anomalous))


def test_the_paper_sized_head_has_four_linear_layers_and_the_counted_parameters():
    head = Head(640)
    assert sum(isinstance(m, nn.Linear) for m in head.modules()) == 4
    sizes = (640, 512, 256, 128, 1)
    linear = sum(i * o + o for i, o in itertools.pairwise(sizes))
    assert sum(p.numel() for p in head.parameters()) == linear + 2 * (512 + 256 + 128)


def test_only_the_direction_of_an_embedding_counts():
    head = Head(16, (8,)).eval()
    e = torch.randn(5, 16)
    assert torch.allclose(head(e), head(e * torch.tensor([[0.1], [3], [7], [50], [1]])), atol=1e-5)


def test_the_forward_pass_agrees_with_its_formula():
    head = Head(6, (4,)).eval()
    e = torch.randn(3, 6, dtype=torch.float64)
    head.double()
    head.layers[1].running_mean.normal_()
    head.layers[1].running_var.uniform_(0.5, 2)
    x = e / e.norm(dim=1, keepdim=True) * math.sqrt(6)
    first, norm, _, _, last = head.layers
    x = x @ first.weight.T + first.bias
    x = (x - norm.running_mean) / (norm.running_var + 1e-5).sqrt() * norm.weight + norm.bias
    assert torch.allclose(head(e), (x.clamp(min=0) @ last.weight.T + last.bias)[:, 0])


def test_fitting_agrees_with_a_plain_restatement(separable):
    normal, anomalous = (half[:70] for half in separable)
    settings = replace(SMALL, dropout=0.0, epochs=3, lr=0.01)
    fitted = fit_head(normal, anomalous, settings, seed=5)

    torch.manual_seed(5)
    head = Head(16, settings.widths, 0.0)
    weights = list(head.parameters())
    first = [torch.zeros_like(w) for w in weights]
    second = [torch.zeros_like(w) for w in weights]
    orders = np.random.Generator(np.random.PCG64(np.random.SeedSequence(5).spawn(2)[0]))
    losses, step = [], 0
    for epoch in range(3):
        lr = 0.01 if epoch == 0 else 0.001
        order = orders.permutation(70)
        for start in range(0, 70, 32):
            rows = order[start : start + 32]
            good = head(torch.from_numpy(np.stack([normal[rows], anomalous[rows]], 1)).reshape(-1, 16))
            p = torch.sigmoid(good)
            y = torch.tensor([0.0, 1.0] * len(rows))
            loss = -(y * p.log() + (1 - y) * (1 - p).log()).mean()
            losses.append(loss.item())
            grads = torch.autograd.grad(loss, weights)
            step += 1
            with torch.no_grad():
                for w, g, m, v in zip(weights, grads, first, second, strict=True):
                    w *= 1 - lr * 1e-4
                    m.mul_(0.9).add_(g, alpha=0.1)
                    v.mul_(0.999).add_(g * g, alpha=0.001)
                    w -= lr * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
    assert fitted.history.losses == pytest.approx(losses, abs=1e-4)


def test_both_of_a_pair_are_always_in_the_same_batch(separable, monkeypatch):
    normal, anomalous = separable
    batches = []
    real = Head.forward

    def watched(self, e):
        if self.training:
            batches.append(e.clone())
        return real(self, e)

    monkeypatch.setattr(Head, "forward", watched)
    fit_head(normal, anomalous, replace(SMALL, batch_pairs=64), seed=0)
    assert [len(b) for b in batches] == [128] * 6 + [32] + [128] * 6 + [32]
    place = {row.tobytes(): i for half in (normal, anomalous) for i, row in enumerate(half)}
    for batch in batches:
        members = sorted(place[row.numpy().tobytes()] for row in batch)
        assert members[::2] == members[1::2]


def test_what_a_plane_separates_is_learned_and_shuffled_labels_are_not(separable):
    normal, anomalous = separable
    settings = replace(SMALL, epochs=6, lr=0.01, lr_decay=1.0)
    assert auroc(*logits_of(fit_head(normal, anomalous, settings, seed=0), normal, anomalous)) > 0.999
    controls = [
        auroc(*logits_of(fit_head(normal, anomalous, settings, seed, shuffle_labels=True), normal, anomalous))
        for seed in range(20)
    ]
    assert abs(np.mean(controls) - 0.5) < 0.2


def test_a_seed_gives_the_same_head_bit_for_bit_and_leaves_global_randomness_alone(separable):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = fit_head(*separable, SMALL, seed=2).state_dict()
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(99)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        two = fit_head(*separable, SMALL, seed=2).state_dict()
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)
    other = fit_head(*separable, SMALL, seed=3).state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not torch.equal(one["layers.0.weight"], other["layers.0.weight"])


def test_a_single_pair_left_over_is_a_batch(separable):
    head = fit_head(separable[0][:33], separable[1][:33], SMALL, seed=0)
    assert len(head.history.losses) == 4


def test_every_seed_draws_words_of_its_own(tiny):
    heads = train_heads(tiny, replace(SMALL, num_pairs=20), [0, 1], progress=False)
    assert heads[0].history.losses != heads[1].history.losses
    assert not heads[0].training


def test_noise_has_the_length_it_is_asked_for_and_none_is_the_papers_fit(separable, monkeypatch):
    normal, anomalous = (half / np.linalg.norm(half, axis=1, keepdims=True) for half in separable)
    batches = []
    real = Head.forward

    def watched(self, e):
        if self.training:
            batches.append(e.clone())
        return real(self, e)

    monkeypatch.setattr(Head, "forward", watched)
    plain = fit_head(normal, anomalous, replace(SMALL, epochs=1), seed=0)
    clean = torch.cat(batches)
    batches.clear()
    again = fit_head(normal, anomalous, replace(SMALL, epochs=1, noise=0.3), seed=0)
    noisy = torch.cat(batches)
    assert torch.allclose(noisy.norm(dim=1), torch.ones(len(noisy)))
    # Of noise n across a unit vector, the angle's tangent is |n|; 15 of 16 parts of it lie across.
    tangent = (noisy * clean).sum(1).acos().tan()
    assert tangent.square().mean().sqrt().item() == pytest.approx(0.3 * (15 / 16) ** 0.5, rel=0.1)
    assert plain.history.losses != again.history.losses
    twice = fit_head(normal, anomalous, replace(SMALL, epochs=1, noise=0.3), seed=0)
    assert twice.history.losses == again.history.losses


def test_a_centred_head_is_the_plain_head_on_centred_embeddings(separable):
    normal, anomalous = (half + 4.0 for half in separable)  # a shift that all texts share
    unit = [half / np.linalg.norm(half, axis=1, keepdims=True) for half in (normal, anomalous)]
    mean = np.concatenate(unit).mean(axis=0)
    expected = fit_head(*(half - mean for half in unit), SMALL, seed=3)
    found = fit_head(normal, anomalous, replace(SMALL, centre=True), seed=3)
    np.testing.assert_allclose(found.text_mean.numpy(), mean, atol=1e-6)
    assert expected.text_mean is None
    assert found.history.losses == pytest.approx(expected.history.losses, abs=1e-4)
    texts = torch.from_numpy(normal)
    # Adam makes steps of the rounding of gradients near zero: 1e-3 on some processors.
    values = found.of_texts(texts), expected(torch.from_numpy(unit[0] - mean))
    torch.testing.assert_close(*values, atol=1e-2, rtol=1e-2)
    assert (expected(torch.from_numpy(unit[0])) - values[1]).abs().max() > 0.1  # the mean left out
    # Pictures have a mean of their own: without one to take away, the head takes them as they come.
    torch.testing.assert_close(found(texts - 1), Head.forward(found, texts - 1))


@pytest.mark.parametrize(
    "change",
    [
        {"num_pairs": 0},
        {"min_length": 11},
        {"lr": 0.0},
        {"lr_decay": 0.0},
        {"weight_decay": -1.0},
        {"widths": ()},
        {"widths": (4, 0)},
        {"dropout": 1.0},
        {"epochs": 0},
        {"batch_pairs": 0},
        {"lr": float("nan")},
        {"natural": 1.5},
        {"noise": -1.0},
        {"noise": float("nan")},
    ],
)
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(SettingError, match="got"):
        Settings(**change)


def test_embeddings_that_cannot_be_fitted_are_refused(separable):
    normal, anomalous = separable
    with pytest.raises(SettingError, match="same shape"):
        fit_head(normal, anomalous[:-1], SMALL, 0)
    broken = normal.copy()
    broken[0, 0] = np.nan
    with pytest.raises(SettingError, match="finite"):
        fit_head(broken, anomalous, SMALL, 0)
    with pytest.raises(SettingError, match="twice"):
        train_heads(None, SMALL, [1, 1])
