"""A small HTTP server for one page that machines read: bounded in threads and time, on loopback unless it is said."""

import ipaddress
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6, socket
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from wordsight.runtime.errors import SettingError

_MOST = 8  # requests at once; more are closed at once
_TIMEOUT_S = 5.0


def address_of(listen: str, beyond: bool) -> tuple[str, int]:
    """Return host and port of "127.0.0.1:9464" or "[::1]:9464".

    Args:
        listen: an address and a port, no name: a name may come to mean another machine's network.
        beyond: whether it may be reached from other machines.

    Raises:
        SettingError: it is none, or is not loopback although `beyond` is false.
    """
    host, _, port = listen.rpartition(":")
    try:
        address = ipaddress.ip_address(host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host)
        if not (port.isascii() and port.isdigit() and int(port) < 65536):
            raise ValueError
    except ValueError:
        raise SettingError(f"expected an address and a port, as 127.0.0.1:9464 or [::1]:9464, got {listen!r}") from None
    if not address.is_loopback and not beyond:
        raise SettingError(
            f"{listen} can be reached from other machines, and anybody there could read it: "
            "listen on 127.0.0.1, or say open_to_network = true"
        )
    return str(address), int(port)


class ListenOptions(BaseModel):
    """What a sink that others come to can be told.

    Attributes:
        listen: address and port.
        open_to_network: whether other machines may come to it.
    """

    model_config = ConfigDict(extra="forbid")

    listen: str
    open_to_network: bool = False

    @field_validator("listen")
    @classmethod
    def _is_address(cls, value: str) -> str:
        try:
            address_of(value, True)
        except SettingError as error:
            raise ValueError(str(error)) from error
        return value

    @model_validator(mode="after")
    def _is_allowed(self) -> "ListenOptions":
        try:
            address_of(self.listen, self.open_to_network)
        except SettingError as error:
            raise ValueError(str(error)) from error
        return self


class Listening:
    """Serves one page under one path.

    Attributes:
        address: host and port it listens on.
    """

    def __init__(self, address: tuple[str, int], path: str, page: Callable[[str], tuple[str, bytes]]) -> None:
        """Listen, from now on.

        Args:
            address: host and port; port 0 for any that is free.
            path: of the page; everything else is 404.
            page: called with the header Accept; returns content type and content.

        Raises:
            OSError: the port is taken.
        """

        class Handler(BaseHTTPRequestHandler):
            timeout = _TIMEOUT_S
            server_version, sys_version = "wordsight", ""

            def do_GET(self) -> None:
                if self.path.partition("?")[0] != path:
                    self._answer(404, "text/plain; charset=utf-8", f"nothing here but {path}\n".encode())
                    return
                self._answer(200, *page(self.headers.get("Accept", "")))

            do_HEAD = do_GET

            def _answer(self, code: int, kind: str, content: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = _Server(address, Handler)
        host, port = self._server.server_address[:2]
        self.address = str(host), int(port)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name=f"http {port}", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(1.0)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._free = threading.BoundedSemaphore(_MOST)
        if ":" in address[0]:
            self.address_family = AF_INET6
        super().__init__(address, handler)

    def server_bind(self) -> None:
        # Not HTTPServer's own, which asks the name service who we are, and may wait for it for long.
        from socketserver import TCPServer

        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: "socket | tuple[bytes, socket]", client_address: Any) -> None:
        pass  # a client that went away
