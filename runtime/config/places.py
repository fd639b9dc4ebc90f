"""Where a key stands in a TOML text: readers give values without lines, and an error is to name one.

The text is known to be valid TOML; what is looked for here is headers and keys, past strings, arrays and comments.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

Path = tuple[str | int, ...]

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_DOTTED = re.compile(rf"{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*")
_HEADER = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_DOTTED.pattern})[ \t]*\]")
_ASSIGNED = re.compile(rf"[ \t]*({_DOTTED.pattern})[ \t]*=")
_WORD = re.compile(_KEY)
# What a value is made of, as far as its end matters: strings whole, comments whole, brackets, ends of lines.
_PIECE = re.compile(
    r'"""(?:[^\\]|\\.)*?"""+|' + r"'''.*?'''+" + r'|"(?:[^"\\\n]|\\.)*"|' + r"'[^'\n]*'|#[^\n]*|[\[\]{}]|\n", re.DOTALL
)


def places(text: str) -> dict[Path, int]:
    """Return the line, from 1, of every table and key that the text names; those within an inline table are not.

    Args:
        text: valid TOML. The second `[[line]]` is ("line", 1), its name ("line", 1, "name").
    """
    found: dict[Path, int] = {}
    tables: dict[Path, int] = {}  # arrays of tables, and how many of each there were
    at: Path = ()
    for start, line in _statements(text):
        header = _HEADER.match(text, start)
        if header:
            words = _words(header.group(2))
            at = (*_within(tables, words[:-1]), words[-1])
            if header.group(1) == "[[":
                tables[at] = tables.get(at, 0) + 1
                at += (tables[at] - 1,)
            elif at in tables:
                at += (tables[at] - 1,)
            for length in range(1, len(at) + 1):  # [a.b] makes a, too, where nothing else does
                found.setdefault(at[:length], line)
            continue
        key = _ASSIGNED.match(text, start)
        if key:
            words = _words(key.group(1))
            for length in range(1, len(words) + 1):
                found.setdefault(at + tuple(words[:length]), line)
    return found


def line_of(found: Mapping[Path, int], path: Sequence[str | int]) -> int | None:
    """Return the line of a key, or of the nearest table around it that the text names; None for the whole text."""
    for length in range(len(path), 0, -1):
        if (line := found.get(tuple(path[:length]))) is not None:
            return line
    return None


def _statements(text: str) -> Iterator[tuple[int, int]]:
    """Give the offset and line at which each header or key may begin: line starts outside of values."""
    text = text.replace("\r\n", " \n")
    depth, line = 0, 1
    yield 0, 1
    at = _skip_header(text, 0)
    while piece := _PIECE.search(text, at):
        word = piece.group()
        line += word.count("\n")
        at = piece.end()
        if word in ("[", "{"):
            depth += 1
        elif word in ("]", "}"):
            depth -= 1
        elif word == "\n" and depth == 0:
            yield at, line
            at = _skip_header(text, at)


def _skip_header(text: str, at: int) -> int:
    # The key of a statement may be quoted and hold any sign: passed over whole, so that it is not taken for a value.
    match = _HEADER.match(text, at) or _ASSIGNED.match(text, at)
    if match is None:
        return at
    return text.index("\n", match.end()) if match.re is _HEADER and "\n" in text[match.end() :] else match.end()


def _words(dotted: str) -> list[str]:
    return [_unquoted(word) for word in _WORD.findall(dotted)]


def _unquoted(word: str) -> str:
    if word.startswith("'"):
        return word[1:-1]
    if not word.startswith('"'):
        return word
    import json

    try:
        return str(json.loads(word))
    except ValueError:  # an escape that TOML has and JSON has not: the error then names the table
        return word[1:-1]


def _within(tables: Mapping[Path, int], words: Sequence[str]) -> Path:
    """Return the path of a table's parents: each array of tables stands for its last one."""
    at: Path = ()
    for word in words:
        at += (word,)
        if at in tables:
            at += (tables[at] - 1,)
    return at
