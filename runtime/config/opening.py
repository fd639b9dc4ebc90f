"""A line's source as its file describes it."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from wordsight.runtime.config.secrets import credentials
from wordsight.runtime.sources.frame import Item, Source

if TYPE_CHECKING:
    from wordsight.runtime.config.read import Loaded
    from wordsight.runtime.config.schema import LineSpec
    from wordsight.runtime.sources.options import SourceOptions

_KIND = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)


class Taken:
    """A source of which the line's file says whether the newest frame counts or every one.

    Attributes: see `wordsight.runtime.sources.Source`.
    """

    def __init__(self, source: Source, live: bool) -> None:
        """Keep the source."""
        self._source = source
        self.text, self.count, self.endless, self.live = source.text, source.count, source.endless, live
        self.skipped = 0
        self.remark: str | None = getattr(source, "remark", None)

    def __iter__(self) -> Iterator[Item]:
        """Give what the source gives."""
        try:
            yield from self._source
        finally:
            self.skipped = self._source.skipped


def open_line_source(loaded: "Loaded", line: "LineSpec") -> Source:
    """Return the source of a line; cameras and files are opened only when frames are asked for.

    Raises:
        SourceError: nothing there, or a kind that there is not.
        SettingError: credentials that cannot be read, or options that do not go together.
    """
    from wordsight.runtime.sources.registry import open_source

    source = open_source(source_text(loaded, line), source_options(loaded, line))
    return source if line.take is None else Taken(source, live=line.take == "newest")


def source_options(loaded: "Loaded", line: "LineSpec") -> "SourceOptions":
    """Return what the source is told.

    Raises:
        SettingError: as `open_line_source`.
    """
    from wordsight.runtime.sources.options import SourceOptions

    known = credentials(line, loaded.path.parent)
    return SourceOptions(
        name=line.name, user=known.user, password=known.password,
        open_timeout_s=line.open_timeout_s, read_timeout_s=line.read_timeout_s,
        state=loaded.state, part_id=line.part_id, trigger=line.trigger,
    )  # fmt: skip


def source_text(loaded: "Loaded", line: "LineSpec") -> str:
    """Return the source's name, a path in it relative to the file's folder."""
    text = line.source
    if text.isascii() and text.isdigit():
        return text
    scheme = _KIND.match(text)
    if scheme is None:
        return os.fspath(loaded.resolve(text))
    if scheme.group().lower() == "watch:":
        return f"watch:{loaded.path.parent / text[scheme.end() :]}"
    if not text.startswith("//", scheme.end()) and os.path.lexists(loaded.resolve(text)):
        return os.fspath(Path(loaded.resolve(text)))  # a file whose name holds a colon
    return text
