"""Encoders: CLIP models that put texts and images into one space, by the name a user types.

- `mini`: the embedded stand-in for demos and tests
- `NAME:TAG`: a model and tag of open_clip, fetched once
- `NAME:/path/to/checkpoint`: a model of open_clip with weights from a file
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wordsight.train.clip import (
    QUICKGELU,
    TEMPERATURE,
    build_model,
    config_of_file,
    config_of_tag,
    fill_model,
    tags_name,
    temperature_of,
    tokenizer_of,
)
from wordsight.train.errors import DeviceAbsent, EncoderError
from wordsight.train.files import sha256_of
from wordsight.train.licences import licence_of, licence_of_file
from wordsight.train.weights import fetch_tag, read_state

__all__ = ["DEFAULT_ENCODER", "MINI_NOTE", "Encoder", "check_spec", "load_encoder", "resolve_device"]

DEFAULT_ENCODER = "ViT-B-16-plus-240:laion400m_e32"
MINI_NOTE = "embedded stand-in for demos and tests, not a product encoder"

_FILE_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


@dataclass
class Encoder:
    """A CLIP model in eval mode with all that is needed to feed it.

    Attributes:
        name: "mini" or open_clip's name.
        weights: "mini", a tag, or the absolute path of a checkpoint.
        sha256: of the weights file, hexadecimal.
        licence: of the weights, as their publisher states it.
        note: what a user of the exported file should know, or "".
        model: `encode_image` takes (B, 3, S, S) float32 normalised RGB, `encode_text` (B, C) int64 tokens; both give
            (B, D) embeddings, not normalised. `visual` is the image tower.
        tokenize: a list of B texts to (B, C) int64 tokens, C the model's context length (77 in CLIP).
        image_size: S, pixels a side.
        mean: what is subtracted from RGB in 0 ... 1, and
        std: what it is then divided by.
        embed_dim: D.
        temperature: T of the softmax over two prompts: the paper's, or one over the weights' own scale.
        fit: how pictures were brought to the square when the encoder was trained: "crop" (shorter side to S, the centre
            cut out) or "squash" (both sides to S).
    """

    name: str
    weights: str
    sha256: str
    licence: str
    note: str
    model: nn.Module
    tokenize: Callable[[list[str]], Tensor]
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    embed_dim: int
    temperature: float = TEMPERATURE
    fit: str = "crop"

    @property
    def spec(self) -> str:
        """What `load_encoder` takes to give this encoder again."""
        return self.name if self.name == "mini" else f"{self.name}:{self.weights}"

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        return next(self.model.parameters()).device


def load_encoder(spec: str, device: str = "cpu", expected_sha256: str | None = None) -> Encoder:
    """Load an encoder by its name.

    Args:
        spec: "mini", "NAME:TAG" or "NAME:/path/to/checkpoint".
        device: "auto", "cpu" or "cuda".
        expected_sha256: refuse weights whose file has another SHA-256 than this.

    Raises:
        EncoderError: an unknown name or tag, a file that is missing, damaged, unsafe or does not fit the model.
        WeightsUnreachable: weights must be downloaded and cannot be.
        DeviceAbsent: "cuda" on a machine without it.
    """
    target = resolve_device(device)
    name, rest = check_spec(spec)
    encoder = _load_mini(expected_sha256) if name == "mini" else _load_open_clip(name, rest, expected_sha256)
    encoder.model.eval().requires_grad_(False).to(target)
    return encoder


def resolve_device(device: str) -> torch.device:
    """Turn "auto", "cpu" or "cuda" (or "cuda:1") into a device that is there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        target = torch.device(device)
    except RuntimeError:
        target = torch.device("meta")
    if target.type not in ("cpu", "cuda"):
        raise EncoderError(f"--device takes auto, cpu or cuda, got {device!r}")
    if target.type == "cuda" and not (target.index or 0) < torch.cuda.device_count():
        raise DeviceAbsent(f"torch finds no device {device!r} here: use --device cpu, or install a CUDA driver")
    return target


