"""The JSON that machines read."""

import json
import platform

import pytest

from wordsight.runtime.figures import Figure, machine, write_figures


def test_file_has_the_promised_keys(tmp_path):
    path = tmp_path / "f.json"
    write_figures(path, "bench text", [Figure("a", 1.5, "ms", 1.0, 2.0, 10), Figure("b", None, reason="no GPU")])
    document = json.loads(path.read_text())
    assert list(document) == ["command", "machine", "figures"]
    assert document["command"] == "bench text"
    assert document["figures"][0] == {"name": "a", "value": 1.5, "unit": "ms", "low": 1.0, "high": 2.0, "n": 10}
    assert document["figures"][1]["value"] is None
    assert document["figures"][1]["reason"] == "no GPU"


@pytest.mark.parametrize("given", [{"value": None}, {"value": float("nan")}, {"value": 1.0, "reason": "why"}])
def test_a_figure_is_a_number_or_a_reason(given):
    with pytest.raises(ValueError, match="x"):
        Figure("x", **given)


def test_machine_describes_this_one():
    found = machine()
    assert found["python"] == platform.python_version()
    assert found["cores"] >= 1
    assert found["versions"]["numpy"]
