"""What `wordsight run --config` does with a terminal or a log, and the end of it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wordsight.runtime.config.check import Checked, check
from wordsight.runtime.config.read import read_line_file
from wordsight.runtime.golden import require_golden
from wordsight.runtime.line.assemble import Models
from wordsight.runtime.line.serve import Service
from wordsight.runtime.threads import one_thread_for_products

_LOG_S = 60.0


def run_file(path: Path, web: str | None = None) -> int:
    """Run a line's file; return the exit code.

    Args:
        path: the file.
        web: HOST:PORT of the page, instead of the file's `web`.

    Raises:
        LineFileError: it is wrong.
        SettingError, OutputError, MissingPart: the page cannot be had, see `web.page.Page`.
        WordsightError: see `Service.run`.
    """
    from rich.console import Console

    from wordsight.runtime.line.screen import Screen

    checked = check(read_line_file(path))
    one_thread_for_products()
    out = Console(highlight=False)
    screen = Screen(out) if out.is_terminal else None
    show: Callable[[dict[str, Any]], None] = _Log() if screen is None else screen.show

    def say(line: str) -> None:
        if screen is None:
            _log(line)
        else:
            out.print(line, markup=False, soft_wrap=True)

    for remark in checked.remarks:
        say(f"note: {remark}")
    listen = web or checked.loaded.spec.web
    try:
        if listen is None:
            return Service(checked, say=say, show=show, is_ready=golden_frames).run()
        return _with_page(checked, listen, say, show)
    finally:
        if screen is not None:
            screen.close()


def _with_page(
    checked: Checked, listen: str, say: Callable[[str], None], show: Callable[[dict[str, Any]], None]
) -> int:
    from wordsight.runtime.web.page import Page

    page = Page(checked.loaded, listen, say)

    def both(status: dict[str, Any]) -> None:
        show(status)
        page.show(status)

    try:
        say(f"the page: {page.url}")
        return Service(checked, say=say, show=both, is_ready=golden_frames, hear=page.put, taken=page.take).run()
    finally:
        page.close()


def golden_frames(models: Models) -> str:
    """Have every engine score the golden frame, and return what was found.

    Raises:
        GoldenFrameError: one scores otherwise than its manifest says.
    """
    told = [require_golden(model) for _, model in models.opened.values()]
    return "; ".join(dict.fromkeys(told))


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class _Log:
    """A line of counts once a minute, and one at the end."""

    def __init__(self) -> None:
        self._last_s = 0.0

    def __call__(self, status: dict[str, Any]) -> None:
        over = status["state"] in ("stopped", "failed")
        if not over and status["uptime_s"] - self._last_s < _LOG_S:
            return
        self._last_s = status["uptime_s"]
        lines = []
        for line in status["lines"]:
            counts = [f"{number} {what}" for what, number in {**line["decisions"], **_parts(line)}.items()]
            bad = line["failures"] + line["refused"]
            counted = {"dropped": line["dropped"], "without an answer": line["no_answer"],
                       "by the fallback": line["fallback"]}  # fmt: skip
            lost = [f"{number} {what}" for what, number in counted.items() if number]
            told = [f"{line['scored']} scored", *counts, *lost, *([f"{bad} failed"] if bad else [])]
            lines.append(f"{line['name']}: {', '.join(told)}")
        _log(f"{status['time']} {status['state']}: {'; '.join(lines)}")


def _parts(line: dict[str, Any]) -> dict[str, int]:
    return {f"parts {what}": number for what, number in line["parts"].items()}
