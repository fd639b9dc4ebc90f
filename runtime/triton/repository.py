"""A model in a repository, whole or not at all, and the next version beside the one that is served.

REPOSITORY/NAME/config.pbtxt        how it is served, and which version: the last thing that is written
REPOSITORY/NAME/warmup/golden       the golden frame, uint8 BGR, where the manifest has one
REPOSITORY/NAME/1/model.onnx        or model.plan; model.py beside it for the python backend
"""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wordsight.runtime.backends.engine_lock import only_builder
from wordsight.runtime.errors import ModelError, OutputError, SettingError
from wordsight.runtime.files import PARTS, check_output_folder, file_sha256, whole_file
from wordsight.runtime.golden import golden_frame
from wordsight.runtime.manifest import Manifest
from wordsight.runtime.triton.config import (
    MANIFEST_KEY,
    PLAN_KEY,
    SHA256_KEY,
    WARM_UP,
    Serving,
    config_text,
    has_golden,
    opened,
    read_back,
)
from wordsight.runtime.triton.plan import Plan

CONFIG = "config.pbtxt"
_SCRIPT = Path(__file__).with_name("python_model.py")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class Written:
    """What a repository holds now.

    Attributes:
        folder: of the model.
        version: the one that is served.
        before: the version that was served until now; None for a new model.
    """

    folder: Path
    version: int
    before: int | None


def check_name(name: str) -> str:
    """Return a model's name if it can be one in an address.

    Raises:
        SettingError: says what it may hold.
    """
    if not _NAME.fullmatch(name):
        raise SettingError(f"--name: expected letters, digits, '.', '_' and '-', and no other first, got {name!r}")
    return name


def write_model(
    repository: Path, name: str, model: Path, manifest: Manifest, sha256: str, serving: Serving, plan: Plan | None
) -> Written:
    """Write a model into a repository, or its next version.

    A version is never changed: the same file again only changes how it is served. A server that polls the repository
    sees the old version until the new one and its configuration are whole.

    Args:
        repository: a folder; made if it is not there.
        name: of the model.
        model: the exported file.
        manifest: what it says about itself.
        sha256: of the file.
        serving: how it is to be served.
        plan: for `tensorrt` alone.

    Raises:
        OutputError: what has that name there is another model, or not ours.
        ModelError: the file changed meanwhile.
        OSError: what the system answers; nothing is left then.
    """
    parameters = {SHA256_KEY: sha256}
    if plan is not None:
        parameters[PLAN_KEY] = f"{plan.made_with}, sha256 {hashlib.sha256(plan.data).hexdigest()}"
    folder = check_output_folder(repository) / name
    with only_builder(repository):
        before, told = _known(folder)
        if told:
            _require_same(folder, Manifest.from_json(told[MANIFEST_KEY]), manifest)
        current = before or 1
        if _holds(folder / str(current), serving, told or parameters, parameters):
            with _made(folder):
                _configure(folder, current, serving, manifest, parameters)
            return Written(folder, current, before)
        if before is None and folder.exists() and any(one.name.isdecimal() for one in folder.iterdir()):
            raise _not_ours(folder)
        with _made(folder):
            version = 1 + max((int(one.name) for one in folder.iterdir() if one.name.isdecimal()), default=0)
            with _staged(folder, version) as stage:
                if plan is not None:
                    _write(stage / "model.plan", plan.data)
                else:
                    _copy(model, stage / "model.onnx", sha256)
                if serving.kind == "python":
                    _write(stage / "model.py", _SCRIPT.read_bytes())
            try:
                _configure(folder, version, serving, manifest, parameters)
            except BaseException:
                shutil.rmtree(folder / str(version), ignore_errors=True)
                raise
    return Written(folder, version, before)


