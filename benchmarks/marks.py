"""Tables that a command writes into a page: between the marks of a name, and nowhere else."""

from pathlib import Path

from wordsight.runtime.errors import SettingError
from wordsight.runtime.files import whole_file


def replaced(path: Path, name: str, table: str) -> str:
    """The text of `path` with what stands between the two marks of `name` replaced.

    Raises:
        SettingError: the file cannot be read, or lacks one of the marks.
    """
    first, last = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingError(f"--into {path}: {error.strerror}") from error
    before, begin, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise SettingError(f"--into {path}: expected a line {first} and after it a line {last}")
    return f"{before}{begin}\n{table.strip()}\n{end}{after}"


def put_between(path: Path, name: str, table: str) -> None:
    """Replace what stands between the marks; the file appears whole or stays as it was. Raises as `replaced`."""
    text = replaced(path, name, table)
    with whole_file(path, "w") as file:
        file.write(text)
