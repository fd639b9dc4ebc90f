"""Weights of encoders: where a tag's file lies, and how a file is read without trusting it.

Nothing is unpickled: safetensors hold nothing but tensors, and other files are read with `weights_only=True`.
"""

import os
import queue
import shutil
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wordsight.train.errors import EncoderError, WeightsUnreachable
from wordsight.train.files import is_pickle, sha256_of, whole_file

__all__ = ["check_hub", "fetch_tag", "read_state", "sources_of"]

_TIMEOUT_S = 8.0  # of one connection, or one wait for bytes
_DEADLINE_S = 15.0  # until an answer begins, however many addresses a host has and however long names take
_HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def sources_of(name: str, tag: str) -> tuple[str, tuple[str, tuple[str, ...]] | None]:
    """Where the weights of a tag lie: a URL or "", and a repository of the Hugging Face hub with file names, or None.

    open_clip names the same repository for two tags in places (`laion400m_e32` of ViT-B-16-plus-240 points at the
    weights of `laion400m_e31`). A repository that two tags share is not used while there is a URL.
    """
    import open_clip

    config = open_clip.get_pretrained_cfg(name, tag)
    url, hub = str(config.get("url", "")), str(config.get("hf_hub", ""))
    others = [t for t in open_clip.list_pretrained_tags_by_model(name) if t != tag]
    shared = any(open_clip.get_pretrained_cfg(name, other).get("hf_hub") == hub for other in others)
    if not hub or (shared and url):
        return url, None
    repository, _, file = hub.rpartition("/")
    files = (f"{Path(file).stem}.safetensors", file) if file else _HUB_FILES
    return url, (repository, tuple(dict.fromkeys(files)))


def fetch_tag(name: str, tag: str, pass_as: str) -> Path:
    """The weights file of a tag, from the caches that open_clip and the hub use, or downloaded into them.

    Args:
        name: open_clip's name of the model.
        tag: one of its tags.
        pass_as: the name under which a local file of these weights is to be passed.

    Raises:
        WeightsUnreachable: it is not here and cannot be fetched; says which file to fetch and how to pass it.
    """
    url, hub = sources_of(name, tag)
    try:
        return _from_hub(*hub) if hub else _from_url(url)
    except (OSError, ValueError) as error:  # URLError, time-outs and the hub's own errors are OSErrors or ValueErrors
        reason = str(getattr(error, "reason", error)).strip().split("\n")[0]
        raise WeightsUnreachable(_advice(name, tag, pass_as, url, hub, reason)) from error


def _advice(name: str, tag: str, pass_as: str, url: str, hub: tuple[str, tuple[str, ...]] | None, reason: str) -> str:
    lines = [f"the weights {name}:{tag} are not on this machine and cannot be downloaded ({reason})."]
    if hub:
        lines.append(f"Fetch {hub[1][0]} (or {hub[1][-1]}) of {hub[0]} on the Hugging Face hub elsewhere,")
        file = hub[1][0]
    else:
        lines.append(f"Fetch {url} elsewhere,")
        file = url.rpartition("/")[2]
    lines.append(f"copy it here, and pass it: --encoder {pass_as}:/path/to/{file}")
    lines.append("To try everything without weights: --encoder mini")
    return "\n".join(lines)


def check_hub() -> None:
    """Raise OSError unless the Hugging Face hub answers within seconds.

    Its own client tries six times over half a minute; one quick question tells whether that is worth it.
    """
    from huggingface_hub import constants

    _open(constants.ENDPOINT, method="HEAD").close()


def _from_hub(repository: str, files: tuple[str, ...]) -> Path:
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError

    for file in files:
        cached = try_to_load_from_cache(repository, file)
        if isinstance(cached, str):
            return Path(cached)
    check_hub()
    for file in files[:-1]:
        try:
            return Path(hf_hub_download(repository, file, etag_timeout=_TIMEOUT_S))
        except EntryNotFoundError:
            continue
    return Path(hf_hub_download(repository, files[-1], etag_timeout=_TIMEOUT_S))


def _from_url(url: str) -> Path:
    file = url.rpartition("/")[2]
    folder = Path(os.path.expanduser("~/.cache/clip"))  # where open_clip itself looks
    target = folder / file
    # Both publishers put a checksum into the address: a folder of it, or the end of the file's name.
    expected = url.split("/")[-2] if "openaipublic" in url else Path(file).stem.rpartition("-")[2]
    expected = expected if "openaipublic" in url or "mlfoundations" in url else ""
    if target.is_file() and sha256_of(target).startswith(expected):
        return target
    with _open(url) as answer:
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as out:
            shutil.copyfileobj(answer, out, 1 << 20)
    if not sha256_of(target).startswith(expected):
        target.unlink()
        raise ValueError(f"what arrived has another checksum than {expected}")
    return target


def _open(url: str, method: str = "GET") -> Any:
    """Open a URL within a few seconds; to HEAD, an answer of any status shows that the host is there.

    Raises:
        OSError: the user asked for no network, or nobody answered in time.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):  # the hub's own reading of it
        raise OSError("HF_HUB_OFFLINE is set")
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=_TIMEOUT_S))
        except Exception as error:
            answers.put(error)

    # A time-out of urllib counts for each address of a host anew, and not at all while its name is looked up.
    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=_DEADLINE_S)
    except queue.Empty:
        raise TimeoutError(f"no answer within {_DEADLINE_S:g} s") from None
    if isinstance(answer, Exception) and not (method == "HEAD" and isinstance(answer, urllib.error.HTTPError)):
        raise answer
    return answer


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint: `.safetensors`, or torch's own format without running anything in it.

    Returns:
        Names to tensors, taken out of a wrapping `state_dict` and of `module.` prefixes.

    Raises:
        EncoderError: no such file, empty, damaged, or holding more than tensors.
    """
    if path.is_dir():
        raise EncoderError(f"{path} is a folder: name the checkpoint file in it")
    if not path.is_file():
        raise EncoderError(f"there is no checkpoint {path}")
    if path.stat().st_size == 0:
        raise EncoderError(f"the checkpoint {path} is empty: copy it again")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)

    while isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict):
        raise EncoderError(f"{path} holds a {type(content).__name__}, expected named tensors (a state_dict)")
    state = {str(key).removeprefix("module."): value for key, value in content.items() if isinstance(value, Tensor)}
    if not state:
        raise EncoderError(f"{path} holds no tensors under names, expected a state_dict")
    return state


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if is_pickle(path):
        raise EncoderError(f"{path} is a pickle under the name of safetensors: it was not read. Fetch the real file")
    try:
        state: dict[str, Tensor] = load_file(path)
        return state
    except (SafetensorError, ValueError) as error:
        raise EncoderError(f"{path} is not whole safetensors ({error}): copy it again") from error


def _read_torch(path: Path) -> Any:
    import pickle

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise EncoderError(
            f"{path} holds more than tensors, or is no checkpoint of torch: it was not read. "
            "Fetch the safetensors file of these weights"
        ) from error
    except (RuntimeError, ValueError, EOFError, KeyError, AttributeError, TypeError) as error:
        if "TorchScript" in str(error):
            raise EncoderError(
                f"{path} is a TorchScript archive, which can hold code: it was not read. "
                "Fetch the safetensors file of these weights"
            ) from error
        raise EncoderError(f"{path} is damaged or no checkpoint of torch: copy it again") from error
