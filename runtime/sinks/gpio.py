"""Outputs of the board itself: a line for each decision, through the kernel's GPIO character device (libgpiod 2)."""

import time
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from wordsight.runtime.errors import MissingPart, OutputError
from wordsight.runtime.sinks.event_sink import Event
from wordsight.runtime.sinks.fail_safe import FailSafe, age_s, is_well
from wordsight.runtime.sinks.registry import SinkContext

try:
    import gpiod
    from gpiod.line import Direction, Value
except ImportError as error:  # also libgpiod's first version, which has no module `line`
    raise MissingPart("outputs of the board need gpiod 2", "pip install 'wordsight[gpio]'") from error

Output = Annotated[int, Field(strict=True, ge=0)] | Annotated[str, Field(min_length=1)] | Literal[False]


class GpioOptions(BaseModel):
    """What a `[[sink]]` of type "gpio" may say. An output is a line's offset or name on the chip; false: none.

    Attributes:
        chip: the character device.
        good: output of that decision.
        unsure: the same.
        defect: the same.
        ready: output that is on while the engine steps and every line's source is well.
        pulse_ms: length of a pulse; 0: it stays on until the next decision.
        gap_ms: least time between two pulses, in which all are off.
        active_low: "on" is the low level.
        fail_safe: which one is on while nothing can be decided, and after the end.
        engine_s: an engine that does not step for so long is not well.
        max_age_s: an older decision is not told any more, but counted.
    """

    model_config = ConfigDict(extra="forbid")

    chip: str = "/dev/gpiochip0"
    good: Output = False
    unsure: Output = False
    defect: Output = False
    ready: Output = False
    pulse_ms: Annotated[float, Field(ge=0, le=5000)] = 0.0
    gap_ms: Annotated[float, Field(ge=0, le=5000)] = 20.0
    active_low: bool = False
    fail_safe: FailSafe = "defect"
    engine_s: Annotated[float, Field(gt=0, le=3600)] = 5.0
    max_age_s: Annotated[float, Field(gt=0)] = 5.0

    @model_validator(mode="after")
    def _fits_together(self) -> "GpioOptions":
        used = [output for output in (self.good, self.unsure, self.defect, self.ready) if output is not False]
        if not used:
            raise ValueError("expected an output for good, unsure, defect or ready, got none")
        if len(set(used)) < len(used):
            raise ValueError(f"expected an output of its own for each, got {', '.join(map(str, used))}")
        if self.fail_safe != "none" and getattr(self, self.fail_safe) is False:
            raise ValueError(f'fail_safe = "{self.fail_safe}" needs an output for {self.fail_safe}; or say "none"')
        return self


class Gpio:
    """The sink of type "gpio".

    Attributes:
        counts: `stale`: decisions too old to be told.
    """

    Options = GpioOptions
    wants_image = False

    def __init__(self, options: GpioOptions, context: SinkContext) -> None:
        """Take the outputs, at the fail-safe level from the first moment.

        Raises:
            OutputError: no such chip or line, no right to it, or it is taken.
        """
        self.counts = {"stale": 0}
        self._options, self._context = options, context
        self._ready, self._safe, self._off_s = False, True, 0.0
        levels = self._levels(options.fail_safe)
        settings = {
            output: gpiod.LineSettings(direction=Direction.OUTPUT, active_low=options.active_low, output_value=value)
            for output, value in levels.items()
        }
        try:
            self._request = gpiod.request_lines(options.chip, consumer="wordsight", config=settings)
        except (OSError, ValueError) as error:
            raise OutputError(_told(options.chip, error)) from error

    def write(self, event: Event) -> None:
        """Tell one decision; a pulse is over when it returns.

        Raises:
            OutputError: the chip is gone.
        """
        if age_s(event) > self._options.max_age_s:
            self.counts["stale"] += 1
            return
        if self._options.pulse_ms:
            if self._safe:
                self._set("none")
            time.sleep(max(0.0, self._off_s + self._options.gap_ms / 1000 - time.monotonic()))
        self._safe = False
        self._set(event.decision or "none")
        if self._options.pulse_ms:
            try:
                time.sleep(self._options.pulse_ms / 1000)
            finally:
                self._set("none")

    def status(self, status: dict[str, Any]) -> None:
        """Tell whether all is well, and the fail-safe level when it is not.

        Raises:
            OutputError: the chip is gone.
        """
        well = is_well(status, self._context.lines, self._options.engine_s)
        if not well and not (self._safe and not self._ready):
            self._fail_safe()
        elif well and not self._ready:
            self._ready = True
            self._set(self._options.fail_safe if self._safe else self._last)

    def close(self) -> None:
        """Leave the outputs at the fail-safe level.

        Raises:
            OutputError: the chip is gone.
        """
        try:
            self._fail_safe()
        finally:
            self._request.release()

    def _fail_safe(self) -> None:
        self._ready, self._safe = False, True
        self._set(self._options.fail_safe)

    def _set(self, decision: str) -> None:
        if decision == "none":
            self._off_s = time.monotonic()
        try:
            self._request.set_values(self._levels(decision))
        except OSError as error:
            raise OutputError(_told(self._options.chip, error)) from error

    def _levels(self, decision: str) -> dict[int | str, Any]:
        """Return the value of every output; remembers the decision."""
        self._last = decision
        on = {one: one == decision for one in ("good", "unsure", "defect")} | {"ready": self._ready}
        return {
            output: Value.ACTIVE if value else Value.INACTIVE
            for name, value in on.items()
            if (output := getattr(self._options, name)) is not False
        }


def _told(chip: str, error: Exception) -> str:
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"cannot use the outputs of {chip}: {why.lower() if why else type(error).__name__}"
