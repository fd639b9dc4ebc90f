"""Cameras on loopback that send Motion JPEG over HTTP: a healthy one, and one that goes away and comes back."""

import contextlib
import socket
import threading
import time

import cv2
import numpy as np

_BOUNDARY = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
_HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"


class Camera:
    """Sends pictures that differ from one to the next, at a steady pace, to whoever connects.

    Attributes:
        url: where it is reached.
        sent: pictures so far, over all connections.
    """

    def __init__(
        self, fps: float, *, up_s: float | None = None, down_s: float = 0.0, size: tuple[int, int] = (480, 640)
    ):
        """Begin to listen.

        Args:
            fps: pictures a second.
            up_s: after so many seconds it goes away, for
            down_s: so many seconds; and so on. None: it stays.
            size: height and width of its pictures.
        """
        self.sent = 0
        self._period_s = 1 / fps
        self._pictures = _pictures(size)
        self._over = threading.Event()
        self._clients: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}/video.mjpg"
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        if up_s is not None:
            threading.Thread(target=self._flap, args=(up_s, down_s), daemon=True).start()

    def close(self) -> None:
        """Go away for good."""
        self._over.set()
        self._away()

    def _away(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in self._clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        self._clients.clear()

    def _flap(self, up_s: float, down_s: float) -> None:
        while not self._over.wait(up_s):
            self._away()
            if self._over.wait(down_s):
                return
            self._listener = socket.create_server(("127.0.0.1", self._port))
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                self._clients.append(client)
                threading.Thread(target=self._send, args=(client,), daemon=True).start()

    def _send(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            client.recv(8192)
            client.sendall(_HEAD)
            due_s = time.monotonic()
            while not self._over.is_set():
                due_s += self._period_s
                self._over.wait(max(0.0, due_s - time.monotonic()))
                data = self._pictures[self.sent % len(self._pictures)]
                client.sendall(_BOUNDARY % len(data) + data + b"\r\n")
                self.sent += 1


def closed_port() -> str:
    """The URL of a camera that is not there."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"http://127.0.0.1:{probe.getsockname()[1]}/video.mjpg"


def _pictures(size: tuple[int, int], count: int = 16) -> list[bytes]:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        coarse = rng.integers(0, 256, (12, 16, 3), np.uint8)
        found.append(cv2.imencode(".jpg", cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC))[1].tobytes())
    return found
