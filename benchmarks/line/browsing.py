"""The page in a real browser: how soon it shows a picture, what it weighs, and whether its memory stays flat.

The browser's clock is made to run faster: the page's own timers fire `SPEED` times as often, and nothing else of it is
changed. An hour of the page is 3,600 rounds of its questions, whether the machine keeps that pace or not.
"""

import contextlib
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from wordsight.benchmarks.line.bare_page import BarePage
from wordsight.benchmarks.line.own_process import line
from wordsight.runtime.errors import MissingPart, WordsightError
from wordsight.runtime.figures import Figure

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SPEED: Final = 30
"""Times as fast as by the clock: an hour in two minutes."""
MEANING = {
    "page.first_picture_ms": "from the browser's request for the page to its first live picture, nothing cached",
    "page.kb_without_pictures": "all that it loaded until then, and in its first round, but the pictures",
    "page.heap_mb": "memory of its scripts, in the last quarter of the simulated time",
    "page.heap_growth_mb": "by which that is more than in the second quarter",
    "page.nodes_growth": "elements, likewise",
    "page.blobs": "live pictures held at the end; one a line is shown",
    "page.renderer_growth_mb": "memory of the browser's processes that show pages, likewise: pictures and caches, too",
}
_SAMPLES = 24
_ROUND_S = 60.0
_LOOK_S = 0.05
_FASTER = f"""
const real = window.setTimeout;
window.setTimeout = (act, ms, ...more) => real(act, ms / {SPEED}, ...more);
"""
_WATCHED = """
window.watched = { blobs: 0, rounds: 0, first: null };
const { createObjectURL, revokeObjectURL } = URL, ask = window.fetch;
URL.createObjectURL = (blob) => { watched.blobs++; return createObjectURL(blob); };
URL.revokeObjectURL = (url) => { watched.blobs--; revokeObjectURL(url); };
window.fetch = (path, ...more) => { if (path === "api/status") watched.rounds++; return ask(path, ...more); };
document.addEventListener("load", (event) => {
  if (watched.first === null && event.target.matches?.(".card img")) watched.first = performance.now();
}, true);
"""


@dataclass(frozen=True)
class Sample:
    """The page at one moment, after its garbage was collected.

    Attributes:
        rounds: of its questions so far.
        heap_mb: used by scripts, in MB of 1e6 bytes.
        nodes: of the document, those that are held and not shown included.
        blobs: live pictures that are held.
        renderer_mb: memory of the browser's processes that show pages; None where the system does not tell.
    """

    rounds: int
    heap_mb: float
    nodes: int
    blobs: int
    renderer_mb: float | None


