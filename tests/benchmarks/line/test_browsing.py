"""The page in a browser whose clock runs faster: flat memory, few bytes; and leaks that are planted are seen."""

import shutil
from itertools import pairwise

import pytest

pytest.importorskip("playwright.sync_api", reason="pip install playwright")
pytest.importorskip("starlette", reason="pip install 'wordsight[web]'")

from wordsight.benchmarks.line import browsing
from wordsight.benchmarks.line.bare_page import BarePage
from wordsight.benchmarks.line.browsing import Sample, chromium, figures, first_look, growth, memory
from wordsight.benchmarks.line.own_process import line
from wordsight.runtime.errors import WordsightError

pytestmark = pytest.mark.plant
LEAK = """
URL.revokeObjectURL = () => {};
const remove = Element.prototype.remove;
Element.prototype.remove = function () {
  (window.kept ??= []).push(this, new Array(20000).fill(watched.rounds));
  remove.call(this);
};
"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    if shutil.which("chromium") is None:
        pytest.skip("apt-get install chromium")
    with chromium() as browser, line(tmp_path_factory.mktemp("line"), events=20) as url:
        yield browser, url


def values(looks, samples):
    return {figure.name: figure.value for figure in figures(looks, samples)}


def flat(found):
    assert found["page.heap_growth_mb"] < 1.0
    assert found["page.nodes_growth"] < 1500  # what was taken out since the last collection, and no more
    assert found["page.blobs"] <= 1


def test_few_bytes_and_flat_memory_over_some_minutes(opened):
    browser, url = opened
    look = first_look(browser, url)
    assert look[0] > 0
    samples = memory(browser, url, rounds=96)
    assert len(samples) == 24
    assert samples[-1].rounds >= 96
    assert all(one.rounds < other.rounds for one, other in pairwise(samples))
    found = values([look], samples)
    assert 10 < found["page.kb_without_pictures"] <= 200
    flat(found)
    assert set(found) == set(browsing.MEANING)


def test_leaks_that_are_planted_are_seen(opened):
    found = values([(1.0, 1.0)], memory(*opened, rounds=48, before=LEAK))
    assert found["page.blobs"] > 10
    assert found["page.heap_growth_mb"] > 1.0
    assert found["page.renderer_growth_mb"] > 1.0


@pytest.mark.full
def test_flat_memory_over_an_hour_of_the_pages_own_time(opened):
    found = values([(1.0, 1.0)], memory(*opened, rounds=3600))
    flat(found)
    assert found["page.renderer_growth_mb"] < 20  # of pictures alone it loads some 250 MB


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (lambda page: page.evaluate("nothing.here"), "script failed"),
        (lambda page: page.goto("http://127.0.0.1:1/"), "cannot be loaded"),
        (lambda page: page.send("No.such"), "refused No.such"),
    ],
)
def test_what_a_bare_page_cannot_do_is_said(opened, act, told):
    with BarePage(opened[0]) as page, pytest.raises(WordsightError, match=told):
        act(page)


def test_growth_is_of_the_last_quarter_over_the_second():
    assert growth([9, 9, 9, 9, 1, 2, 3, 2, 5, 5, 5, 5, 4, 7, 4, 4]) == 2
    samples = [Sample(at, 2.0 + at / 10, 100, 1, None) for at in range(1, 17)]
    found = {figure.name: figure for figure in figures([(30.0, 50.0), (10.0, 60.0), (20.0, 40.0)], samples)}
    first = found["page.first_picture_ms"]
    assert (first.value, first.low, first.high, first.n) == (20.0, 10.0, 30.0, 3)
    assert found["page.kb_without_pictures"].value == 60.0
    assert found["page.heap_growth_mb"].value == pytest.approx(0.8)
    assert found["page.renderer_growth_mb"].reason == "this system does not tell"


def test_without_a_browser_each_figure_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(browsing, "line", lambda *_: pytest.fail("a line for nobody"))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    found = browsing.measure(tmp_path, looks=1, rounds=0, events=1)
    assert {figure.reason for figure in found} == {"the page is looked at with Chromium: apt-get install chromium"}
    assert [figure.name for figure in found] == list(browsing.MEANING)