def _known(folder: Path) -> tuple[int | None, dict[str, str]]:
    """Version and parameters of the model that is there; (None, {}) for none, and for what a killed run left of one."""
    config = folder / CONFIG
    if not config.exists():
        if folder.exists() and not (folder.is_dir() and all(map(_could_be_left, folder.iterdir()))):
            raise _not_ours(folder)
        return None, {}
    text = opened(config.read_text(encoding="utf-8", errors="replace"))
    if text is None:
        raise OutputError(
            f"{config} was changed by hand, or not written by wordsight triton, and is kept; "
            f"take another --name, or remove {folder} to begin anew"
        )
    return read_back(text)


def _could_be_left(one: Path) -> bool:
    return one.is_dir() and (one.name in ("warmup", "1") or one.match(PARTS))


def _not_ours(folder: Path) -> OutputError:
    return OutputError(f"{folder} is no model of wordsight triton: there is no {CONFIG}; take another --name")


def _require_same(folder: Path, there: Manifest, new: Manifest) -> None:
    """A version may differ in what was trained and how it was reduced, never in what it takes, gives or looks for."""
    for what, old, asked in (
        ("encoder", f"{there.encoder.name} {there.encoder.sha256[:12]}",
         f"{new.encoder.name} {new.encoder.sha256[:12]}"),
        ("object", there.prompts.object, new.prompts.object),
        ("input", there.input, new.input),
        ("outputs", there.outputs, new.outputs),
        ("objects", there.objects, new.objects),
    ):  # fmt: skip
        if old != asked:
            brief = f" ({old}, not {asked})" if isinstance(old, str) else ""
            raise OutputError(f"{folder} holds another model: its {what} differs{brief}; take another --name")


def _holds(folder: Path, serving: Serving, told: dict[str, str], asked: dict[str, str]) -> bool:
    """Whether a version is already what was asked for: the same bytes for the same of Triton's backends."""
    files = {"onnxruntime": ["model.onnx"], "tensorrt": ["model.plan"], "python": ["model.onnx", "model.py"]}
    same = all(told.get(key) == value for key, value in asked.items())
    if not same or not folder.is_dir() or sorted(one.name for one in folder.iterdir()) != files[serving.kind]:
        return False
    script = folder / "model.py"
    if script.exists() and script.read_bytes() != _SCRIPT.read_bytes():
        return False
    model = folder / files[serving.kind][0]
    return file_sha256(model) == asked[PLAN_KEY if serving.kind == "tensorrt" else SHA256_KEY].split()[-1]


def _configure(folder: Path, version: int, serving: Serving, manifest: Manifest, parameters: dict[str, str]) -> None:
    if has_golden(manifest):
        (folder / "warmup").mkdir(exist_ok=True)
        frame = golden_frame(*manifest.input.shape).tobytes()
        there = folder / "warmup" / WARM_UP
        if not there.is_file() or there.read_bytes() != frame:
            _write(there, frame)
    _write(folder / CONFIG, config_text(folder.name, version, serving, manifest, parameters).encode())


def _write(path: Path, data: bytes) -> None:
    with whole_file(path) as file:
        file.write(data)


def _copy(model: Path, target: Path, sha256: str) -> None:
    digest = hashlib.sha256()
    with open(model, "rb") as source, whole_file(target) as file:
        while block := source.read(1 << 20):
            digest.update(block)
            file.write(block)
    if digest.hexdigest() != sha256:
        raise ModelError(f"{model} was changed while it was copied; run this again")


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """The model's folder, with nothing in it that an earlier run left half; removed if it is new and this fails."""
    new = not (folder / CONFIG).exists()
    folder.mkdir(exist_ok=True)
    for left in folder.glob(PARTS):
        shutil.rmtree(left, ignore_errors=True)
    try:
        yield
    except BaseException:
        if new:
            shutil.rmtree(folder, ignore_errors=True)
        raise


@contextlib.contextmanager
def _staged(folder: Path, version: int) -> Iterator[Path]:
    """A folder that takes the version's name when all in it is whole, and is removed when it is not."""
    # No other name: Triton leaves aside what is no number.
    stage = folder / PARTS.replace("*", secrets.token_hex(8))
    stage.mkdir()
    try:
        yield stage
        os.rename(stage, folder / str(version))
    finally:
        shutil.rmtree(stage, ignore_errors=True)
