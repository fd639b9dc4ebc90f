"""What viewers of the page cost a line: the same frames with nobody, with the page, and with viewers at it.

python -m wordsight.benchmarks.line.viewers URL LINE COUNT     viewers as their own process, until stdin ends
"""

import contextlib
import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from wordsight.benchmarks import timing
from wordsight.benchmarks.line.serving import Memory, camera_frames, serve
from wordsight.runtime.config.read import read_line_file
from wordsight.runtime.figures import Figure
from wordsight.runtime.model import Model
from wordsight.runtime.web.page import Page

NAME = "memory"
MEANING = {
    "ratio.page_over_none": "frames/s of a line with its page open to nobody, over those without the page",
    "ratio.viewers_over_none": "frames/s of a line whose page is looked at, over those without the page",
    "pictures_per_s": "live pictures that all viewers together were given",
}
_PICTURE_S, _ROUND_S = 0.2, 1.0  # as the page's own scripts ask


def measure(
    model: Model,
    folder: Path,
    *,
    viewers: int,
    rounds: int,
    frames: int,
    size: tuple[int, int],
    on_step: Callable[[str], None] = lambda line: None,
) -> list[Figure]:
    """Both ratios, from rounds in which all three take turns.

    Args:
        model: open.
        folder: for a line's file and its JSON lines.
        viewers: browsers, each as the page asks: a picture five times a second, the rest once.
        rounds: of the three.
        frames: of a round, as fast as the line takes them.
        size: height and width of the frames.
        on_step: called with a line for people before what takes long.
    """
    file = folder / "line.toml"
    file.write_text(f'model = "m.onnx"\n[[line]]\nname = "{NAME}"\nsource = "memory"\n', encoding="utf-8")
    ring = camera_frames(*size)
    rates: dict[str, list[float]] = {"none": [], "page": [], "viewers": []}
    pictures, looked_s = 0, 0.0
    on_step(f"{rounds} rounds of {frames} frames: without the page, with it, with {viewers} viewers")
    for turn in range(-1, rounds):  # the first one warms up
        names = list(rates)
        for name in names[turn % 3 :] + names[: turn % 3]:
            page = None if name == "none" else Page(read_line_file(file), "127.0.0.1:0", on_step)
            try:
                with watching(page.url, viewers) if page and name == "viewers" else contextlib.nullcontext() as watched:
                    source = Memory(NAME, ring, frames)
                    served = serve(model, [source], folder, most=8, hear=None if page is None else page.put)
            finally:
                if page is not None:
                    page.close()
            if turn < 0:
                continue
            rates[name].append(served.frames / served.seconds)
            if watched is not None:
                pictures, looked_s = pictures + watched.pictures, looked_s + watched.seconds
    return [
        timing.ratio("ratio.page_over_none", rates["page"], rates["none"]),
        timing.ratio("ratio.viewers_over_none", rates["viewers"], rates["none"]),
        Figure("pictures_per_s", pictures / looked_s, "1/s", n=pictures),
    ]


@dataclass
class Watched:
    """What viewers were given.

    Attributes:
        pictures: live ones, by all of them.
        seconds: that they looked.
    """

    pictures: int = 0
    seconds: float = 0.0


@contextlib.contextmanager
def watching(url: str, count: int) -> Iterator[Watched]:
    """Have viewers look at a page, in a process of their own, from when it is entered until it is left."""
    words = [sys.executable, "-m", "wordsight.benchmarks.line.viewers", url, NAME, str(count)]
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    child.stdout.readline()  # they look
    found = Watched()
    try:
        yield found
    finally:
        told, _ = child.communicate(timeout=60)
    data = json.loads(told)
    found.pictures, found.seconds = data["pictures"], data["seconds"]


def look(url: str, line: str, over: threading.Event, given: Callable[[], None]) -> None:
    """Ask as the page of one browser does until it is over; `given` is called with every new picture."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)

    def get(path: str) -> tuple[int, bytes, http.client.HTTPMessage]:
        connection.request("GET", f"/{path}")
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers

    seen = scores = events = 0
    due_s = time.monotonic()
    while not over.wait(_PICTURE_S):
        status, _, headers = get(f"api/lines/{line}/picture?heat=1&seen={seen}")
        if status == 200:
            seen = int(headers["X-Frame"])
            given()
        if time.monotonic() < due_s:
            continue
        due_s += _ROUND_S
        get("api/status")
        get("api/lines")
        status, body, _ = get(f"api/lines/{line}/scores?after={scores}")
        points = json.loads(body)["points"] if status == 200 else []
        scores = points[-1][0] if points else scores
        found = json.loads(get(f"api/events?after={events}")[1])["events"]
        events = found[-1]["number"] if found else events
    connection.close()


def main(url: str, line: str, count: str) -> None:
    """Look until stdin ends; write what was given as one line of JSON."""
    over, lock, pictures = threading.Event(), threading.Lock(), [0]

    def given() -> None:
        with lock:
            pictures[0] += 1

    threads = [threading.Thread(target=look, args=(url, line, over, given)) for _ in range(int(count))]
    began_s = time.monotonic()
    for thread in threads:
        thread.start()
    print("looking", flush=True)
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
    print(json.dumps({"pictures": pictures[0], "seconds": time.monotonic() - began_s}))


if __name__ == "__main__":
    main(*sys.argv[1:])
