"""An OPC UA server of the line's own: what each line decided last, how it does, and a heartbeat, to be read only.

    Objects / Wordsight     Heartbeat, State
    Objects / Wordsight / <line>    Decision, DecisionCode, Score, PartId, EventId, Frame, Recipe; State; counters

Every value has a status: Good, or why it must not be relied on. `docs/plc.md` has the table.
"""

import asyncio
import concurrent.futures
import logging
import math
import threading
from collections.abc import Coroutine
from datetime import datetime, timezone
from typing import Annotated, Any, TypeVar

from pydantic import Field

from wordsight.runtime.errors import MissingPart, OutputError
from wordsight.runtime.sinks.event_sink import Event
from wordsight.runtime.sinks.fail_safe import engine_steps, is_well
from wordsight.runtime.sinks.listening import ListenOptions, address_of
from wordsight.runtime.sinks.registry import SinkContext
from wordsight.runtime.sinks.result import Result

try:
    from asyncua import Server, ua
    from asyncua.crypto.permission_rules import SimpleRoleRuleset, User, UserRole
except ModuleNotFoundError as error:
    raise MissingPart("sinks of type opcua need asyncua", "pip install 'wordsight[opcua]'") from error

T = TypeVar("T")
NAMESPACE = "urn:wordsight"
CODES = {None: 0, "none": 0, "good": 1, "unsure": 2, "defect": 3}
"""As over Modbus; 0: nothing is decided, for want of a threshold."""

_DECIDED = {
    "Decision": (ua.VariantType.String, ""),
    "DecisionCode": (ua.VariantType.UInt16, 0),
    "Score": (ua.VariantType.Double, 0.0),
    "PartId": (ua.VariantType.String, ""),
    "EventId": (ua.VariantType.String, ""),
    "Frame": (ua.VariantType.Int64, -1),
    "Recipe": (ua.VariantType.String, ""),
}
_COUNTERS = ("Scored", "Good", "Unsure", "Defect", "Undecided", "Dropped", "Failures")
_ANSWER_S = 30.0
_OPEN_S = 120.0  # the standard's own nodes, some thousands, take seconds on a small board
_LAST_S = 0.3  # for those who are subscribed to hear of the end
_MOST_CLIENTS = 50
_MOST_BYTES = 2**20  # of one message of a client

logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # what fails is told by the sink's state, once


class OpcuaOptions(ListenOptions):
    """What a `[[sink]]` of type "opcua" may say."""

    listen: str = "127.0.0.1:4840"
    engine_s: Annotated[float, Field(gt=0, le=3600)] = 5.0


class _Readers:
    """Everybody may read, and nobody is an administrator, whatever they call themselves."""

    def get_user(self, iserver: Any, username: Any = None, password: Any = None, certificate: Any = None) -> User:
        return User(role=UserRole.User)


def _read_only() -> Any:
    """Return rules for clients: a request to write is not even looked at, though no value could be written."""
    rules = SimpleRoleRuleset()
    rules._permission_dict[UserRole.User].discard(ua.NodeId(ua.ObjectIds.WriteRequest_Encoding_DefaultBinary))
    return rules


