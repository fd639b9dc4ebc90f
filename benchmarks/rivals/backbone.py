"""Backbones by the name a user types: `mini`, one of open_clip's, or one of torchvision's, weights from a file."""

from pathlib import Path
from typing import Any

from wordsight.benchmarks.rivals.tower import Tower
from wordsight.runtime.errors import SettingError


def is_clip(spec: str) -> bool:
    """Whether a backbone has a text side, so that ours can be measured on it; False for torchvision's names."""
    return spec.partition(":")[0] not in _torchvision_names()


def load_tower(spec: str, device: str = "cpu") -> Tower:
    """The image side of a backbone.

    Args:
        spec: "mini", "NAME:TAG" or "NAME:/path/to/checkpoint" of open_clip, "NAME:/path/to/checkpoint" of torchvision.
        device: "auto", "cpu" or "cuda".

    Raises:
        SettingError: a torchvision name without a file, or weights that do not fit it to the last tensor.
        EncoderError: as `wordsight.train.encoders.load_encoder`; nothing is unpickled.
    """
    from wordsight.train.encoders import load_encoder, resolve_device

    if is_clip(spec):
        encoder = load_encoder(spec)
        visual = encoder.model.get_submodule("visual")
        name = encoder.name if encoder.name == "mini" else f"{encoder.name} sha256 {encoder.sha256[:12]}"
        tower = Tower(visual, encoder.image_size, encoder.mean, encoder.std, name, encoder.sha256)
    else:
        tower = _torchvision(spec)
    return tower.to(resolve_device(device))


def _torchvision(spec: str) -> Tower:
    from torchvision import models

    from wordsight.train.files import sha256_of
    from wordsight.train.weights import read_state

    name, _, given = spec.partition(":")
    if not given:
        raise SettingError(
            f"--backbone {name} is torchvision's and needs a file: --backbone {name}:/path/to/checkpoint"
        )
    path = Path(given).expanduser()
    state = read_state(path)
    model = models.get_model(name, weights=None)
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        faults = [line.strip() for line in str(error).splitlines()[1:] if line.strip()]
        raise SettingError(f"{path} does not fit torchvision's {name}: {'; '.join(faults)[:300]}") from error
    seen: Any = models.get_model_weights(name).DEFAULT.transforms()  # what its publisher feeds; nothing is fetched
    sha256 = sha256_of(path)
    label = f"{name} sha256 {sha256[:12]}"
    return Tower(model, int(seen.crop_size[0]), seen.mean, seen.std, label, sha256, classifier=True)


def _torchvision_names() -> frozenset[str]:
    from torchvision import models

    return frozenset(models.list_models(module=models))
