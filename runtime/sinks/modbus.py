"""A controller over Modbus TCP: decisions and a heartbeat to it, acknowledgements and a recipe number from it.

`docs/plc.md` has the table of coils and registers, and what the controller has to do with them.
"""

import logging
import re
import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from wordsight.runtime.errors import MissingPart, OutputError, WordsightError
from wordsight.runtime.files import file_stamp
from wordsight.runtime.sinks.event_sink import Event
from wordsight.runtime.sinks.fail_safe import FailSafe, age_s, engine_steps, is_well
from wordsight.runtime.sinks.registry import SinkContext

try:
    from pymodbus.client import ModbusTcpClient
    from pymodbus.exceptions import ModbusException
except ModuleNotFoundError as error:
    raise MissingPart("a controller over Modbus needs pymodbus", "pip install 'wordsight[modbus]'") from error

if TYPE_CHECKING:
    from wordsight.runtime.config.read import Loaded

logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # what fails is told by the sink's state, once

CODES = {"none": 0, None: 0, "good": 1, "unsure": 2, "defect": 3}
"""What stands in the register of the result; 0: nothing is decided, for want of a threshold."""
UNKNOWN = 65535
"""In the register of the recipe in force: there is no recipe of the number that was asked for."""

_ADDRESS = re.compile(r"modbus://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(\d{1,5}))?/?")
_REFUSALS = {1: "it does not know the function", 2: "it has no such address", 3: "it does not take the value"}
_LOOK_S = 0.01  # between two looks for an acknowledgement

Place = Annotated[int, Field(strict=True, ge=0, le=65535)]
MayPlace = Place | Literal[False]


