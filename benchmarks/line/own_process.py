"""A line with its page, in a process of its own."""

import contextlib
import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from wordsight.benchmarks.children import running
from wordsight.benchmarks.line.cameras import Camera
from wordsight.runtime.demo import demo_model
from wordsight.runtime.errors import WordsightError

_FPS = 20.0
_START_S, _STOP_S = 120.0, 60.0
_LINE = """\
model = {model}
backend = "ort-cpu"
status = "status.json"
web = "127.0.0.1:0"

[[line]]
name = "camera"
source = "{url}"
defect = 0.0
"""


@contextlib.contextmanager
def line(folder: Path, events: int) -> Iterator[str]:
    """Run a line in a process of its own, every frame of its camera a defect; give where its page is.

    Args:
        folder: for its file and what it writes.
        events: that are there before anybody looks.

    Raises:
        WordsightError: it did not start.
    """
    camera = Camera(_FPS)
    (folder / "line.toml").write_text(_LINE.format(model=json.dumps(str(demo_model())), url=camera.url))
    words = [sys.executable, "-m", "wordsight.runtime", "run", "--config", "line.toml"]
    with (
        contextlib.closing(camera),
        open(folder / "log.txt", "w") as log,
        running(words, cwd=folder, stdout=log, stderr=log) as process,
    ):
        until_s = time.monotonic() + _START_S
        while (found := _scored(folder)) is None or found < events:
            if process.poll() is not None or time.monotonic() > until_s:
                raise WordsightError(f"the line did not start: {(folder / 'log.txt').read_text()[-300:]}")
            time.sleep(0.2)
        told = (folder / "log.txt").read_text()
        yield next(text for text in told.splitlines() if "the page: " in text).partition("the page: ")[2]
        process.send_signal(signal.SIGTERM)
        process.wait(_STOP_S)


def _scored(folder: Path) -> int | None:
    try:
        return int(json.loads((folder / "status.json").read_text())["lines"][0]["scored"])
    except (OSError, ValueError, IndexError):
        return None
