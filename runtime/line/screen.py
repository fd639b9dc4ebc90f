"""The status screen: the same status as in the file, as a few tables that are drawn anew each second."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.live import Live

_COLOURS = {
    "running": "green", "ok": "green", "ended": "dim", "waiting": "cyan", "opening": "cyan", "stopped": "dim",
    "stalled": "yellow", "frozen": "yellow", "retrying": "yellow", "failing": "red", "failed": "red", "closed": "dim",
    "no answer": "red",
}  # fmt: skip
_ERRORS = 4
_WITH_SOURCES = 100  # columns: in fewer nothing of an address would be left to read


def drawn(status: dict[str, Any], width: int = _WITH_SOURCES) -> "Group":
    """Return the screen of one status, for a terminal of so many columns."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    engine = status["engine"]
    head = Text.assemble(
        ("wordsight ", "bold"), (f"{status['config']['file']}", "bold cyan"), f"  {status['state']}",
        f" {_span(status['uptime_s'])}  {_number(engine['frames_per_s'])} frames/s",
        no_wrap=True, overflow="ellipsis",
    )  # fmt: skip
    times = f"pass {_ms(engine['inference_ms'])}, latency {_ms(engine['latency_ms'])} ms (p50/p99)"
    with_sources = width >= _WITH_SOURCES
    lines = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for title, how in (
        ("line", "left"), ("state", "left"), ("recipe", "left"), ("fps", "right"), ("scored", "right"),
        ("good", "right"), ("unsure", "right"), ("defect", "right"), ("score", "right"), ("lost", "right"),
        ("source" if with_sources else "", "left"),
    ):  # fmt: skip
        wide = 1 if title in ("source", "") else None
        lines.add_column(title, justify=how, no_wrap=True, ratio=wide)  # type: ignore[arg-type]
    for line in status["lines"]:
        decisions = line["decisions"]
        lines.add_row(
            Text(line["name"], "bold"), _state(line), line["recipe"] or "-", _number(line["fps"]), str(line["scored"]),
            *(Text(str(decisions.get(name, 0)), colour if decisions.get(name) else "dim")
              for name, colour in (("good", "green"), ("unsure", "yellow"), ("defect", "red"))),
            "-" if line["last_score"] is None else f"{line['last_score']:.3f}",
            str(line["dropped"] + line["refused"] + line["no_answer"] + line["failures"]),
            Text(line["source"] if with_sources else "", "dim"),
        )  # fmt: skip
    parts: list[Any] = [head, Text(times, "dim", no_wrap=True, overflow="ellipsis"), Text(), lines]
    if status["sinks"]:
        sinks = Table(box=None, pad_edge=False, header_style="bold", expand=True)
        for title in ("sink", "state", "written", "waiting", "dropped", "why"):
            number = title in ("written", "waiting", "dropped")
            sinks.add_column(
                title, justify="right" if number else "left", no_wrap=True, ratio=1 if title == "why" else None
            )
        for sink in status["sinks"]:
            sinks.add_row(
                Text(sink["name"], "bold"), _state(sink), str(sink["written"]), str(sink["waiting"]),
                Text(str(sink["dropped"]), "red" if sink["dropped"] else "dim"), Text(sink["reason"] or "", "dim"),
            )  # fmt: skip
        parts += [Text(), sinks]
    parts += [Text(), *_told(status)]
    return Group(*parts)


def _told(status: dict[str, Any]) -> "Iterator[Any]":
    from rich.text import Text

    for line in status["lines"]:
        if line["reason"]:
            yield Text(f"{line['name']}: {line['reason']}", "yellow", no_wrap=True, overflow="ellipsis")
        if line["drift"] is not None and line["drift"]["state"] == "drifting":
            told = f"{line['name']}: scores drift away from the calibration, by {line['drift']['shift']:+.3f}"
            yield Text(told, "yellow", no_wrap=True, overflow="ellipsis")
    for model in status["engine"]["models"]:
        server = model["server"]
        if server is not None and server["state"] == "fallback":
            told = f"{model['path']}: {server['fallback']} scores instead; {server['reason']}"
            yield Text(told, "red", no_wrap=True, overflow="ellipsis")
        if model["on_disk"] != "same":
            yield Text(f"{model['path']} has {model['on_disk']} on the disk; SIGHUP or a restart takes it in", "yellow")
    reload = status["config"]["reload"]
    if reload is not None and not reload["ok"]:
        yield Text(f"refused at {reload['time']}: {reload['message']}", "red", no_wrap=True, overflow="ellipsis")
    for entry in status["errors"][-_ERRORS:]:
        again = f" ({entry['count']} times)" if entry["count"] > 1 else ""
        told = f"{entry['time']} {entry['who']}: {entry['reason']}{again}"
        yield Text(told, "dim", no_wrap=True, overflow="ellipsis")


def _state(item: dict[str, Any]) -> Any:
    from rich.text import Text

    return Text(item["state"], _COLOURS.get(item["state"], ""))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _ms(times: dict[str, Any]) -> str:
    return "-" if times["p50"] is None else f"{times['p50']:.1f}/{times['p99']:.1f}"


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


class Screen:
    """Shows statuses on a terminal, one over the other; lines that are said scroll by above it."""

    def __init__(self, console: "Console") -> None:
        """Take the terminal; nothing is drawn yet."""
        self._console = console
        self._live: Live | None = None

    def show(self, status: dict[str, Any]) -> None:
        """Draw a status."""
        from rich.live import Live

        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        self._live.update(drawn(status, self._console.width), refresh=True)

    def close(self) -> None:
        """Leave the last one standing."""
        if self._live is not None:
            self._live.stop()
            self._live = None
