"""The packaged encoder and the recipe that makes it."""

import numpy as np
import open_clip
import pytest
import torch
from safetensors import safe_open
from torch.nn import functional as F

from wordsight.train import mini
from wordsight.train.mini.captions import random_words
from wordsight.train.mini.lesson import Lessons, to_tensor, tokenize
from wordsight.train.mini.losses import energy_distance
from wordsight.train.mini.match import match
from wordsight.train.mini.recipe import Settings, auroc, train, write

TINY = Settings(seed=3, steps=4, scenes=1, nouns=4, warmup=2, bf16=False, match_steps=2)
LONG = "k3x9 a 77qqz photo wwq1p of z8 a damaged zzkw2"


@pytest.fixture(scope="module")
def encoder():
    return mini.load()


def weights(model):
    return torch.cat([value.flatten().float() for value in model.state_dict().values()])


def test_the_file_is_small_and_fp16():
    assert mini.WEIGHTS.stat().st_size <= 25e6
    with safe_open(mini.WEIGHTS, "pt") as file:
        about = file.metadata()
        kinds = {file.get_tensor(name).dtype for name in file.keys() if "num_batches" not in name}
    assert kinds == {torch.float16}
    assert about["licence"] == "Apache-2.0"
    assert {"seed", "steps", "peak_lr"} <= about.keys()


def test_loaded_weights_are_fp32_and_at_rest(encoder):
    assert not encoder.training
    assert {p.dtype for p in encoder.parameters()} == {torch.float32}


def test_a_missing_file_says_what_makes_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"python -m wordsight\.train\.mini"):
        mini.load(tmp_path / "none.safetensors")


def test_shapes(encoder):
    images = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        assert encoder.encode_image(images).shape == (2, mini.EMBED_DIM)
        assert encoder.visual.grid(images).shape == (2, mini.GRID_SIZE**2, mini.EMBED_DIM)
        assert encoder.visual.grid_size == mini.GRID_SIZE == 12


