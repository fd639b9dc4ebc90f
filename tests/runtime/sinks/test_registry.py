"""Sinks are found by their type; a plug-in that is broken is named in one line, and breaks nothing else."""

import importlib
import sys
from pathlib import Path

import pytest

from wordsight.runtime.errors import SettingError
from wordsight.runtime.sinks.registry import SinkContext, sink_kind, sink_types

ANDON = """
from pydantic import BaseModel, ConfigDict

class Loose(BaseModel):
    pin: int = 3

class Options(Loose):
    model_config = ConfigDict(extra="forbid")

class Light:
    Options = Options
    wants_image = False
    def __init__(self, options, context):
        self.pin, self.lines = options.pin, context.lines
    def write(self, event): ...
    def close(self): ...

class LooseLight(Light):
    Options = Loose

class Blind(Light):
    wants_image = None

class Bare:
    wants_image = True
"""


@pytest.fixture
def plant(tmp_path, monkeypatch):
    """Install a distribution named plant that names these sinks: (type = "module:Class") -> None."""

    def install(**sinks):
        (tmp_path / "andon.py").write_text(ANDON)
        (tmp_path / "leaves.py").write_text("raise SystemExit('bye')")
        (tmp_path / "torn.py").write_text("def (:\n")
        folder = tmp_path / "plant-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: plant\nVersion: 1.0\n")
        lines = "".join(f"{name} = {place}\n" for name, place in sinks.items())
        (folder / "entry_points.txt").write_text(f"[wordsight.sinks]\n{lines}")
        monkeypatch.syspath_prepend(str(tmp_path))
        importlib.invalidate_caches()

    yield install
    for name in ("andon", "leaves", "torn"):
        sys.modules.pop(name, None)


def test_a_plants_own_sink_is_found_and_made(plant):
    plant(andon="andon:Light")
    kind = sink_kind("andon")
    sink = kind.make(kind.Options(pin=7), SinkContext(Path(), ("press-3",), Path()))
    assert (kind.type, kind.wants_image, sink.pin, sink.lines) == ("andon", False, 7, ("press-3",))
    assert "andon" in sink_types()


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("gone:Light", "ModuleNotFoundError: No module named 'gone'"),
        ("andon:Lamp", "AttributeError"),
        ("leaves:Light", "SystemExit: bye"),
        ("torn:Light", "SyntaxError"),
        ("andon:Bare", "expected andon:Bare to have Options"),
        ("andon:LooseLight", "extra='forbid'"),
        ("andon:Blind", "wants_image, a bool, got None"),
    ],
)
def test_a_broken_plug_in_is_named_in_one_line_and_the_others_stay(plant, place, told):
    plant(broken=place, andon="andon:Light")
    with pytest.raises(SettingError) as caught:
        sink_kind("broken")
    message = str(caught.value)
    assert told in message
    assert message.startswith(f"the plug-in {place} of plant for sinks of type 'broken'")
    assert "\n" not in message
    assert sink_kind("andon").type == "andon"
    assert "broken" in sink_types()


def test_two_of_one_name_are_refused_by_name(plant):
    plant(jsonl="andon:Light")
    with pytest.raises(SettingError, match="more than one sink of type 'jsonl': the package's own and andon:Light of"):
        sink_kind("jsonl")


def test_an_unknown_type_is_told_with_those_there_are():
    with pytest.raises(SettingError, match=f"{', '.join(sink_types())}, got 'jsnol'; did you mean 'jsonl'"):
        sink_kind("jsnol")


@pytest.mark.parametrize(
    "type",
    [
        "csv", "jsonl", "snapshots", "video",
        pytest.param("metrics", marks=pytest.mark.plant("prometheus_client", "metrics")),
        pytest.param("gpio", marks=pytest.mark.plant("gpiod", "gpio")),
        pytest.param("modbus", marks=pytest.mark.plant("pymodbus", "modbus")),
        pytest.param("mqtt", marks=pytest.mark.plant("paho", "mqtt")),
        pytest.param("webhook", marks=pytest.mark.plant("httpx", "webhook")),
        pytest.param("opcua", marks=pytest.mark.plant("asyncua", "opcua")),
    ],
)  # fmt: skip
def test_every_key_of_a_sink_is_documented_with_its_default(type):
    text = (Path(__file__).parents[3] / "docs" / "sinks.md").read_text("utf-8")
    (row,) = (line for line in text.splitlines() if line.startswith(f"| `{type}` |"))
    row = row.replace("the same |", next(line for line in text.splitlines() if line.startswith("| `jsonl` |")))
    for name, field in sink_kind(type).Options.model_fields.items():
        assert f"`{name}" in row
        default = field.get_default()
        if not field.is_required() and default is not None and name not in ("keep_bytes", "spare_bytes"):
            shown = {True: "true", False: "false"}.get(default) if isinstance(default, bool) else f"{default}"
            shown = {
                "0.0": "0",
                "1.0": "1",
                "20.0": "20",
                "/dev/gpiochip0": '"/dev/gpiochip0"',
                "wordsight": '"wordsight"',
                "defect": '"defect"',
                "127.0.0.1:9464": '"127.0.0.1:9464"',
                "127.0.0.1:4840": '"127.0.0.1:4840"',
            }.get(shown, shown)
            shown = {"50000000": '"50 MB"', "jpeg": '"jpeg"', "10.0": "10", "5.0": "5"}.get(shown, shown)
            assert f"`{name} = {shown}`" in row
