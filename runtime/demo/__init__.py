"""The demo that ships in the package: a small exported file and a few pictures to score with it."""

from pathlib import Path

from wordsight.runtime.errors import MissingPart

_FOLDER = Path(__file__).parent
_PICTURE_SUFFIXES = (".jpg", ".png")


def demo_model() -> Path:
    """Return the path of the exported file that ships in the package.

    Raises:
        MissingPart: the installation lacks it.
    """
    return _there(_FOLDER / "mini.onnx")


def demo_pictures() -> list[Path]:
    """Return the paths of the pictures that ship in the package, sorted.

    Raises:
        MissingPart: the installation lacks them.
    """
    pictures = sorted(path for path in _FOLDER.iterdir() if path.suffix in _PICTURE_SUFFIXES)
    return [_there(path) for path in pictures or [_FOLDER / "pictures"]]


def _there(path: Path) -> Path:
    if not path.is_file():
        raise MissingPart(
            f"the demo is not in this installation ({path.name})", "pip install --force-reinstall wordsight"
        )
    return path
