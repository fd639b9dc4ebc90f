"""Engines on disk: built here, keyed by all that they are bound to, loaded only if nobody else can have touched them.

A serialised engine is a program. So it is taken from a folder of our own alone, mode 0700, as a plain file that we own
and nobody else may write, whose bytes have the hash that its sidecar names. What is not, is not loaded but built anew.
"""

import contextlib
import hashlib
import json
import os
import re
import stat
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from wordsight.runtime.errors import ModelError
from wordsight.runtime.files import PARTS, whole_file

SUFFIX = ".engine"
_LEFT_S = 3600
"""Seconds after which a file that was never finished is a crash's."""


class EngineRefused(ModelError):
    """An engine, or the folder it lies in, that is not safely ours, or is not what its sidecar says."""


@dataclass(frozen=True)
class EngineKey:
    """All that an engine is bound to.

    Attributes:
        module: "tensorrt" or "tensorrt_rtx".
        version: of the module.
        gpu: the GPU's name; "any" for `tensorrt_rtx`, whose engines serve every GPU of a compute capability.
        capability: "SM87".
        precision: of the file, by its manifest.
        profile: batch sizes (least, best, most).
        model_sha256: of the exported file.
    """

    module: str
    version: str
    gpu: str
    capability: str
    precision: str
    profile: tuple[int, int, int]
    model_sha256: str

    @property
    def file_name(self) -> str:
        """A name to be read by people, made one of a kind by the hash of the whole key."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        short = f"{self.module}-{self.version}-{self.capability}-{self.precision}-b{self.profile[2]}"
        return f"{re.sub(r'[^A-Za-z0-9._-]', '_', short)}-{digest[:16]}{SUFFIX}"

    def differences(self, other: "EngineKey") -> list[str]:
        """What another key has otherwise: "version 10.3.0, here 10.7.0"."""
        mine, theirs = asdict(self), asdict(other)
        return [
            f"{name} {_short(theirs[name])}, here {_short(mine[name])}" for name in mine if mine[name] != theirs[name]
        ]


def engine_folder(model: str | os.PathLike[str]) -> Path:
    """Folder of a model's engines: `line3.onnx.engines` beside it, or in the user's cache where that cannot be written.

    It need not exist yet.
    """
    path = Path(model).absolute()
    beside = path.with_name(path.name + ".engines")
    if os.access(beside if beside.exists() else path.parent, os.W_OK):
        return beside
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(cache, "wordsight", "engines", hashlib.sha256(os.fsencode(path)).hexdigest()[:16])


def private_folder(folder: Path) -> Path:
    """Make a folder that only this user can enter, or see that it is one.

    Raises:
        EngineRefused: it is a link, belongs to another user, or others may enter it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise EngineRefused(f"{folder} should be a folder of engines and is none; remove it")
    _refuse_others(folder, status, 0o077)
    return folder


def read_engine(folder: Path, key: EngineKey) -> bytes:
    """The engine of a key, if it is safely ours.

    Raises:
        FileNotFoundError: there is none yet.
        EngineRefused: there is one, but it is half-written, damaged, of another key, or not ours alone.
    """
    path = folder / key.file_name
    if not path.exists() and not path.is_symlink():
        raise FileNotFoundError(path)
    private_folder(folder)
    data = read_own(path)
    told = _sidecar(path)
    found = _key_of(told)
    if found is None:
        raise EngineRefused(f"{path.name} is half-written: its sidecar names no key")
    if found != key:
        raise EngineRefused(f"{path.name} was built for {'; '.join(key.differences(found))}")
    if hashlib.sha256(data).hexdigest() != told.get("engine_sha256"):
        raise EngineRefused(f"{path.name} is half-written or was changed: its hash is not that of its sidecar")
    return data


