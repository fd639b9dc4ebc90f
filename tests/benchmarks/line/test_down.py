"""All sinks down at once: each is tried and fails, each is given every event, and the ratio is of the same frames."""

import time
from types import SimpleNamespace

import pytest

pytestmark = [
    pytest.mark.plant("paho", "mqtt"),
    pytest.mark.plant("httpx", "webhook"),
    pytest.mark.plant("pymodbus", "modbus"),
    pytest.mark.plant("prometheus_client", "metrics"),
    pytest.mark.plant("asyncua", "opcua"),
]


def test_every_sink_is_down_and_given_every_event_and_the_ratio_is_of_the_same_frames(tmp_path, monkeypatch):
    from wordsight.benchmarks.line import down
    from wordsight.runtime.demo import demo_model
    from wordsight.runtime.model import Model

    rates = {False: 100.0, True: 97.0}  # without a sink, with all
    real, turns = down.serve, []

    def served(*given, sinks, **more):
        found = real(*given, sinks=sinks, **more)
        turns.append((len(sinks), found.frames))
        return type(found)(found.frames, found.frames / rates[bool(sinks)], found.latency_s, found.infer_s)

    monkeypatch.setattr(down, "serve", served)
    with Model(demo_model(), "ort-cpu", batch_size=8, threads=1) as model:
        figures, states = down.measure(model, tmp_path, rounds=1, block_s=0.2, size=(48, 64))
    found = {figure.name: figure.value for figure in figures}
    assert found["ratio.down_over_none"] == pytest.approx(0.97)
    assert found["frames_per_s.none"] == pytest.approx(100.0)
    frames = {count for _, count in turns[2:]}
    assert len(frames) == 1
    assert [count for count, _ in turns[2:]] == [0, len(states), len(states), 0]
    (count,) = frames
    for name, state in states.items():
        assert state.state == ("ok" if name in down.WELL else "failing"), name
        assert state.written + state.waiting == count + 1, name  # one, to see that they are down
    for name in ("mqtt", "webhook"):  # a slow machine may not have brought all of them to the disk yet
        assert 1 <= states[name].written <= states[name].unsent <= count + 1


def test_a_sink_that_is_well_is_no_sink_that_is_down(tmp_path, monkeypatch):
    from wordsight.benchmarks.line import down
    from wordsight.runtime.errors import WordsightError

    settled, late = down._settled, []

    def asked(name, state):  # the others may take their time to fail; this one never does
        late.append(name == "metrics")
        return settled(name, state)

    clock = SimpleNamespace(monotonic=lambda: 1e9 * any(late), sleep=time.sleep)
    monkeypatch.setattr(down, "time", clock)
    monkeypatch.setattr(down, "_settled", asked)
    monkeypatch.setattr(down, "WELL", ())
    with (
        pytest.raises(WordsightError, match="the sink metrics was to be down, and is ok"),
        down.all_down(tmp_path / "sinks", ("press-3",)),
    ):
        pass
