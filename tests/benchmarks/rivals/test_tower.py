"""The levels of any backbone, its weights from a file, and nothing unpickled."""

import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from wordsight.benchmarks.fold import random_checkpoint
from wordsight.benchmarks.rivals.backbone import is_clip, load_tower
from wordsight.benchmarks.rivals.tower import Tower
from wordsight.runtime.errors import SettingError
from wordsight.train.encoders import load_encoder
from wordsight.train.errors import EncoderError


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    torch.manual_seed(0)
    model = models.resnet18(weights=None)
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file(model.state_dict(), path)
    return path, model.eval()


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)


def test_resnets_levels_are_its_layers(resnet, frames):
    path, model = resnet
    found = load_tower(f"resnet18:{path}").features(frames)
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    x = (torch.from_numpy(frames[..., ::-1].copy()).permute(0, 3, 1, 2) / 255 - mean) / std
    with torch.no_grad():
        x = model.maxpool(model.relu(model.bn1(model.conv1(x))))
        levels = [x := layer(x) for layer in (model.layer1, model.layer2, model.layer3)]
        pooled = model.avgpool(model.layer4(x)).flatten(1)
    for ours, theirs in zip([*found.levels, found.pooled], [*levels, pooled], strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "sides", "places"),
    [
        ("wide_resnet50_2", [56, 28, 14], ["layer1", "layer2", "layer3"]),  # not the first layers of the next block
        ("efficientnet_b0", [56, 28, 14], ["features.2", "features.3", "features.5"]),
        ("vgg11", [56, 28, 14], None),
        ("vit_b_32", [7, 7, 7], [f"encoder.layers.encoder_layer_{i}" for i in (2, 5, 8)]),
    ],
)
def test_levels_are_found_by_shape(name, sides, places):
    tower = Tower(models.get_model(name, weights=None), 224, (0.5,) * 3, (0.5,) * 3, name, "0" * 64, classifier=True)
    found = tower.features(np.zeros((1, 224, 224, 3), np.uint8))
    assert [level.shape[-1] for level in found.levels] == sides
    assert places is None or tower.places == places
    assert found.pooled.ndim == 2
    assert found.pooled.shape[1] != 1000  # the summary, not the classes


def test_a_clip_tower_gives_its_embedding_and_its_patches(tmp_path):
    spec = random_checkpoint("ViT-S-32-alt", tmp_path)
    frames = np.random.default_rng(1).integers(0, 256, (2, 224, 224, 3), np.uint8)
    tower = load_tower(spec)
    found = tower.features(frames)
    encoder = load_encoder(spec)
    with torch.inference_mode():
        np.testing.assert_allclose(
            found.pooled, encoder.model.encode_image(tower.normalised(frames)).numpy(), atol=1e-4
        )
    assert [level.shape[2:] for level in found.levels] == [(7, 7)] * 3


def test_what_a_warp_returns_is_what_the_network_goes_on_with(mini, easy):
    images = mini.normalised(easy.pictures(2, 0).frames)
    plain, summary = mini(images)
    same, unchanged = mini(images, [lambda grid: grid] * 3)
    turned, changed = mini(images, [lambda grid: grid.flip(3), lambda grid: grid, lambda grid: grid])
    torch.testing.assert_close(unchanged, summary)
    torch.testing.assert_close(same, plain)
    torch.testing.assert_close(turned[0], plain[0].flip(3))
    assert not torch.allclose(turned[1], plain[1])
    assert not torch.allclose(changed, summary)


def test_a_vits_class_token_passes_by_the_warps(tmp_path):
    tower = load_tower(random_checkpoint("ViT-S-32-alt", tmp_path))
    images = tower.normalised(np.random.default_rng(2).integers(0, 256, (1, 224, 224, 3), np.uint8))
    plain, summary = tower(images)
    same, unchanged = tower(images, [lambda grid: grid] * 3)
    torch.testing.assert_close(same, plain)
    torch.testing.assert_close(unchanged, summary)


def test_a_torchvision_name_is_told_from_a_clip():
    assert is_clip("mini")
    assert is_clip("ViT-B-16:/x.pt")
    assert not is_clip("resnet18:/x.pth")


def test_a_checkpoint_in_torchs_own_format_is_read_too(resnet, tmp_path, frames):
    path, model = resnet
    torch.save(model.state_dict(), tmp_path / "r.pth")
    ours = load_tower(f"resnet18:{tmp_path / 'r.pth'}").features(frames)
    np.testing.assert_array_equal(ours.pooled, load_tower(f"resnet18:{path}").features(frames).pooled)


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("the file was unpickled",))


def test_nothing_is_unpickled(tmp_path):
    path = tmp_path / "r.pth"
    path.write_bytes(pickle.dumps({"conv1.weight": Trap()}))
    with pytest.raises(EncoderError, match="not read"):
        load_tower(f"resnet18:{path}")
    torch.save(models.resnet18(weights=None), path)
    with pytest.raises(EncoderError, match="not read"):
        load_tower(f"resnet18:{path}")


def test_weights_must_fit_to_the_last_tensor(resnet, tmp_path):
    _, model = resnet
    state = {name: tensor for name, tensor in model.state_dict().items() if name != "layer3.0.conv1.weight"}
    save_file(state, tmp_path / "r.safetensors")
    with pytest.raises(SettingError, match=r"does not fit torchvision's resnet18.*layer3\.0\.conv1\.weight"):
        load_tower(f"resnet18:{tmp_path / 'r.safetensors'}")
    with pytest.raises(SettingError, match="needs a file"):
        load_tower("resnet18")
    with pytest.raises(EncoderError, match="no checkpoint"):
        load_tower("resnet18:/nowhere/r.pth")


def test_a_network_without_levels_says_what_was_found():
    flat = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.Flatten(), nn.Linear(4 * 8 * 8, 2))
    with pytest.raises(SettingError, match=r"flat has no three levels.*got maps of \[8\] and 0 blocks"):
        Tower(flat, 32, (0.5,) * 3, (0.5,) * 3, "flat", "0" * 64)