def write_engine(folder: Path, key: EngineKey, data: bytes, facts: dict[str, Any]) -> Path:
    """Keep an engine with its sidecar; each appears whole or not at all, and together they match or are refused.

    Engines that this one replaces (of another version or another model, else for the same) are removed, and what a
    crash left half-written.

    Args:
        folder: made if it is not there.
        key: what the engine is bound to.
        data: the engine.
        facts: what else the sidecar tells people.
    """
    private_folder(folder)
    path = folder / key.file_name
    sidecar = {**asdict(key), "engine_sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), **facts}
    write_own(path, data)
    write_own(_sidecar_path(path), json.dumps(sidecar, indent=2).encode() + b"\n")
    for old in folder.glob(f"*{SUFFIX}"):
        other = known_key(old)
        if other not in (None, key) and replace(other, version=key.version, model_sha256=key.model_sha256) == key:
            old.unlink(missing_ok=True)
            _sidecar_path(old).unlink(missing_ok=True)
    for part in folder.glob(PARTS):
        with contextlib.suppress(OSError):  # it may have been finished meanwhile
            if time.time() - part.stat().st_mtime > _LEFT_S:  # or another process is still writing it
                part.unlink()
    return path


def known_key(path: Path) -> EngineKey | None:
    """Key that an engine's sidecar names, None without a sidecar that can be trusted or read."""
    try:
        return _key_of(_sidecar(path))
    except (OSError, EngineRefused):
        return None


def best_profile(folder: Path, key: EngineKey, batch: int) -> EngineKey:
    """The key among those of the folder, equal but for the profile, that serves a batch best; `key` without any.

    The smallest that holds the batch, else the largest: larger batches are split.
    """
    there = [known_key(path) for path in folder.glob(f"*{SUFFIX}")] if folder.is_dir() else []
    fits = [one for one in there if one is not None and replace(one, profile=key.profile) == key]
    holding = [one for one in fits if one.profile[2] >= batch]
    if holding:
        return min(holding, key=lambda one: one.profile[2])
    return max(fits, key=lambda one: one.profile[2], default=key)


def why_none(folder: Path, key: EngineKey) -> str:
    """Why a folder has no engine for a key: none at all, or how the one there differs."""
    there = [known_key(path) for path in folder.glob(f"*{SUFFIX}")] if folder.is_dir() else []
    same = [one for one in there if one is not None and one.module == key.module]
    if not same:
        return "no engine yet"
    nearest = min(same, key=lambda one: len(key.differences(one)))
    return f"the engine there is for {'; '.join(key.differences(nearest))}"


def read_own(path: Path) -> bytes:
    """Read a plain file that this user owns and nobody else may write.

    Raises:
        EngineRefused: it is a link or a device, belongs to another user, or others may write it.
        OSError: what the system answers.
    """
    if path.is_symlink():
        raise EngineRefused(f"{path} is a link; engines are plain files")
    # Asked of the open file: between a look at a name and its opening another file may take it.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise EngineRefused(f"{path} is no plain file")
        _refuse_others(path, status, 0o022)
        return file.read()


def write_own(path: Path, data: bytes) -> None:
    """Write a file that only this user can read or write; it appears whole or not at all."""
    with whole_file(path) as file:
        if hasattr(os, "fchmod"):
            os.fchmod(file.fileno(), 0o600)
        file.write(data)


def refuse_foreign(folder: Path) -> None:
    """See that a folder is ours alone, and every file in it, before a library that loads engines is shown it.

    Raises:
        EngineRefused: says which is not.
    """
    private_folder(folder)
    for path in folder.iterdir():
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise EngineRefused(f"{path} is no plain file; remove it")
        _refuse_others(path, status, 0o022)


def _refuse_others(path: Path, status: os.stat_result, mask: int) -> None:
    if not hasattr(os, "geteuid"):
        return  # Windows keeps its rights elsewhere; there the folder's own are what protects it
    if status.st_uid != os.geteuid():
        raise EngineRefused(f"{path} belongs to another user (uid {status.st_uid}); it is not used. Remove it")
    if status.st_mode & mask:
        mode = stat.S_IMODE(status.st_mode)
        raise EngineRefused(f"{path} is open to other users (mode {mode:04o}); it is not used. Remove it")


def _sidecar_path(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _sidecar(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(read_own(_sidecar_path(path)))
    except FileNotFoundError as error:
        raise EngineRefused(f"{path.name} is half-written: its sidecar is missing") from error
    except ValueError as error:
        raise EngineRefused(f"{path.name} is half-written: its sidecar is no JSON") from error
    return told if isinstance(told, dict) else {}


def _key_of(told: dict[str, Any]) -> EngineKey | None:
    try:
        key = EngineKey(**{name: told[name] for name in EngineKey.__dataclass_fields__})
        least, best, most = key.profile  # a list, in JSON
        return replace(key, profile=(least, best, most))
    except (KeyError, TypeError, ValueError):
        return None


def _short(value: Any) -> str:
    text = "-".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text[:12] if re.fullmatch("[0-9a-f]{64}", text) else text
