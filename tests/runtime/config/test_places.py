"""Lines of keys, held against the standard library's reader: what it finds in the text cut off at a line is there."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wordsight.runtime.config import toml
from wordsight.runtime.config.places import line_of, places

TEXT = '''\
model = "a]" # [[line]]
"odd # key" = 1
[[line]]
name = 'say "[['
roi = [1, # ]
  2, 3, 4]
note = """
[[line]]
x = 1 \\""" "
"""
parts = { of = 3, a = "}" }
[line.gate]
darkest = 3
[[line]]
a.b . "c d" = 2
[[recipe]]
name = "n"
[recipe.line.press-3]
roi = [1]
[recipe.line."a = b"]
roi = [
]
[[recipe]]
[recipe.line.press-3]
roi = []'''


def paths(value, at=()):
    """Every key of plain TOML values."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*at, key)
            yield from paths(inner, (*at, key))
    elif isinstance(value, list) and all(isinstance(inner, dict) for inner in value):
        for index, inner in enumerate(value):
            yield (*at, index)
            yield from paths(inner, (*at, index))


def first_seen(text):
    """The line at which each key is there for the first time, by reading ever longer beginnings of the text."""
    lines = text.split("\n")
    seen = {}
    for count in range(1, len(lines) + 1):
        try:
            data = toml.loads("\n".join(lines[:count]))
        except toml.TomlError:
            continue  # within a value of several lines: it is there when its last line is
        for path in paths(data):
            seen.setdefault(path, count)
    return seen


def test_every_key_is_found_where_the_reader_sees_it_appear():
    found = places(TEXT)
    for path, last in first_seen(TEXT).items():
        told = line_of(found, path)
        assert told is not None, path
        begins = {("line", 0, "roi"): 5, ("line", 0, "note"): 7, ("recipe", 0, "line", "a = b", "roi"): 21}
        assert told == begins.get(path, last), path


NAMES = st.text(alphabet="ab-_1", min_size=1, max_size=3)
VALUES = st.sampled_from(
    ["1", '"x = 1"', "'[[b]]'", "[1, 2]", '["]", "#"]', "true", "{ z = 1 }", '"""a = 1"""', '"\\"[a]"', "2026-01-01"]
)
STATEMENTS = st.one_of(
    st.builds("{} = {}".format, NAMES, VALUES),
    st.builds("  {}.{} = {} # c = [".format, NAMES, NAMES, VALUES),
    st.builds("[{}]".format, NAMES),
    st.builds("[[{}]] # ]".format, NAMES),
    st.builds('[{}."{} = x"]'.format, NAMES, NAMES),
    st.just("# [[a]] = 1"),
    st.just(""),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STATEMENTS, max_size=12), st.sampled_from(["\n", "\r\n"]))
def test_any_text_that_the_reader_takes(statements, end):
    text = "\n".join(statements)
    try:
        toml.loads(text.replace("\n", end))
    except toml.TomlError:
        return
    found = places(text.replace("\n", end))
    for path, line in first_seen(text).items():
        told = line_of(found, path)
        inline = any("z" in str(word) for word in path[-1:])  # within an inline table: its own line
        assert told == line or inline, (path, text)


@pytest.mark.parametrize("path", [("nothing",), (), ("line", 7, "name")])
def test_what_is_not_there_has_the_line_of_what_is_around_it(path):
    assert line_of(places(TEXT), path) == {("line", 7, "name"): 3}.get(path)
