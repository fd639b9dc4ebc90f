"""Head files: the heads of K seeds in one safetensors file, with everything they came from as metadata."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from wordsight.train.errors import HeadFileError, SettingError
from wordsight.train.files import check_output_file, is_pickle, sha256_of, whole_file
from wordsight.train.fit import Settings, check_seeds
from wordsight.train.head import Head

if TYPE_CHECKING:
    from wordsight.train.encoders import Encoder

__all__ = ["METADATA_KEY", "SCHEMA", "HeadFile", "load_heads", "save_heads"]

METADATA_KEY = "wordsight"
SCHEMA = 1


@dataclass(frozen=True)
class HeadFile:
    """What a head file holds.

    Attributes:
        heads: one a seed, in eval mode.
        settings: what they were trained with.
        seeds: in the order of the heads.
        encoder: `name`, `weights`, `sha256`, `embed_dim`, `licence`, `note` of the encoder they belong to.
        sha256: of the file, hexadecimal.
        metadata: the whole record, with `created` and `tools`.
    """

    heads: list[Head]
    settings: Settings
    seeds: tuple[int, ...]
    encoder: dict[str, Any]
    sha256: str
    metadata: dict[str, Any]

    @property
    def encoder_spec(self) -> str:
        """What `load_encoder` takes to give the encoder that these heads belong to."""
        name, weights = self.encoder["name"], self.encoder["weights"]
        return name if name == "mini" else f"{name}:{weights}"


def save_heads(path: Path, heads: Sequence[Head], settings: Settings, seeds: Sequence[int], encoder: "Encoder") -> None:
    """Write heads as `seedS.layers.I.weight` and so on; the file appears whole or not at all.

    Raises:
        OutputError: the folder is missing, or `path` is one.
        SettingError: not one head a seed.
        OSError: the disk is full.
    """
    from safetensors.torch import save

    path = Path(path)
    check_output_file(path)
    check_seeds(seeds)
    if len(heads) != len(seeds):
        raise SettingError(f"a head file takes one head a seed, got {len(heads)} heads and {len(seeds)} seeds")
    record = {
        "schema": SCHEMA,
        "created": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "wordsight": _version("wordsight"),
        "encoder": {
            "name": encoder.name,
            "weights": encoder.weights,
            "sha256": encoder.sha256,
            "embed_dim": encoder.embed_dim,
            "licence": encoder.licence,
            "note": encoder.note,
        },
        "settings": settings.to_dict(),
        "seeds": list(seeds),
        "tools": {name: _version(name) for name in ("torch", "open_clip_torch", "numpy", "safetensors")},
    }
    tensors = {
        f"seed{seed}.{name}": tensor.detach().cpu().contiguous()
        for seed, head in zip(seeds, heads, strict=True)
        for name, tensor in head.state_dict().items()
    }
    content = save(tensors, {METADATA_KEY: json.dumps(record)})
    with whole_file(path) as file:
        file.write(content)


def load_heads(path: Path) -> HeadFile:
    """Read a head file.

    Raises:
        HeadFileError: missing, empty, damaged, a pickle, not a head file, newer than this Wordsight, or with tensors
            that do not fit the settings it records.
    """
    path = Path(path)
    tensors, record = _read(path)
    try:
        settings = Settings.from_dict(record["settings"])
        seeds = tuple(int(seed) for seed in record["seeds"])
        check_seeds(seeds)
        encoder = dict(record["encoder"])
        name, weights, sha256 = (encoder[key] for key in ("name", "weights", "sha256"))
        if not all(isinstance(text, str) and text for text in (name, weights, sha256)):
            raise SettingError("the record of the encoder is incomplete")
        embed_dim = int(encoder["embed_dim"])
        heads = [_head_of(tensors, seed, embed_dim, settings) for seed in seeds]
    except (KeyError, TypeError, ValueError, SettingError) as error:
        raise HeadFileError(f"{path} has a damaged record ({error}): train it again") from error
    except RuntimeError as error:
        raise HeadFileError(f"{path} holds heads that do not fit its own record: train it again") from error
    return HeadFile(heads, settings, seeds, encoder, sha256_of(path), record)


def _head_of(tensors: dict[str, Tensor], seed: int, embed_dim: int, settings: Settings) -> Head:
    prefix = f"seed{seed}."
    state = {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
    if not all(torch.isfinite(tensor).all() for tensor in state.values()):
        raise SettingError(f"the head of seed {seed} has weights that are not finite")
    # Sizes come from a file: compare before anything of that size is made.
    expected = {f"layers.{4 * i}.weight": shape for i, shape in enumerate(_shapes(embed_dim, settings.widths))}
    for key, shape in expected.items():
        found = tuple(state[key].shape) if key in state else None
        if found != shape:
            raise SettingError(f"{prefix}{key} has the shape {found}, expected {shape}")
    mean = torch.zeros(embed_dim) if settings.centre else None  # filled below, or missing
    with torch.random.fork_rng(devices=[]):
        head = Head(embed_dim, settings.widths, settings.dropout, text_mean=mean)
    head.load_state_dict(state)
    return head.eval().requires_grad_(False)


def _shapes(embed_dim: int, widths: Sequence[int]) -> list[tuple[int, int]]:
    """Shapes of the linear layers' weights, output first."""
    sizes = [embed_dim, *widths, 1]
    return list(zip(sizes[1:], sizes[:-1], strict=True))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    if path.is_dir():
        raise HeadFileError(f"{path} is a folder: name the head file in it")
    if not path.is_file():
        raise HeadFileError(f"there is no head file {path}: make one with `wordsight train -o {path}`")
    if is_pickle(path):
        raise HeadFileError(f"{path} is a pickle, not a head file: it was not read")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
            if text is None:
                raise HeadFileError(f"{path} holds tensors but no head of Wordsight: pass what `wordsight train` wrote")
            record = json.loads(text)
            if not isinstance(record, dict) or not isinstance(record.get("schema"), int):
                raise HeadFileError(f"{path} has a damaged record: train it again")
            if record["schema"] > SCHEMA:
                raise HeadFileError(
                    f"{path} was written by a newer Wordsight ({record.get('wordsight', '?')}, schema "
                    f"{record['schema']}; this one reads up to {SCHEMA}): update wordsight"
                )
            return {key: file.get_tensor(key) for key in file.keys()}, record
    except (SafetensorError, ValueError) as error:
        raise HeadFileError(f"{path} is empty, cut short or no head file ({error}): copy or train it again") from error


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"
