"""Figures for Prometheus: what the status says, and how long decisions take, under `/metrics`.

Labels are names of lines, sinks and recipes of the line's file, states and decisions: few, and none holds a source's
address. Counters begin anew with the process, and a line's with its reader.
"""

import time
from collections.abc import Iterator
from typing import Any

from wordsight.runtime.errors import MissingPart
from wordsight.runtime.sinks.event_sink import Event
from wordsight.runtime.sinks.listening import Listening, ListenOptions, address_of
from wordsight.runtime.sinks.registry import SinkContext
from wordsight.runtime.sinks.result import Result

try:
    from prometheus_client import CollectorRegistry, Histogram
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.exposition import choose_encoder
except ModuleNotFoundError as error:
    raise MissingPart("metrics need prometheus-client", "pip install 'wordsight[metrics]'") from error

LINE_STATES = (
    "opening",
    "running",
    "waiting",
    "stalled",
    "frozen",
    "retrying",
    "ended",
    "failed",
    "stopped",
    "no answer",
)
SINK_STATES = ("ok", "failing", "stalled", "closed")
STATES = ("starting", "running", "draining", "stopped", "failed")
DOUBTS = ("too dark", "too bright", "blown out", "blurred")
DECISIONS = ("good", "unsure", "defect", "undecided")
BUCKETS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

_LINE_COUNTERS = {
    "frames": "Frames read from the source.",
    "dropped": "Frames left out for a newer one.",
    "withheld": "Frames left out because the picture was frozen.",
    "refused": "Frames without the region, or of another size than the mask.",
    "no_answer": "Frames without a score, for a server gave no answer.",
    "fallback": "Frames that a local model scored, for a server gave no answer.",
    "failures": "Inputs that could not be read.",
    "reconnects": "Times that the source was opened again.",
    "late": "Parts past their deadline.",
}
_LINE_GAUGES = {
    "waiting": ("frames_waiting", "Frames read and not yet scored."),
    "fps": ("frames_per_second", "Frames a second from the source."),
    "last_frame_s": ("last_frame_seconds", "Seconds since the last frame."),
    "last_score": ("last_score", "Score of the last frame."),
    "unsure": ("unsure_threshold", "Threshold from which a frame is unsure."),
    "defect": ("defect_threshold", "Threshold from which a frame is a defect."),
}
_SINK_COUNTERS = {
    "written": "Events that the sink took.",
    "dropped": "Events that were lost.",
    "failures": "Times that the sink failed.",
    "set_aside": "Events that alone could not be written.",
}
_SINK_GAUGES = {
    "waiting": "Events in the queue of a sink.",
    "unsent": "Events that a sink took and has still to send.",
}


class MetricsOptions(ListenOptions):
    """What a `[[sink]]` of type "metrics" may say."""

    listen: str = "127.0.0.1:9464"


