import sys
import types
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from wordsight.runtime.config.problems import LineFileError
from wordsight.runtime.config.read import read_line_file
from wordsight.runtime.sinks import registry


class Memory:
    """A sink that keeps its events in a list of the class, one for each `path`."""

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid")
        path: str = Field(description="a name")
        every: int = Field(1, ge=1, description="a number of 1 or more")
        mode: Literal["a", "b"] = "a"

    wants_image = False

    def __init__(self, options, context):
        self.options, self.context = options, context

    def write(self, event):
        pass

    def close(self):
        pass


class Secretive(Memory):
    """A sink that has secrets, as those that forward do."""

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid")
        credentials: str | None = None


@pytest.fixture
def memory_sink(monkeypatch):
    """Register the types of sink "memory" and "secretive"."""
    module = types.ModuleType("sinks_of_a_test")
    module.Memory, module.Secretive = Memory, Secretive
    monkeypatch.setitem(registry._BUILT_IN, "secretive", "sinks_of_a_test:Secretive")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(registry._BUILT_IN, "memory", "sinks_of_a_test:Memory")
    return Memory


@pytest.fixture
def written(tmp_path):
    """Write a line's file: (text) -> path."""

    def write(text, name="line.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def problems(written):
    """Read a line's file that is wrong: (text) -> its problems, each without the folder."""

    def read(text):
        path = written(text)
        with pytest.raises(LineFileError) as error:
            read_line_file(path)
        return [line.removeprefix(str(path)) for line in error.value.lines]

    return read
