"""Text embeddings kept from run to run, one file for every encoder, weights, precision and list of prompts."""

import hashlib
import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordsight.train.files import whole_file

__all__ = ["cache_key", "default_cache", "load_embeddings", "store_embeddings"]

_LIMIT_BYTES = 4 * 1024**3
_RECIPE = 2  # raise it when embeddings of the same prompts come out differently


def default_cache() -> Path:
    """`WORDSIGHT_CACHE`, else `wordsight` in `XDG_CACHE_HOME`, else in `~/.cache`."""
    if chosen := os.environ.get("WORDSIGHT_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wordsight"


def cache_key(name: str, sha256: str, precision: str, prompts: Sequence[str]) -> str:
    """What embeddings depend on, as a SHA-256: the encoder, its weights, the precision and the prompts in order."""
    content = json.dumps([_RECIPE, name, sha256, precision, list(prompts)])
    return hashlib.sha256(content.encode()).hexdigest()


def load_embeddings(folder: Path, key: str, count: int, width: int) -> NDArray[np.float32] | None:
    """The (count, width) float32 embeddings kept under a key, or None; a damaged entry is removed with a warning."""
    from safetensors import SafetensorError, safe_open

    path = folder / f"{key}.safetensors"
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            embeddings: NDArray[np.float32] = file.get_tensor("embeddings")
            digest = (file.metadata() or {}).get("sha256")
        if embeddings.shape != (count, width) or digest != _digest(embeddings):
            raise ValueError("the content does not match its checksum")
        os.utime(path)  # the entry was of use: the oldest ones go first
        return embeddings
    except (SafetensorError, OSError, ValueError) as error:
        warnings.warn(f"the kept embeddings {path} are damaged ({error}): computing them again", stacklevel=2)
        return None


def store_embeddings(folder: Path, key: str, embeddings: NDArray[np.float32]) -> None:
    """Keep (N, D) float32 embeddings under a key; a folder that cannot be written to is a warning, not an error."""
    from safetensors.numpy import save

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(folder / f"{key}.safetensors") as file:
            file.write(save({"embeddings": embeddings}, {"sha256": _digest(embeddings)}))
        _forget_oldest(folder)
    except OSError as error:
        warnings.warn(f"embeddings cannot be kept in {folder} ({error}): going on without", stacklevel=2)


def _forget_oldest(folder: Path) -> None:
    """Hold the folder below its limit: embeddings of words are cheap to compute again."""
    entries = [(path, path.stat()) for path in folder.glob("*.safetensors")]
    total = sum(stat.st_size for _, stat in entries)
    for path, stat in sorted(entries, key=lambda entry: entry[1].st_mtime):
        if total <= _LIMIT_BYTES:
            break
        path.unlink(missing_ok=True)
        total -= stat.st_size


def _digest(embeddings: NDArray[np.float32]) -> str:
    return hashlib.sha256(np.ascontiguousarray(embeddings).tobytes()).hexdigest()
