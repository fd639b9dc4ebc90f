"""Viewers of the page that ask as browsers do, and the ratio against a line that nobody looks at."""

import contextlib
import threading

import pytest

pytest.importorskip("starlette", reason="pip install 'wordsight[web]'")

from wordsight.benchmarks.line import viewers
from wordsight.runtime.demo import demo_model
from wordsight.runtime.model import Model
from wordsight.runtime.web.app import Routes


def test_viewers_are_given_pictures_and_the_ratios_are_of_the_same_line(tmp_path, monkeypatch):
    rates = iter([9.0, 9.0, 9.0, 100.0, 98.0, 90.0])  # a round that warms up, then without, page, viewers
    real, watching, picture, heard, given = viewers.serve, viewers.watching, Routes.picture, [], []

    @contextlib.contextmanager
    def watched(url, count):
        given.append(threading.Semaphore(0))
        with watching(url, count) as found:
            yield found
        given.clear()

    async def counted(self, request):
        answer = await picture(self, request)
        if given and answer.status_code == 200:
            given[0].release()
        return answer

    def served(*words, hear, **more):
        heard.append(hear is not None)
        found = real(*words, hear=hear, **more)
        # So short a run may be over before viewers asked: each of them is given the last picture then.
        assert all(one.acquire(timeout=120) for one in given for _ in range(3))
        return type(found)(found.frames, found.frames / next(rates), found.latency_s, found.infer_s)

    monkeypatch.setattr(viewers, "serve", served)
    monkeypatch.setattr(viewers, "watching", watched)
    monkeypatch.setattr(Routes, "picture", counted)
    with Model(demo_model(), "ort-cpu", batch_size=8, threads=1) as model:
        found = viewers.measure(model, tmp_path, viewers=3, rounds=1, frames=20, size=(48, 64))
    figures = {figure.name: figure.value for figure in found}
    assert figures["ratio.page_over_none"] == pytest.approx(0.98)
    assert figures["ratio.viewers_over_none"] == pytest.approx(0.90)
    assert figures["pictures_per_s"] > 0
    assert sorted(heard[3:]) == [False, True, True]
    assert next(figure for figure in found if figure.name == "pictures_per_s").n >= 3