def check_spec(spec: str) -> tuple[str, str]:
    """Split a name into model and tag or absolute path, and look both up, without loading or fetching anything.

    Raises:
        EncoderError: the model, the tag or the file is unknown; names near ones.
    """
    if spec == "mini":
        return "mini", "mini"
    import open_clip

    name, _, rest = spec.partition(":")
    known = open_clip.list_models()
    base = name.removesuffix(QUICKGELU)
    if name not in known and base not in known:
        near = {candidate.lower(): candidate for candidate in [*known, "mini"]}
        close = [near[match] for match in difflib.get_close_matches(name.lower(), near, n=4, cutoff=0.5)]
        hint = f": did you mean {', '.join(close)}?" if close else ": open_clip.list_models() names those there are"
        raise EncoderError(f"there is no encoder {name!r}{hint}")
    if _is_path(rest):
        path = Path(rest).expanduser().absolute()
        if not path.is_file():
            raise EncoderError(f"there is no checkpoint {path}" + (" (it is a folder)" if path.is_dir() else ""))
        return name, str(path)
    tags = open_clip.list_pretrained_tags_by_model(tags_name(name))
    tag = rest.lower().replace("-", "_")
    if tag not in tags:
        listed = ", ".join(tags) if tags else "none: pass a checkpoint"
        wrong = f"{name} has no weights {rest!r}." if rest else f"which weights of {name}?"
        raise EncoderError(f"{wrong} Use {name}:TAG or {name}:/path/to/checkpoint; tags are {listed}")
    return name, tag


def _is_path(rest: str) -> bool:
    return "/" in rest or "\\" in rest or rest.startswith("~") or rest.endswith(_FILE_SUFFIXES)


def _load_mini(expected_sha256: str | None) -> Encoder:
    import open_clip

    from wordsight.train import mini

    path = Path(str(resources.files(mini) / "mini.safetensors"))
    if not path.is_file():
        raise EncoderError(f"the embedded encoder's weights {path} are missing: install wordsight again")
    sha256 = _checked_sha256(path, expected_sha256, "mini")
    model = mini.load()
    return Encoder(
        name="mini",
        weights="mini",
        sha256=sha256,
        licence="Apache-2.0",
        note=MINI_NOTE,
        model=model,
        tokenize=open_clip.tokenize,
        image_size=mini.IMAGE_SIZE,
        mean=_three(mini.MEAN),
        std=_three(mini.STD),
        embed_dim=_width_of(model, open_clip.tokenize),
    )


def _load_open_clip(name: str, rest: str, expected_sha256: str | None) -> Encoder:
    local = _is_path(rest)
    config, note = config_of_file(name, Path(rest)) if local else (config_of_tag(name, rest), "")
    quick_gelu = name.endswith(QUICKGELU) or bool(config.get("quick_gelu"))
    pass_as = name if name.endswith(QUICKGELU) or not quick_gelu else name + QUICKGELU
    path = Path(rest) if local else fetch_tag(tags_name(name), rest, pass_as)

    sha256 = _checked_sha256(path, expected_sha256, f"{name}:{rest}")
    state = read_state(path)
    model = build_model(name, quick_gelu)
    fill_model(model, state, name, path)
    tokenize = tokenizer_of(name, path if local else None)

    preprocess = {**model.visual.preprocess_cfg, **{k: config[k] for k in ("mean", "std") if k in config}}
    interpolation = config.get("interpolation", "bicubic")
    if interpolation != "bicubic":
        note = f"{note}; " if note else ""
        note += f"trained on {interpolation} resizing, fed bicubic"
    return Encoder(
        name=name,
        weights=rest,
        sha256=sha256,
        licence=licence_of_file(tags_name(name), config) if local else licence_of(rest, config),
        note=note,
        model=model,
        tokenize=tokenize,
        image_size=_side(model.visual.image_size, name),
        mean=_three(preprocess["mean"]),
        std=_three(preprocess["std"]),
        embed_dim=_width_of(model, tokenize),
        temperature=temperature_of(model),
        fit="squash" if config.get("resize_mode") == "squash" else "crop",
    )


def _checked_sha256(path: Path, expected: str | None, label: str) -> str:
    sha256 = sha256_of(path)
    if expected is not None and sha256 != expected:
        raise EncoderError(
            f"these are other weights of {label} than asked for: expected SHA-256 {expected[:16]}…, "
            f"got {sha256[:16]}… of {path}"
        )
    return sha256


def _width_of(model: Any, tokenize: Callable[[list[str]], Tensor]) -> int:
    with torch.inference_mode():
        return int(model.encode_text(tokenize(["a"])).shape[-1])


def _side(size: Any, name: str) -> int:
    height, width = size if isinstance(size, (tuple, list)) else (size, size)
    if height != width:
        raise EncoderError(f"{name} takes pictures of {width}x{height}: only square encoders are served")
    return int(height)


def _three(values: Any) -> tuple[float, float, float]:
    red, green, blue = values
    return float(red), float(green), float(blue)