class Metrics:
    """The sink of type "metrics".

    Attributes:
        address: host and port it listens on.
    """

    Options = MetricsOptions
    wants_image = False

    def __init__(self, options: MetricsOptions, context: SinkContext) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        self._context = context
        self._only: set[str] | None = None  # lines; None: all, also those that a file read again brings
        self._status: tuple[dict[str, Any], float] | None = None
        self._registry = CollectorRegistry()
        self._latency = Histogram(
            "wordsight_decision_latency_seconds",
            "From the capture of a frame to its decision.",
            ["line"],
            buckets=BUCKETS_S,
            registry=self._registry,
        )
        self._registry.register(self)
        self._server = Listening(address_of(options.listen, options.open_to_network), "/metrics", self._page)
        self.address = self._server.address

    def write(self, event: Event) -> None:
        """Take the latency of a frame; the rest comes with the status."""
        if isinstance(event, Result) and event.decided_s is not None and event.line is not None:
            self._latency.labels(event.line).observe(max(0.0, event.decided_s - event.frame.captured_s))

    def status(self, status: dict[str, Any]) -> None:
        """Take how everything does."""
        if self._status is None and not {line["name"] for line in status["lines"]} <= set(self._context.lines):
            self._only = set(self._context.lines)
        self._status = status, time.monotonic()

    def close(self) -> None:
        """Stop listening."""
        self._server.close()

    def describe(self) -> Iterator[Metric]:
        """Give nothing: what there is depends on the status."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Give the figures of the last status."""
        if self._status is None:
            return
        status, at_s = self._status
        age_s = time.monotonic() - at_s
        yield _gauge("status_age_seconds", "Seconds since these figures were taken; many: the process hangs.", age_s)
        yield _gauge("uptime_seconds", "Seconds since the start.", status["uptime_s"])
        yield _counter("input_failures", "Inputs that failed, of all lines.", status["failures"])
        yield _states("state", "State of the process.", [({}, status["state"])], STATES)
        engine = status["engine"]
        yield _counter("engine_passes", "Passes of the engine.", engine["passes"])
        yield _counter("engine_frames", "Frames scored.", engine["frames"])
        yield _counter("engine_no_answer", "Frames to which a server gave no answer.", engine["no_answer"])
        step_s = engine["last_step_s"] + age_s
        yield _gauge("engine_last_step_seconds", "Seconds since the engine last looked for frames.", step_s)
        shown = (line for line in status["lines"] if self._only is None or line["name"] in self._only)
        lines = [({"line": line["name"]}, line) for line in shown]
        yield _states("line_state", "State of the source.", [(on, line["state"]) for on, line in lines], LINE_STATES)
        for key, told in _LINE_COUNTERS.items():
            yield _family(CounterMetricFamily, f"line_{key}", told, [(on, line[key]) for on, line in lines], "line")
        for key, (name, told) in _LINE_GAUGES.items():
            yield _family(GaugeMetricFamily, f"line_{name}", told, [(on, line[key]) for on, line in lines], "line")
        for key, told in {"decisions": "Frames by decision.", "parts": "Parts by decision."}.items():
            rows = [({**on, "decision": one}, line[key].get(one, 0)) for on, line in lines for one in DECISIONS]
            yield _family(CounterMetricFamily, f"line_{key}", told, rows, "line", "decision")
        rows = [({**on, "reason": one}, line["doubts"].get(one, 0)) for on, line in lines for one in DOUBTS]
        yield _family(CounterMetricFamily, "line_doubts", "Frames unsure for a reason.", rows, "line", "reason")
        rows = [(on, line["drift"]["state"] == "drifting") for on, line in lines if line["drift"] is not None]
        yield _family(GaugeMetricFamily, "line_drifting", "Whether scores left those of the calibration.", rows, "line")
        recipes = [({**on, "recipe": line["recipe"] or ""}, 1) for on, line in lines]
        yield _family(GaugeMetricFamily, "line_recipe", "The recipe in force; always 1.", recipes, "line", "recipe")
        sinks = [({"sink": sink["name"], "type": sink["type"]}, sink) for sink in status["sinks"]]
        yield _states("sink_state", "State of a sink.", [(on, sink["state"]) for on, sink in sinks], SINK_STATES)
        for key, told in _SINK_COUNTERS.items():
            rows = [(on, sink[key]) for on, sink in sinks]
            yield _family(CounterMetricFamily, f"sink_{key}", told, rows, "sink", "type")
        for key, told in _SINK_GAUGES.items():
            rows = [(on, sink[key]) for on, sink in sinks]
            yield _family(GaugeMetricFamily, f"sink_{key}", told, rows, "sink", "type")
        rows = [({**on, "what": what}, count) for on, sink in sinks for what, count in sink["counts"].items()]
        yield _family(
            CounterMetricFamily, "sink_counted", "What a sink counts of its own.", rows, "sink", "type", "what"
        )

    def _page(self, accept: str) -> tuple[str, bytes]:
        encode, kind = choose_encoder(accept)
        return kind, encode(self._registry)


def _family(kind: Any, name: str, told: str, rows: list[tuple[dict[str, str], Any]], *labels: str) -> Metric:
    """Return one metric; what is not known has no row."""
    family = kind(f"wordsight_{name}", told, labels=labels)
    for on, value in rows:
        if value is not None:
            family.add_metric([on[label] for label in labels], float(value))
    made: Metric = family
    return made


def _gauge(name: str, told: str, value: float) -> Metric:
    return _family(GaugeMetricFamily, name, told, [({}, value)])


def _counter(name: str, told: str, value: float) -> Metric:
    return _family(CounterMetricFamily, name, told, [({}, value)])


def _states(name: str, told: str, rows: list[tuple[dict[str, str], str]], every: tuple[str, ...]) -> Metric:
    """Return a metric with a row for each state, 1 for the one it is in."""
    labels = (*(rows[0][0] if rows else ()), "state")
    known = [({**on, "state": one}, float(one == state)) for on, state in rows for one in every]
    return _family(GaugeMetricFamily, name, f"{told} 1 for the one it is in.", known, *labels)