class Opcua:
    """The sink of type "opcua".

    Attributes:
        url: where clients come to.
    """

    Options = OpcuaOptions
    wants_image = False

    def __init__(self, options: OpcuaOptions, context: SinkContext) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        self._options, self._context = options, context
        self._every: bool | None = None  # whether it has all lines, also those that a file read again brings
        self._well: dict[str, bool] = {}
        self._last: dict[str, dict[str, Any]] = {}  # by line, what was decided last
        self._beat = 0
        host, port = address_of(options.listen, options.open_to_network)
        self.url = f"opc.tcp://{f'[{host}]' if ':' in host else host}:{port}/wordsight"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"opcua {port}", daemon=True)
        self._thread.start()
        try:
            self._wait(self._open(), _OPEN_S)
        except BaseException:
            self._end_loop()
            raise

    def write(self, event: Event) -> None:
        """Show one decision.

        Raises:
            OutputError: the server does not come back.
        """
        if event.line is not None:
            self._wait(self._show(event.line, event))

    def status(self, status: dict[str, Any]) -> None:
        """Count the heartbeat on while the engine steps, show the counts, and mark what must not be relied on.

        Raises:
            OutputError: the server does not come back.
        """
        names = [line["name"] for line in status["lines"]]
        if self._every is None:
            self._every = set(names) <= set(self._context.lines)
        if engine_steps(status, self._options.engine_s):
            self._beat = self._beat % (2**32 - 1) + 1
        shown = [line for line in status["lines"] if self._every or line["name"] in self._context.lines]
        self._wait(self._tell(status, shown))

    def close(self) -> None:
        """Tell those who are subscribed that it is over, and stop listening."""
        if not self._thread.is_alive():
            return
        try:
            self._wait(self._stop())
        finally:
            self._end_loop()

    def _wait(self, work: "Coroutine[Any, Any, T]", limit_s: float = _ANSWER_S) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(limit_s)
        except concurrent.futures.TimeoutError as error:
            future.cancel()
            raise OutputError("the OPC UA server does not come back") from error

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(2.0)

    # In the thread of the server.

    async def _open(self) -> None:
        server = Server(user_manager=_Readers())
        await server.init()
        server.set_endpoint(self.url)
        server.set_server_name("Wordsight")
        await server.set_application_uri(NAMESPACE)
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity], permission_ruleset=_read_only())
        server.set_identity_tokens([ua.AnonymousIdentityToken])
        server.iserver.max_connections = _MOST_CLIENTS
        server.limits.max_message_size, server.limits.max_chunk_count = _MOST_BYTES, 16
        self._index = await server.register_namespace(NAMESPACE)
        self._server = server
        top = await server.nodes.objects.add_object(ua.NodeId("/", self._index), self._called("Wordsight"))
        await self._add(top, "/Heartbeat", ua.VariantType.UInt32, 0)
        await self._add(top, "/State", ua.VariantType.String, "starting")
        self._top = top
        for line in self._context.lines:
            await self._add_line(line)
        await server.start()

    async def _add_line(self, line: str) -> None:
        at = await self._top.add_object(ua.NodeId(line, self._index), self._called(line))
        self._last[line], self._well[line] = {}, True
        for name, (kind, value) in _DECIDED.items():
            await self._add(at, f"{line}/{name}", kind, value)
            await self._put(f"{line}/{name}", kind, value, ua.StatusCodes.BadWaitingForInitialData)
        await self._add(at, f"{line}/State", ua.VariantType.String, "opening")
        for name in _COUNTERS:
            await self._add(at, f"{line}/{name}", ua.VariantType.UInt64, 0)

    async def _add(self, at: Any, place: str, kind: ua.VariantType, value: Any) -> None:
        name = self._called(place.rpartition("/")[2])
        await at.add_variable(ua.NodeId(place, self._index), name, value, varianttype=kind)

    def _called(self, name: str) -> ua.QualifiedName:
        return ua.QualifiedName(name, self._index)

    async def _put(
        self, place: str, kind: ua.VariantType, value: Any, code: int = ua.StatusCodes.Good, at: datetime | None = None
    ) -> None:
        now = datetime.now(timezone.utc)
        found = ua.DataValue(ua.Variant(value, kind), ua.StatusCode(code), at or now, ServerTimestamp=now)
        await self._server.write_attribute_value(ua.NodeId(place, self._index), found)

    async def _show(self, line: str, event: Event) -> None:
        if line not in self._last:
            await self._add_line(line)
        part_id = event.frame.part_id if isinstance(event, Result) else event.part_id
        self._last[line] = {
            "Decision": event.decision or "",
            "DecisionCode": CODES[event.decision],
            "Score": math.nan if event.score is None else float(event.score),
            "PartId": part_id or "",
            "EventId": event.event_id or "",
            "Frame": event.frame.index if isinstance(event, Result) else -1,
            "Recipe": event.recipe or "",
            "": event.frame.timestamp if isinstance(event, Result) else event.ended,
        }
        self._well[line] = True
        await self._decided(line, ua.StatusCodes.Good)

    async def _decided(self, line: str, code: int) -> None:
        """Show what was decided last; the code last, so that who is subscribed to it finds the rest there."""
        last = self._last[line]
        if not last and code == ua.StatusCodes.UncertainLastUsableValue:
            code = ua.StatusCodes.BadWaitingForInitialData
        for name in [*(name for name in _DECIDED if name != "DecisionCode"), "DecisionCode"]:
            kind, first = _DECIDED[name]
            await self._put(f"{line}/{name}", kind, last.get(name, first), code, last.get(""))

    async def _tell(self, status: dict[str, Any], lines: list[dict[str, Any]]) -> None:
        await self._put("/Heartbeat", ua.VariantType.UInt32, self._beat)
        await self._put("/State", ua.VariantType.String, status["state"])
        for line in lines:
            name = line["name"]
            if name not in self._last:
                await self._add_line(name)
            await self._put(f"{name}/State", ua.VariantType.String, line["state"])
            counts = {"Scored": line["scored"], "Dropped": line["dropped"], "Failures": line["failures"]}
            for one in _COUNTERS:
                count = counts[one] if one in counts else line["decisions"].get(one.lower(), 0)
                await self._put(f"{name}/{one}", ua.VariantType.UInt64, count)
            if self._well[name] and not is_well(status, [name], self._options.engine_s):
                self._well[name] = False  # until the next decision
                await self._decided(name, ua.StatusCodes.UncertainLastUsableValue)

    async def _stop(self) -> None:
        for line in self._last:
            await self._decided(line, ua.StatusCodes.BadOutOfService)
        await self._put("/State", ua.VariantType.String, "stopped")
        if self._server.bserver is not None and self._server.bserver.clients:
            await asyncio.sleep(_LAST_S)
        await self._server.stop()