class ModbusOptions(BaseModel):
    """What a `[[sink]]` of type "modbus" may say. Addresses are those of the protocol, from 0.

    Attributes:
        url: modbus://host:port; port 502 unless it is given.
        unit: the controller's number on a gateway.
        timeout_s: for a connection, and for each answer.
        coils: of three coils: good, unsure, defect; false: none.
        result: of two registers: code of the decision and sequence number.
        acknowledge: register into which the controller copies the sequence number.
        ack_s: how long to wait for it; 0: nobody acknowledges.
        heartbeat: register that counts on each second while the engine steps on; false: none.
        running: register that is 1 while every line has a source that is well, else 0; false: none.
        recipe: register with the number of the recipe that the controller wants, 0 for none; false: nobody asks.
        recipe_in_force: register with the number of the one in force; false: none.
        fail_safe: decision that is told while nothing can be decided.
        engine_s: an engine that does not step for so long is not well.
        max_age_s: an older decision is not told any more, but counted.
    """

    model_config = ConfigDict(extra="forbid")

    url: str
    unit: Annotated[int, Field(ge=0, le=255)] = 1
    timeout_s: Annotated[float, Field(gt=0, le=30)] = 1.0
    coils: MayPlace = 0
    result: Place = 2
    acknowledge: Place = 4
    ack_s: Annotated[float, Field(ge=0, le=10)] = 0.0
    heartbeat: MayPlace = 0
    running: MayPlace = 1
    recipe: MayPlace = False
    recipe_in_force: MayPlace = False
    fail_safe: FailSafe = "defect"
    engine_s: Annotated[float, Field(gt=0, le=3600)] = 5.0
    max_age_s: Annotated[float, Field(gt=0)] = 5.0

    @field_validator("url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        address_of(value)
        return value

    @model_validator(mode="after")
    def _have_places_of_their_own(self) -> "ModbusOptions":
        taken: dict[int, str] = {self.result: "result", self.result + 1: "result's sequence number"}
        places = {"acknowledge": self.acknowledge if self.ack_s else False, "heartbeat": self.heartbeat}
        places |= {"running": self.running, "recipe": self.recipe, "recipe_in_force": self.recipe_in_force}
        for name, place in places.items():
            if place is not False and taken.setdefault(place, name) != name:
                raise ValueError(f"{name} is register {place}, and so is {taken[place]}: expected one of its own")
        if max(self.result + 1, 0 if self.coils is False else self.coils + 2) > 65535:
            raise ValueError("expected addresses up to 65535, also of the sequence number and of the third coil")
        return self


def address_of(url: str) -> tuple[str, int]:
    """Return host and port of modbus://host:port.

    Raises:
        ValueError: it is none.
    """
    match = _ADDRESS.fullmatch(url)
    if match is None or not 0 < int(match.group(2) or 502) < 65536:
        raise ValueError("expected modbus://host:port, without a user or a path")
    return match.group(1).strip("[]"), int(match.group(2) or 502)


class Modbus:
    """The sink of type "modbus". The controller keeps the sequence number: a line that starts anew goes on from it.

    Attributes:
        counts: `late`: not acknowledged in time; `stale`: too old to be told; `recipes`: selected for the controller;
            `recipes_unknown`: asked for, but there is none of that number.
    """

    Options = ModbusOptions
    wants_image = False

    def __init__(self, options: ModbusOptions, context: SinkContext) -> None:
        """Connect, and tell the fail-safe value until something is decided.

        Raises:
            OutputError: the controller does not answer, or refuses.
        """
        self.counts = {"late": 0, "stale": 0, "recipes": 0, "recipes_unknown": 0}
        self._options, self._context = options, context
        host, port = address_of(options.url)
        self._who = f"the controller at {host}:{port}"
        self._client = ModbusTcpClient(host, port=port, timeout=options.timeout_s, retries=0)
        self._beat = self._asked = 0
        self._file: tuple[object, Loaded] | None = None  # the line's file, and when it was read
        try:
            if not self._client.connect():
                raise OutputError(f"{self._who} cannot be reached")
            self._sequence = self._read(options.result + 1)
            self._fail_safe()
        except BaseException:
            self._client.close()
            raise

    def write(self, event: Event) -> None:
        """Tell one decision, its sequence number last, and wait for its acknowledgement for as long as was said.

        Raises:
            OutputError: the controller does not answer, or refuses.
        """
        if age_s(event) > self._options.max_age_s:
            self.counts["stale"] += 1
            return
        sequence = self._sequence % 65535 + 1
        self._safe = False
        self._tell(event.decision or "none", sequence)
        self._sequence = sequence
        if self._options.ack_s:
            self._await(sequence)

    def status(self, status: dict[str, Any]) -> None:
        """Count the heartbeat on while the engine steps, tell when a line stopped, and look for a recipe.

        Raises:
            OutputError: the controller does not answer, or refuses.
        """
        options = self._options
        well = is_well(status, self._context.lines, options.engine_s)
        if not well and not self._safe:
            self._fail_safe()
        if options.running is not False:
            self._write(options.running, [int(well)])
        if options.heartbeat is not False and engine_steps(status, options.engine_s):
            self._beat = self._beat % 65535 + 1
            self._write(options.heartbeat, [self._beat])
        if options.recipe is not False or options.recipe_in_force is not False:
            self._look_at_recipe(status)

    def close(self) -> None:
        """Tell the fail-safe value, and hang up.

        Raises:
            OutputError: it could not be told any more.
        """
        try:
            self._fail_safe()
        finally:
            self._client.close()

    def _fail_safe(self) -> None:
        self._tell(self._options.fail_safe, self._sequence)
        if self._options.running is not False:
            self._write(self._options.running, [0])
        self._safe = True

    def _tell(self, decision: str, sequence: int) -> None:
        if self._options.coils is not False:
            coils = [decision == one for one in ("good", "unsure", "defect")]
            self._answered(lambda: self._client.write_coils(self._options.coils, coils, device_id=self._options.unit))
        self._write(self._options.result, [CODES[decision], sequence])

    def _await(self, sequence: int) -> None:
        until_s = time.monotonic() + self._options.ack_s
        while self._read(self._options.acknowledge) != sequence:
            if time.monotonic() >= until_s:
                self.counts["late"] += 1
                return
            time.sleep(_LOOK_S)

    def _look_at_recipe(self, status: dict[str, Any]) -> None:
        from wordsight.runtime.config.read import read_line_file
        from wordsight.runtime.line.recipes import select

        options, file = self._options, self._context.file
        if file is None:
            return
        asked = 0 if options.recipe is False else self._read(options.recipe)
        now_there = file_stamp(file)
        if self._file is None or self._file[0] != now_there:
            try:
                self._file = now_there, read_line_file(file)
            except WordsightError:
                return  # it is being edited: what is in force stays, and so does what was told
        loaded = self._file[1]
        numbers = {one.name: one.number for one in loaded.spec.recipe if one.number is not None}
        names = {line["name"]: line["recipe"] for line in status["lines"] if line["name"] in self._context.lines}
        found = {numbers.get(name, 0) for name in names.values()}
        now = found.pop() if len(found) == 1 else 0
        unknown = bool(asked) and asked not in numbers.values()
        if asked and asked != self._asked and asked != now:
            if unknown:
                self.counts["recipes_unknown"] += 1
            else:
                every = set(self._context.lines) == {line.name for line in loaded.spec.line}
                name = next(name for name, number in numbers.items() if number == asked)
                for line in [None] if every else self._context.lines:
                    try:
                        select(loaded, name, line)
                    except OSError as error:
                        raise OutputError(f"cannot keep the recipe that was selected: {error.strerror}") from error
                self.counts["recipes"] += 1
        self._asked = asked
        if options.recipe_in_force is not False:
            self._write(options.recipe_in_force, [UNKNOWN if unknown else now])

    def _read(self, place: int) -> int:
        answer = self._answered(
            lambda: self._client.read_holding_registers(place, count=1, device_id=self._options.unit)
        )
        return int(answer.registers[0])

    def _write(self, place: int, values: list[int]) -> None:
        self._answered(lambda: self._client.write_registers(place, values, device_id=self._options.unit))

    def _answered(self, ask: Any) -> Any:
        try:
            answer = ask()
        except (ModbusException, OSError) as error:
            raise OutputError(f"{self._who} does not answer") from error
        if answer.isError():
            code = int(getattr(answer, "exception_code", 0))
            why = _REFUSALS.get(code, f"exception {code}")
            raise OutputError(f"{self._who} refuses function {answer.function_code & 0x7F}: {why}")
        return answer
