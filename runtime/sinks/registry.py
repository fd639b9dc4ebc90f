"""Which sinks there are: those of the package, and those that a plant adds through the entry-point group.

A sink is one class: `Options`, a pydantic model of what its `[[sink]]` may say beside the common keys (with
`extra="forbid"`); `wants_image`, whether it looks at pictures; and a constructor `(options, context)` that gives an
`EventSink`. A plant's own, in its pyproject.toml:

    [project.entry-points."wordsight.sinks"]
    andon = "our_plant.andon:AndonLight"
"""

import difflib
import importlib
import importlib.metadata
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordsight.runtime.errors import MissingPart, SettingError
from wordsight.runtime.sinks.event_sink import EventSink

if TYPE_CHECKING:
    from typing import TypeAlias

    from pydantic import BaseModel

    OptionsModel: TypeAlias = type[BaseModel]

GROUP = "wordsight.sinks"
_PYDANTIC = "pip install 'pydantic>=2.9,<3'"

_BUILT_IN = {
    "csv": "wordsight.runtime.sinks.event_csv:EventCsv",
    "gpio": "wordsight.runtime.sinks.gpio:Gpio",
    "jsonl": "wordsight.runtime.sinks.event_lines:EventLines",
    "metrics": "wordsight.runtime.sinks.metrics:Metrics",
    "modbus": "wordsight.runtime.sinks.modbus:Modbus",
    "opcua": "wordsight.runtime.sinks.opcua:Opcua",
    "mqtt": "wordsight.runtime.sinks.mqtt:Mqtt",
    "snapshots": "wordsight.runtime.sinks.snapshots:Snapshots",
    "video": "wordsight.runtime.sinks.event_video:EventVideo",
    "webhook": "wordsight.runtime.sinks.webhook:Webhook",
}


@dataclass(frozen=True)
class SinkContext:
    """What a sink may need to know beside its own options.

    Attributes:
        folder: relative paths are relative to it: the line file's.
        lines: names of the lines whose events it gets.
        state: folder for what it remembers across a restart.
        file: the line's file; None outside `run --config`.
        name: of the sink, the same across a restart; what it keeps in `state` goes by it, and so do its secrets.
    """

    folder: Path
    lines: tuple[str, ...]
    state: Path
    file: Path | None = None
    name: str = ""


@dataclass(frozen=True)
class SinkKind:
    """One type of sink.

    Attributes:
        type: as `[[sink]]` names it.
        Options: its own keys; the common ones are not among them.
        make: gives a sink; may raise anything, and is called again after a failure.
        wants_image: whether it looks at pictures; pass it on to `Queued`.
    """

    type: str
    Options: "OptionsModel"
    make: Callable[[Any, SinkContext], EventSink]
    wants_image: bool


def sink_types() -> list[str]:
    """Return the names of all types, sorted; those of plug-ins are not loaded for it."""
    return sorted({*_BUILT_IN, *(entry.name for entry in importlib.metadata.entry_points(group=GROUP))})


def sink_kind(type: str) -> SinkKind:
    """Return the type of sink of this name.

    Raises:
        SettingError: there is none, or it is a plug-in that cannot be loaded, or that is no sink; one line, naming it.
        MissingPart: pydantic is absent.
    """
    added = [entry for entry in importlib.metadata.entry_points(group=GROUP) if entry.name == type]
    if added:
        whose = " and ".join(dict.fromkeys(_whose(entry) for entry in added))
        if type in _BUILT_IN or len({entry.value for entry in added}) > 1:
            others = "the package's own and " if type in _BUILT_IN else ""
            raise SettingError(f"there is more than one sink of type {type!r}: {others}{whose}; give one another name")
        place = added[0].value
        return _kind(type, place, f"the plug-in {whose} for sinks of type {type!r}")
    if type not in _BUILT_IN:
        near = difflib.get_close_matches(type, sink_types(), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise SettingError(f"expected a sink of type {', '.join(sink_types())}, got {type!r}{hint}")
    return _kind(type, _BUILT_IN[type], f"the sink of type {type!r}")


def _kind(type: str, place: str, who: str) -> SinkKind:
    try:
        from pydantic import BaseModel
    except ModuleNotFoundError as error:
        raise MissingPart(
            "sinks need pydantic, which checks their options", "pip install 'pydantic>=2.9,<3'"
        ) from error
    module, _, name = place.partition(":")
    try:
        made: Any = importlib.import_module(module)
        for part in name.split("."):
            made = getattr(made, part)
    except MissingPart:
        raise
    except (Exception, SystemExit) as error:  # it may be anybody's code, and may raise anything
        told = " ".join(f"{error.__class__.__name__}: {error}".split())[:300]
        raise SettingError(f"{who} cannot be loaded: {told}") from error
    options, wants_image = getattr(made, "Options", None), getattr(made, "wants_image", None)
    if not (inspect.isclass(options) and issubclass(options, BaseModel)):
        raise SettingError(f"{who} is no sink: expected {place} to have Options, a pydantic model, got {options!r}")
    if options.model_config.get("extra") != "forbid":
        raise SettingError(f"{who} is no sink: expected its Options to have extra='forbid', so that no key is ignored")
    if not isinstance(wants_image, bool):
        raise SettingError(f"{who} is no sink: expected {place} to have wants_image, a bool, got {wants_image!r}")
    if not callable(made):
        raise SettingError(f"{who} is no sink: expected {place} to be called with options and context")
    return SinkKind(type, options, made, wants_image)


def _whose(entry: importlib.metadata.EntryPoint) -> str:
    package = f" of {entry.dist.name}" if entry.dist is not None else ""
    return f"{entry.value}{package}"
