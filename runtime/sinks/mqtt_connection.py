"""One connection to an MQTT 5 broker, and what of that which was sent it has taken.

A connection is a client of its own: what one left unfinished is sent again by us, from the disk, and by nobody else.
"""

import contextlib
import queue
import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from wordsight.runtime.errors import MissingPart
from wordsight.runtime.sinks.forward import Away, Forwarder

try:
    from paho.mqtt.client import Client, MQTTv5
    from paho.mqtt.enums import CallbackAPIVersion
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties
except ModuleNotFoundError as error:
    raise MissingPart("sinks of type mqtt need paho-mqtt", "pip install 'wordsight[mqtt]'") from error

TURN_S = 0.2
"""Between two looks at what a connection has to say, at most."""
_WINDOW = 64  # events that were sent and not yet acknowledged


@dataclass(frozen=True)
class Login:
    """What the broker is shown, and how it is spoken to: without TLS where there is none."""

    user: str | None = field(repr=False)
    password: str | None = field(repr=False)
    tls: ssl.SSLContext | None = field(repr=False)


class Connection:
    """One connection, until it is lost. paho's thread only hands over what it hears; all else is ours.

    Attributes:
        room: messages that may be published now.
        most_bytes: of one message, as the broker says.
    """

    def __init__(self, login: Login, client_id: str, will: tuple[str, bytes], forward: Forwarder) -> None:
        """Prepare; `open` connects.

        Args:
            login: see there.
            client_id: that the broker knows us by.
            will: topic and payload that it publishes, retained, when the connection is lost.
            forward: woken by what is heard.
        """
        self._wake, self._pause = forward.wake, forward.pause
        self._forward = forward
        self._answers: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        self._numbers: dict[int, int | None] = {}  # by paho's own number of a message
        self._connected: tuple[Any, Any] | None = None
        self._lost: str | None = None
        self._answer_s = time.monotonic()
        self._timeout_s = 10.0
        self.room, self.most_bytes = _WINDOW, 2**28
        client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTv5, reconnect_on_failure=False)
        client.max_queued_messages_set(0)
        client.max_inflight_messages_set(0)  # we count them ourselves
        if login.user is not None or login.password is not None:
            client.username_pw_set(login.user, login.password)
        if login.tls is not None:
            client.tls_set_context(login.tls)
        client.will_set(will[0], will[1], qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        self._client = client

    def open(self, host: str, port: int, timeout_s: float, keepalive_s: int) -> None:
        """Connect.

        Args:
            host: of the broker.
            port: of the broker.
            timeout_s: seconds without an answer after which it is `Away`, now and later.
            keepalive_s: seconds after which a silent connection is tried out.

        Raises:
            Away: it is not there, or it refuses us.
        """
        where, self._timeout_s = f"{host}:{port}", timeout_s
        self._client.connect_timeout = timeout_s
        try:
            self._client.connect(host, port, keepalive=keepalive_s, clean_start=True)
        except ssl.SSLCertVerificationError as error:
            raise Away(f"the certificate of {where} is refused: {error.verify_message}") from error
        except OSError as error:
            raise Away(f"cannot reach the broker {where}: {(error.strerror or str(error)).lower()}") from error
        self._client.loop_start()
        end_s = time.monotonic() + timeout_s
        while self._connected is None:
            if self._lost is not None:
                raise Away(f"the broker {where} closed the connection before it answered")
            if time.monotonic() >= end_s or self._forward.done():
                raise Away(f"the broker {where} does not answer")
            self._pause(TURN_S)
        reason, properties = self._connected
        if reason.is_failure:
            raise Away(f"the broker {where} refuses us: {str(reason).lower()}")
        if getattr(properties, "MaximumQoS", 2) < 1:
            raise Away(f"the broker {where} takes no messages of QoS 1")
        self.room = min(_WINDOW, getattr(properties, "ReceiveMaximum", 65535))
        self.most_bytes = getattr(properties, "MaximumPacketSize", self.most_bytes)
        self._answer_s = time.monotonic()

    def publish(self, number: int | None, topic: str, payload: bytes, retain: bool = False) -> None:
        """Hand over one message; `taken` gives its number when the broker has it."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ContentType = "application/json"
        properties.PayloadFormatIndicator = 1
        if not self._numbers:
            self._answer_s = time.monotonic()
        info = self._client.publish(topic, payload, qos=1, retain=retain, properties=properties)
        self._numbers[info.mid] = number
        self.room -= 1

    def taken(self) -> Iterable[int]:
        """Give the numbers of messages that the broker has, since the last call.

        Raises:
            Away: the connection is lost, the broker refuses a message, or it does not answer.
        """
        while not self._answers.empty():
            mid, reason = self._answers.get()
            number = self._numbers.pop(mid, None)
            self.room += 1
            self._answer_s = time.monotonic()
            if reason.is_failure:
                what = "an event" if number is not None else "our status"
                raise Away(f"the broker refuses {what}: {str(reason).lower()}; look at what we may publish there")
            if number is not None:
                yield number
        if self._lost is not None:
            raise Away(self._lost)
        if self._numbers and time.monotonic() - self._answer_s > self._timeout_s:
            raise Away("the broker does not acknowledge what it is sent")

    def finish(self, topic: str, status: bytes) -> None:
        """Leave a last status, wait a moment until the broker has it, and say goodbye: no Last Will.

        What is acknowledged meanwhile is not noted, and sent once more after the next start.
        """
        end_s = time.monotonic() + 1.0
        told = False
        while True:
            if self.room > 0 and not told:  # once at least, however late a busy machine comes to it
                self.publish(None, topic, status, retain=True)
                told = True
            if time.monotonic() >= end_s or (told and not self._numbers):
                break
            self._pause(0.05)
            for _ in self.taken():
                pass
        self._client.disconnect()
        while self._lost is None and time.monotonic() < end_s + 0.5:
            self._pause(0.05)

    def close(self) -> None:
        """Drop the connection, however it is; the broker publishes the Last Will unless there was a goodbye."""
        channel: Any = self._client.socket()
        if channel is not None:  # else paho's thread would go on until what it has was sent
            with contextlib.suppress(OSError):
                channel.shutdown(socket.SHUT_RDWR)
        self._client.loop_stop()

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._connected = (reason, properties)
        self._wake.set()

    def _on_publish(self, client: Any, data: Any, mid: int, reason: Any, properties: Any) -> None:
        self._answers.put((mid, reason))
        self._wake.set()

    def _on_disconnect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._lost = f"the connection to the broker is lost: {str(reason).lower()}"
        self._wake.set()
