import importlib.util
from pathlib import Path

import pytest

LINE = '\n[[line]]\nname = "{}"\nsource = "{}"\n'
SINK = '\n[[sink]]\ntype = "jsonl"\npath = "{}"\n'


@pytest.fixture(scope="session")
def load():
    """Load a module of the runtime's tests by its place: (path relative to tests/runtime) -> module of its own."""

    def by_place(name):
        place = Path(__file__).parents[1] / name
        spec = importlib.util.spec_from_file_location(place.stem, place)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return by_place


def lost(line, events):
    """Return the frames of a line, by its status, of which nothing became, and how many there were.

    `events` are those that a sink wrote of it: each frame that was scored, once, in order.
    """
    frames = [event["frame"] for event in events if event["line"] == line["name"] and event["kind"] == "frame"]
    assert frames == sorted(set(frames)), "a number came twice, or out of order"
    assert len(frames) == line["scored"], (len(frames), line)
    kept = line["scored"] + line["dropped"] + line["withheld"] + line["refused"] + line["waiting"]
    return {"lost": line["frames"] - kept, "of": line["frames"]}


@pytest.fixture(scope="session")
def accounted():
    """The function that tells what was lost of a line: (its status, all events) -> lost and of how many."""
    return lost
