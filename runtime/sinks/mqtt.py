"""Events to an MQTT 5 broker, each at least once, in order, through its absence.

    <topic>/<line>/event    one frame's event          not retained
    <topic>/<line>/part     one part's                 not retained
    <topic>/status          how this sink does         retained; the Last Will says "offline"

What a connection did not bring away is sent again from the disk by the next one.
"""

import contextlib
import json
import os
import re
import secrets
import ssl
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from wordsight.runtime.errors import OutputError
from wordsight.runtime.files import whole_file
from wordsight.runtime.sinks.forward import Forwarder, ForwardingSink, ForwardOptions
from wordsight.runtime.sinks.mqtt_connection import TURN_S, Connection, Login
from wordsight.runtime.sinks.registry import SinkContext
from wordsight.runtime.sinks.secrets import check_encrypted, secrets_of

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_TELL_S = 10.0  # the status is published anew so often at most


class MqttOptions(ForwardOptions):
    """What a sink of type "mqtt" can be told."""

    url: str = Field(description="the broker, mqtts://host[:8883] with TLS or mqtt://host[:1883] without, no password")
    topic: str = Field(
        "wordsight", min_length=1, max_length=256, description="what all topics begin with, without + and #"
    )
    ca: Path | None = Field(None, description="certificates of who may vouch for the broker; without it the system's")
    cert: Path | None = Field(None, description="a certificate of our own")
    key: Path | None = Field(None, description="its key, a file that only its owner can read")
    client_id: str | None = Field(None, max_length=128, description="without it one that is made up and kept")
    keepalive_s: int = Field(30, ge=5, le=3600, description="seconds after which a silent connection is tried out")

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            good = parts.scheme in _PORTS and parts.hostname and "@" not in url and parts.port != 0
        except ValueError:
            good = False
        if not good or parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError("expected mqtts://host[:port] or mqtt://host[:port], without user and password")
        return url

    @field_validator("topic")
    @classmethod
    def _topic(cls, topic: str) -> str:
        if re.search(r"[+#\x00-\x1f\x7f]", topic) or topic.startswith(("$", "/")) or topic.endswith("/"):
            raise ValueError("expected a topic without + and #, that neither begins nor ends with a slash")
        return topic


class Mqtt(ForwardingSink):
    """The sink of type "mqtt".

    Attributes:
        counts: "sent", events that the broker took; those of the spool; "refused", events that it can never take.
    """

    Options = MqttOptions

    def __init__(
        self, options: MqttOptions, context: SinkContext, environment: Mapping[str, str] | None = None
    ) -> None:
        """Open the spool, and begin to send what waits in it.

        Raises:
            OutputError: the spool cannot be used.
            SettingError: secrets or certificates cannot be read, or would go without TLS.
        """
        self._options, self._context = options, context
        found = secrets_of(
            context, options.credentials, ("user", "password"), os.environ if environment is None else environment
        )
        parts = urlsplit(options.url)
        self._host, self._port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        encrypted = parts.scheme == "mqtts"
        if found:
            check_encrypted(options.url, self._host, encrypted, options.unencrypted)
        tls = _tls(options, context.folder) if encrypted else None
        self._forward = Forwarder(context, options, self._deliver)
        try:
            self._client_id = options.client_id or _kept_id(self._forward.spool.path / "client")
        except BaseException:
            self._forward.close()
            raise
        self._login = Login(found.get("user"), found.get("password"), tls)
        self._forward.start()

    def _deliver(self, forward: Forwarder) -> None:
        connection = Connection(self._login, self._client_id, self._will(), forward)
        try:
            connection.open(self._host, self._port, self._options.timeout_s, self._options.keepalive_s)
            forward.went_well()
            forward.spool.rewind()
            told: dict[str, Any] = {}
            told_s = 0.0
            while not forward.done():
                self._note(connection)
                state = {"overflowed": forward.spool.counts["overflowed"], "refused": self._forward.aside.count}
                if connection.room > 0 and (not told_s or (state != told and time.monotonic() - told_s >= _TELL_S)):
                    connection.publish(None, self._status_topic, self._status("online", state), retain=True)
                    told, told_s = state, time.monotonic()
                lines = forward.spool.read(connection.room) if connection.room > 0 else []
                for number, line in lines:
                    self._publish(connection, number, line)
                if not lines:
                    forward.pause(TURN_S)
            self._note(connection)
            connection.finish(self._status_topic, self._status("stopped", {}))
        finally:
            connection.close()

    def _publish(self, connection: Connection, number: int, line: bytes) -> None:
        try:
            event = json.loads(line)
            last = {"frame": "event", "part": "part"}[event["kind"]]
            name = re.sub(r"[+#/\x00]", "_", event.get("line") or "line")
        except (ValueError, KeyError, TypeError, AttributeError):
            self._forward.aside.write(line, "no event: the disk spoiled it")
            self._forward.passed(number)
            return
        topic = f"{self._options.topic}/{name}/{last}"
        if len(line) + len(topic.encode()) + 64 > connection.most_bytes:
            self._forward.aside.write(line, f"longer than the {connection.most_bytes} bytes that the broker takes")
            self._forward.passed(number)
            return
        connection.publish(number, topic, line)

    def _note(self, connection: Connection) -> None:
        for number in connection.taken():
            self._forward.passed(number)
            self._sent += 1

    @property
    def _status_topic(self) -> str:
        return f"{self._options.topic}/status"

    def _status(self, state: str, more: Mapping[str, int]) -> bytes:
        stamp = datetime.now(timezone.utc).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
        told = {"schema": 1, "state": state, "time": stamp, "lines": list(self._context.lines), **more}
        return json.dumps(told, ensure_ascii=False).encode()

    def _will(self) -> tuple[str, bytes]:
        told = {"schema": 1, "state": "offline", "lines": list(self._context.lines)}
        return self._status_topic, json.dumps(told, ensure_ascii=False).encode()


def _tls(options: MqttOptions, folder: Path) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=None if options.ca is None else str(folder / options.ca))
        if options.cert is not None:
            key = None if options.key is None else str(folder / options.key)
            # An empty password: OpenSSL would ask at the terminal for that of a key that has one.
            context.load_cert_chain(str(folder / options.cert), key, password="")
    except OSError as error:
        told = (error.strerror or str(error)).lower()
        raise OutputError(f"cannot use the certificates of the sink (ca, cert, key): {told}") from error
    return context


def _kept_id(path: Path) -> str:
    """Return the id of this client: the same after a restart, so that the broker ends what is left of the old one."""
    with contextlib.suppress(FileNotFoundError):
        kept = path.read_text("ascii", "replace").strip()
        if re.fullmatch(r"wordsight-[0-9a-f]{12}", kept):
            return kept
    made = f"wordsight-{secrets.token_hex(6)}"
    with whole_file(path, "w") as file:
        file.write(made + "\n")
    return made