def test_the_grid_is_row_major(encoder):
    # What changes in one corner of the picture changes that corner's cell most.
    plain = torch.zeros(1, 3, 96, 96)
    for cell, rows, columns in ((0, slice(0, 8), slice(0, 8)), (11, slice(0, 8), slice(88, 96))):
        marked = plain.clone()
        marked[:, :, rows, columns] = 2.0
        with torch.no_grad():
            change = (encoder.visual.grid(marked) - encoder.visual.grid(plain)).norm(dim=-1)[0].view(12, 12)
        where = divmod(int(change.argmax()), 12)
        assert abs(where[0] - cell // 12) <= 2
        assert abs(where[1] - cell % 12) <= 2


def test_padding_behind_the_end_changes_nothing(encoder):
    full = open_clip.tokenizer.SimpleTokenizer()([LONG, "a part"], context_length=77)
    short = tokenize([LONG, "a part"])
    assert short.shape[1] < 77
    with torch.no_grad():
        torch.testing.assert_close(encoder.encode_text(full), encoder.encode_text(short), rtol=1e-4, atol=1e-5)


def test_random_weights_follow_the_seed():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    assert torch.equal(weights(mini.MiniCLIP(5)), weights(mini.MiniCLIP(5)))
    assert not torch.equal(weights(mini.MiniCLIP(5)), weights(mini.MiniCLIP(6)))
    assert torch.equal(before, torch.random.get_rng_state())


def test_pictures_become_tensors_in_rgb():
    image = np.zeros((1, 96, 96, 3), np.uint8)
    image[..., 2] = 255  # red, in BGR
    red, green, blue = to_tensor(image)[0, :, 0, 0].tolist()
    assert red == pytest.approx((1 - mini.MEAN[0]) / mini.STD[0], rel=1e-5)
    assert green == pytest.approx(-mini.MEAN[1] / mini.STD[1], rel=1e-5)
    assert blue == pytest.approx(-mini.MEAN[2] / mini.STD[2], rel=1e-5)


def test_a_lesson_depends_on_its_step_alone():
    straight, jumped = Lessons(1, 1), Lessons(1, 1)
    for step in range(14):
        expected = straight.at(step)
    actual = jumped.at(13)
    assert torch.equal(actual.images, expected.images)
    assert torch.equal(actual.texts, expected.texts)
    assert torch.equal(actual.cover, expected.cover)


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(tmp_path):
    def quiet(line):
        pass

    whole = train(TINY, report_every=0, say=quiet)
    train(TINY, tmp_path / "state.pt", stop_at=2, report_every=0, say=quiet)
    resumed = train(TINY, tmp_path / "state.pt", report_every=0, say=quiet)
    torch.testing.assert_close(weights(resumed), weights(whole), rtol=1e-5, atol=1e-6)
    assert not torch.allclose(weights(whole), weights(mini.MiniCLIP(TINY.seed)))

    write(resumed, tmp_path / "tiny.safetensors", TINY)
    torch.testing.assert_close(
        weights(mini.load(tmp_path / "tiny.safetensors")), weights(resumed), rtol=1e-3, atol=1e-4
    )


def test_a_state_of_other_settings_is_refused(tmp_path):
    train(TINY, tmp_path / "state.pt", stop_at=1, report_every=0, say=lambda line: None)
    other = Settings(seed=4, steps=4, scenes=1, nouns=4, warmup=2, bf16=False, match_steps=2)
    with pytest.raises(ValueError, match="--no-resume"):
        train(other, tmp_path / "state.pt", report_every=0, say=lambda line: None)


def test_defects_of_nouns_never_rendered_are_told_by_two_prompts(encoder):
    shown = list(mini.held_out(400, seed=7))
    labels = np.array([p.label for p in shown])
    texts = ["a photo of a object", "a photo of a damaged object"]
    with torch.no_grad():
        normal, anomalous = F.normalize(encoder.encode_text(tokenize(texts)), dim=-1)
        images = F.normalize(encoder.encode_image(to_tensor(np.stack([p.image for p in shown]))), dim=-1)
    assert auroc((images @ (anomalous - normal)).numpy(), labels) >= 0.92


@pytest.mark.parametrize(
    ("scores", "expected"), [((0.1, 0.2, 0.8, 0.9), 1.0), ((0.9, 0.8, 0.2, 0.1), 0.0), ((1, 1, 1, 1), 0.5)]
)
def test_auroc(scores, expected):
    assert auroc(np.array(scores, float), np.array([0, 0, 1, 1])) == expected


def test_random_words_scatter_as_pictures_do(encoder):
    # Texts that say nothing but "damaged" must be spread out, and lie where defective pictures lie.
    rng = np.random.default_rng(8)
    shown = list(mini.training_nouns(400, seed=12))
    with torch.no_grad():
        images = F.normalize(encoder.encode_image(to_tensor(np.stack([p.image for p in shown]))), dim=-1)
    for label in (0, 1):
        words = tokenize([random_words(bool(label), rng) for _ in range(200)])
        with torch.no_grad():
            texts = F.normalize(encoder.encode_in_buckets(words), dim=-1)
        seen = images[torch.tensor([p.label == label for p in shown])]
        assert texts.var(0).sum() > 0.05
        other = images[torch.tensor([p.label != label for p in shown])]
        assert energy_distance(texts, seen) < 0.5 * energy_distance(texts, other)


def test_the_second_part_leaves_the_image_tower_alone():
    encoder = mini.MiniCLIP(4)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    match(encoder, 4, steps=2, scenes=1, nouns=4, bf16=False, say=lambda line: None)
    after = encoder.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items() if name.startswith("visual."))
    assert not torch.equal(after["text.project.weight"], before["text.project.weight"])


def test_the_energy_distance_is_that_of_the_definition():
    # Two points each on a line: 2 * mean(3, 4, 2, 3) - 1 - 1.
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [4.0]])
    assert energy_distance(x, y).item() == pytest.approx(2 * 3 - 1 - 1, abs=1e-3)
    rng = torch.Generator().manual_seed(0)
    same = [torch.randn(400, 3, generator=rng) for _ in range(2)]
    assert abs(energy_distance(*same).item()) < 0.02
