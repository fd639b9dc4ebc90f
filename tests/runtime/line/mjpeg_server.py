"""A camera that sends Motion JPEG over HTTP, and what may become of it."""

import base64
import contextlib
import os
import socket
import threading
from urllib.parse import unquote

import cv2
import numpy as np

INTERVAL_S = 0.01


class MjpegServer:
    """Gives every client a running picture: its left half is plain, and from one to the next of another grey level.

    Attributes:
        size: height and width of the pictures.
        frozen: the same picture again and again.
        silent: connections are taken and nothing is said.
        spoil: called with each part; what it gives is sent instead; None ends the connection.
        user, password: who is let in; None lets in everybody.
        clients: connections so far.
    """

    def __init__(self):
        self.size, self.frozen, self.silent, self.spoil = (48, 64), False, False, lambda part: part
        self.user = self.password = None
        self.clients = self.sent = 0
        self._open, self._listener, self.port = [], _bound(0), 0
        self.port = self._listener.getsockname()[1]
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/video.mjpg"

    def start(self):
        self._listener.listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self):
        """Refuse whoever comes, and cut off who is there; the port is kept, or somebody else might get it."""
        with contextlib.suppress(OSError):  # stopped before
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._listener = _bound(self.port)
        for client in self._open:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                self._open.append(client)
                if listener is not self._listener:  # stopped in this moment
                    client.close()
                    return
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with contextlib.suppress(OSError), client:
            asked = client.recv(8192).decode()
            self.clients += 1
            if self.silent:
                client.recv(1)
                return
            if self.user is not None and f"Basic {self._login()}" not in unquote(asked):
                client.sendall(b'HTTP/1.0 401 No\r\nWWW-Authenticate: Basic realm="c"\r\nContent-Length: 0\r\n\r\n')
                return
            client.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n")
            pause = threading.Event()
            while (part := self.spoil(self._part())) is not None:
                client.sendall(part)
                pause.wait(INTERVAL_S)

    def _login(self):
        return base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def _part(self):
        self.sent += not self.frozen
        image = np.full((*self.size, 3), self.sent * 37 % 250, np.uint8)
        right = image[:, self.size[1] // 2 :]  # what makes the file long, so that half of it is half a picture
        right[...] = np.random.default_rng(self.sent).integers(0, 255, right.shape, np.uint8)
        data = cv2.imencode(".jpg", image)[1].tobytes()
        return b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data) + data + b"\r\n"


def _bound(port):
    """Return a socket that has a port of loopback, and does not listen: connections are refused."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    return made


def cut(part):
    """Return a part whose picture ends in its middle, as a camera sends it that lacks memory."""
    _, _, data = part.partition(b"\r\n\r\n")
    data = data[: len(data) // 2]
    return b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data) + data + b"\r\n"


def noise(part):
    """Return a part whose picture is random bytes."""
    head, _, data = part.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n" + os.urandom(len(data) - 2) + b"\r\n"


def torn(part):
    """Return a part in which nothing stands where it should."""
    return os.urandom(len(part))
