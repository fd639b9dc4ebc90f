"""The page as a line's process holds it: a server in a thread of its own, and a queue in front of what it shows."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from wordsight.runtime.errors import MissingPart, OutputError
from wordsight.runtime.sinks.event_sink import Event
from wordsight.runtime.sinks.queued import Queued
from wordsight.runtime.web.access import Access, address, token
from wordsight.runtime.web.guard import Guard
from wordsight.runtime.web.record import EVENTS, Record
from wordsight.runtime.web.shelf import Shelf

if TYPE_CHECKING:
    from wordsight.runtime.config.check import Checked
    from wordsight.runtime.config.read import Loaded

_ROOM, _ROOM_BYTES = 200, 64 * 2**20
_CONNECTIONS = 200
_STOP_S = 2


class Page:
    """The page of one line's file, served from the time it is made.

    Attributes:
        url: where it is.
        record: what it shows.
    """

    def __init__(self, loaded: "Loaded", listen: str, say: Callable[[str], None]) -> None:
        """Listen and serve.

        Args:
            loaded: the line's file; `web_credentials` and `web_hosts` are read from it.
            listen: HOST:PORT.
            say: takes lines for people, from any thread.

        Raises:
            SettingError: no address, or others reach it and there is no token.
            OutputError: it cannot listen there.
            MissingPart: Starlette or uvicorn is absent.
        """
        try:
            import uvicorn

            from wordsight.runtime.web.app import Status, app
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn", "anyio", "h11", "click"):
                raise
            raise MissingPart("the page needs Starlette and uvicorn", "pip install 'wordsight[web]'") from error
        from wordsight.runtime.web.desk import Desk

        spec, where = loaded.spec, address(listen)
        kept = None if spec.web_credentials is None else loaded.resolve(spec.web_credentials)
        access = Access(where, token(kept), tuple(spec.web_hosts))
        self.record = Record(shelf=Shelf(loaded.state, EVENTS, say, time.monotonic))
        self._status = Status()
        self._desk = Desk(loaded.path, loaded.state, say)
        made = app(self.record, self._status, self._desk)
        guarded = Guard(made, access, lambda told: say(f"page: {_line(told)}"))
        self._socket = _listening(where.host, where.port)
        port = self._socket.getsockname()[1]
        self.url = f"http://{f'[{where.host}]' if ':' in where.host else where.host}:{port}/"
        self._server = uvicorn.Server(
            uvicorn.Config(
                guarded, log_config=None, log_level="critical", access_log=False, lifespan="off", ws="none",
                server_header=False, limit_concurrency=_CONNECTIONS, timeout_graceful_shutdown=_STOP_S,
            )
        )  # fmt: skip
        # Not one of the line's sinks: what it has no room for is lost to a picture, to nobody's record.
        self._queue = Queued("page", lambda: self.record, wants_image=True, room=_ROOM, room_bytes=_ROOM_BYTES)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="page", daemon=True
        )
        self._thread.start()

    def put(self, event: Event) -> None:
        """Take an event. Never blocks, never raises."""
        self._queue.put(event)

    def take(self, checked: "Checked") -> None:
        """Take a file that is in force: without one no thresholds can be applied."""
        self._desk.checked = checked

    def show(self, status: dict[str, Any]) -> None:
        """Take a status."""
        self._status.take(status)

    def close(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        self._thread.join(_STOP_S + 1)
        self._queue.close(0.5)
        with contextlib.suppress(OSError):
            self._socket.close()


def _line(told: str) -> str:
    from wordsight.runtime.urls import scrubbed

    return scrubbed(" ".join(told.split())[:300])


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        OutputError: it cannot.
    """
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(where)
            made.listen(128)
        except BaseException:
            made.close()
            raise
    except OSError as error:
        told = (error.strerror or str(error)).lower()
        raise OutputError(f"the page cannot listen at {host}:{port}: {told}; give web another address") from error
    return made
