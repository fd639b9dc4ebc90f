"""Whether several files are forms of one model: the same but for their precision."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wordsight.runtime.errors import SettingError
from wordsight.runtime.manifest import Manifest

_SAME = (
    "encoder", "head", "prompts", "score", "input", "crops", "objects", "heatmap", "winclip", "centre", "outputs",
)  # fmt: skip
"""Parts of the manifest that have to be the same for two files to be two forms of one model."""

Files = Sequence[tuple[Path, Manifest]]


def check_same_model(files: Files) -> None:
    """Refuse files that are not forms of one model.

    Raises:
        SettingError: two are given as one, or they differ in more than their precision; says where.
    """
    first_path, first = files[0]
    for index, (path, manifest) in enumerate(files):
        if any(os.path.samefile(path, other) for other, _ in files[:index]):
            raise SettingError(f"{path} is given twice; give each file once")
        for part in _SAME:
            mine, theirs = getattr(first, part), getattr(manifest, part)
            if mine != theirs:
                raise SettingError(
                    f"{path} is another model than {first_path}: {part} differs ({_difference(mine, theirs)}); "
                    "give files of one head, exported with the same options but for --precision"
                )


def _difference(mine: Any, theirs: Any) -> str:
    for name in getattr(mine, "__dataclass_fields__", ()):
        if getattr(mine, name) != getattr(theirs, name):
            return f"{name} {_short(getattr(theirs, name))}, not {_short(getattr(mine, name))}"
    if isinstance(mine, dict):
        names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
        return ", ".join(names)
    return f"{_short(theirs)}, not {_short(mine)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."
