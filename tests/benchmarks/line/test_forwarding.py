"""The broker's table: what it counts, held against planted losses, and a short run with a real broker."""

import json

import pytest

pytestmark = pytest.mark.plant("paho", "mqtt")


def heard(*numbers):
    return [(f"press-{1 + number % 2}", number, f"id-{number}") for number in numbers]


@pytest.mark.parametrize(
    ("came", "wanted"),
    [
        ((0, 1, 2, 3, 4), {"messages": 5}),
        ((0, 1, 2, 1, 2, 3, 4), {"messages": 7, "duplicates": 2}),
        ((0, 1, 3, 4), {"messages": 4, "missing": 1}),
        ((2, 0, 1, 3, 4), {"messages": 5, "out_of_order": 1}),
        ((1, 0, 3, 2, 4), {"messages": 5}),  # each line by itself is in order
        ((0, 1, 2, 3, 4, 5), {"messages": 6, "unasked": 1}),
    ],
)
def test_what_is_lost_twice_or_late_is_counted(came, wanted):
    from wordsight.benchmarks.line.forwarding import told

    well = {"taken": 5, "duplicates": 0, "missing": 0, "unasked": 0, "out_of_order": 0}
    assert told(range(5), heard(*came)) == well | wanted


def test_a_miss_is_told():
    from wordsight.benchmarks.line.forwarding import MEANING, missed
    from wordsight.runtime.figures import Figure

    values = dict.fromkeys(MEANING, 0) | {"quota.waiting": 1000, "quota.overflowed": 7}

    def told(**more):
        return missed([Figure(name, value) for name, value in (values | more).items()], 1000)

    assert told() == []
    assert told(**{"broker.missing": 3}) == ["broker.missing is 3, 0 is asked"]
    assert told(**{"quota.waiting": 999}) == ["999 of 1000 events waited"]
    assert len(told(**{"quota.overflowed": 0})) == len(told(**{"broker.unasked": 2})) == 1


@pytest.mark.broker
def test_a_short_run_with_a_broker_away_slow_and_back_prints_the_table_and_writes_it(tmp_path):
    from typer.testing import CliRunner

    from wordsight.benchmarks.cli import app

    words = ["broker", "--away", "1", "--slow", "1", "--events", "1000", "--json", str(tmp_path / "out.json")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    figures = {one["name"]: one["value"] for one in json.loads((tmp_path / "out.json").read_text())["figures"]}
    assert (
        figures["broker.messages"] - figures["broker.duplicates"] - figures["broker.unasked"] == figures["broker.taken"]
    )
    assert figures["broker.missing"] == figures["broker.out_of_order"] == 0
    assert figures["quota.waiting"] == 1000
    assert figures["quota.arrived"] + figures["quota.overflowed"] == 1000 + figures["quota.more"]
    assert figures["quota.overflowed"] > 0
    assert "broker.missing" in result.output
