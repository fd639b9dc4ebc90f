"""Viewers of the page that ask as browsers do, and the ratio against a line that nobody looks at."""

import threading

import pytest

pytest.importorskip("starlette", reason="pip install 'wordsight[web]'")

from wordsight.benchmarks.line import viewers
from wordsight.runtime.demo import demo_model
from wordsight.runtime.model import Model


def test_viewers_are_given_pictures_and_the_ratios_are_of_the_same_line(tmp_path, monkeypatch):
    rates = iter([9.0, 9.0, 9.0, 100.0, 98.0, 90.0])  # a round that warms up, then without, page, viewers
    real, heard = viewers.serve, []

    def served(*given, hear, **more):
        heard.append(hear is not None)
        found = real(*given, hear=hear, **more)
        if hear is not None:
            threading.Event().wait(0.5)  # so that viewers see something of so short a run
        return type(found)(found.frames, found.frames / next(rates), found.latency_s, found.infer_s)

    monkeypatch.setattr(viewers, "serve", served)
    with Model(demo_model(), "ort-cpu", batch_size=8, threads=1) as model:
        found = viewers.measure(model, tmp_path, viewers=3, rounds=1, frames=20, size=(48, 64))
    figures = {figure.name: figure.value for figure in found}
    assert figures["ratio.page_over_none"] == pytest.approx(0.98)
    assert figures["ratio.viewers_over_none"] == pytest.approx(0.90)
    assert figures["pictures_per_s"] > 0
    assert sorted(heard[3:]) == [False, True, True]
    assert next(figure for figure in found if figure.name == "pictures_per_s").n >= 3
