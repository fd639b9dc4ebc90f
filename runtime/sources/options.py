"""What a source may be told beside its name, the same for every kind; each takes what concerns it."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from wordsight.runtime.errors import SettingError

TRIGGERS = ("none", "hardware", "software")


@dataclass(frozen=True)
class SourceOptions:
    """How a source is opened.

    Attributes:
        name: of the line, for what is stored and told.
        user: of a stream; goes into its address at the moment of opening and nowhere else.
        password: likewise.
        open_timeout_s: a camera or stream that does not answer for so long is a failure.
        read_timeout_s: likewise for its next frame.
        state: folder in which a source remembers what it did across a restart; None: it remembers nothing.
        part_id: regular expression, searched for in a file's name; its first group, or the whole match without one, is
            the `part_id` of the file's frames.
        exclude: a folder that folders and globs leave out.
        trigger: "none", "hardware" or "software": what makes an industrial camera take a frame.

    Raises:
        SettingError: one is out of range.
    """

    name: str = ""
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    open_timeout_s: float = 10.0
    read_timeout_s: float = 5.0
    state: Path | None = None
    part_id: str | None = None
    exclude: Path | None = None
    trigger: str = "none"

    def __post_init__(self) -> None:
        for what, value in (("open_timeout_s", self.open_timeout_s), ("read_timeout_s", self.read_timeout_s)):
            if not 0 < value <= 3600:
                raise SettingError(f"expected {what} above 0 and up to 3600 seconds, got {value:g}")
        if self.trigger not in TRIGGERS:
            raise SettingError(f"expected a trigger of {', '.join(TRIGGERS)}, got {self.trigger}")
        if self.password is not None and self.user is None:
            raise SettingError("expected a user beside the password, got a password alone")
        try:
            re.compile(self.part_id or "")
        except re.error as error:
            raise SettingError(f"expected a regular expression as part_id, got {self.part_id}: {error}") from error

    def part_of(self, name: str) -> str | None:
        """Return the part that a file of this name shows; None where the name does not say."""
        found = re.search(self.part_id, name) if self.part_id else None
        return (found.group(1) if found.re.groups else found.group()) if found else None


DEFAULTS = SourceOptions()