@contextlib.contextmanager
def chromium() -> "Iterator[Browser]":
    """Start the system's Chromium.

    Raises:
        MissingPart: it, or what drives it, is absent.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError as error:
        raise MissingPart("a browser is driven by Playwright", "pip install playwright") from error
    found = shutil.which("chromium")
    if found is None:
        raise MissingPart("the page is looked at with Chromium", "apt-get install chromium")
    quiet = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-gpu"]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=quiet)
        try:
            yield browser
        finally:
            browser.close()


def first_look(browser: "Browser", url: str) -> tuple[float, float]:
    """Return milliseconds to the first picture and kB without pictures, of a browser that never saw the page.

    Raises:
        WordsightError: no picture came.
    """
    context = browser.new_context()
    try:
        window = context.new_page()
        window.add_init_script(_WATCHED)
        session = context.new_cdp_session(window)
        kinds: dict[str, str] = {}
        loaded: list[tuple[str, float]] = []
        session.on(
            "Network.responseReceived", lambda told: kinds.update({told["requestId"]: told["response"]["mimeType"]})
        )
        session.on(
            "Network.loadingFinished", lambda told: loaded.append((told["requestId"], told["encodedDataLength"]))
        )
        session.send("Network.enable")
        window.goto(url)
        until_s = time.monotonic() + _ROUND_S
        while True:
            first, shown = window.evaluate("[watched.first, document.querySelectorAll('.event').length]")
            if first is not None and shown:
                break
            if time.monotonic() > until_s:
                raise WordsightError(f"no picture on the page within {_ROUND_S:g} s")
            window.wait_for_timeout(20)
        size = sum(length for request, length in loaded if not kinds.get(request, "").startswith("image/jpeg"))
        return float(first), size / 1e3
    finally:
        context.close()


def memory(browser: "Browser", url: str, rounds: int, before: str = "") -> list[Sample]:
    """Return samples of a page that is left open, evenly spread over so many rounds.

    Args:
        browser: it is opened in.
        url: of the page.
        rounds: one is a second of the page's own time.
        before: a script that runs before the page's own.

    Raises:
        WordsightError: the page asks no more.
    """
    found: list[Sample] = []
    with BarePage(browser, f"{_FASTER}\n{_WATCHED}\n{before}") as page:
        page.goto(url)
        _until(page, "document.querySelector('.event') !== null", "showed no event")
        page.evaluate("document.getElementById('heat').click()")  # heat maps, where the model has them
        for at in range(1, _SAMPLES + 1):
            _until(page, f"watched.rounds >= {at * rounds // _SAMPLES}", "asks no more")
            found.append(_sample(page, _resident_mb(browser)))
    return found


def _until(page: BarePage, what: str, else_: str) -> None:
    until_s = time.monotonic() + _ROUND_S
    while not page.evaluate(what):
        if time.monotonic() > until_s:
            raise WordsightError(f"the page {else_} within {_ROUND_S:g} s")
        time.sleep(_LOOK_S)


def _sample(page: BarePage, renderer_mb: float | None) -> Sample:
    for _ in range(2):  # what the first one let go may hold more
        page.send("HeapProfiler.collectGarbage")
    heap = page.send("Runtime.getHeapUsage")["usedSize"]
    nodes = page.send("Memory.getDOMCounters")["nodes"]
    rounds, blobs = page.evaluate("[watched.rounds, watched.blobs]")
    return Sample(rounds, heap / 1e6, nodes, blobs, renderer_mb)


def _resident_mb(browser: "Browser") -> float | None:
    """Return the memory of all processes that show pages, spare ones included: nothing tells which is whose."""
    session = browser.new_browser_cdp_session()
    told = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    found = 0.0
    for one in told:
        if one["type"] != "renderer":
            continue
        try:
            text = Path(f"/proc/{one['id']}/status").read_text()
        except OSError:
            continue
        found += sum(int(row.split()[1]) for row in text.splitlines() if row.startswith("RssAnon"))
    return found * 1024 / 1e6 or None


def growth(values: Sequence[float]) -> float:
    """Return by how much the median of the last quarter is above that of the second: in the first, all fills."""
    quarter = len(values) // 4
    return median(values[-quarter:]) - median(values[quarter : 2 * quarter])


def figures(looks: Sequence[tuple[float, float]], samples: Sequence[Sample]) -> list[Figure]:
    """Return what the browser showed.

    Args:
        looks: of `first_look`, one or more.
        samples: of `memory`; none: its figures have none.
    """
    times, sizes = [ms for ms, _ in looks], [kb for _, kb in looks]
    rows = [
        Figure("page.first_picture_ms", median(times), "ms", min(times), max(times), len(times)),
        Figure("page.kb_without_pictures", max(sizes), "kB", n=len(sizes)),
    ]
    if not samples:
        return rows
    rounds = samples[-1].rounds
    resident = [one.renderer_mb for one in samples if one.renderer_mb is not None]
    values: dict[str, tuple[float | None, str]] = {
        "page.heap_mb": (median([one.heap_mb for one in samples][-len(samples) // 4 :]), "MB"),
        "page.heap_growth_mb": (growth([one.heap_mb for one in samples]), "MB"),
        "page.nodes_growth": (growth([one.nodes for one in samples]), ""),
        "page.blobs": (samples[-1].blobs, ""),
        "page.renderer_growth_mb": (growth(resident) if len(resident) == len(samples) else None, "MB"),
    }
    return rows + [
        Figure.or_reason(name, value, "this system does not tell", unit, n=rounds)
        for name, (value, unit) in values.items()
    ]


def measure(folder: Path, *, looks: int, rounds: int, events: int = 250, **more: Any) -> list[Figure]:
    """Return all figures of a browser at a line's page; where there is no browser, the reason instead.

    Args:
        folder: for the line.
        looks: of the first picture, each by a browser that never saw the page.
        rounds: of memory; 0: it is not watched.
        events: that are on the page before; 200 is all that it holds.
        more: see `memory`.

    Raises:
        WordsightError: line or page do not do what they ought to.
    """
    try:
        with chromium() as browser, line(folder, events) as url:
            first_look(browser, url)  # the disk and the line's own first answer
            found = [first_look(browser, url) for _ in range(looks)]
            return figures(found, memory(browser, url, rounds, **more) if rounds else [])
    except MissingPart as error:
        reason = " ".join(str(error).split())
        return [Figure(name, None, reason=reason) for name in MEANING]
