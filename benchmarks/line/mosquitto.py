"""A mosquitto of our own on loopback that goes, hangs and comes back, and somebody who hears all that it is given."""

import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from wordsight.benchmarks.children import held_back
from wordsight.runtime.errors import MissingPart, WordsightError

try:
    from paho.mqtt.client import Client, MQTTv5
    from paho.mqtt.enums import CallbackAPIVersion
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties
except ModuleNotFoundError as error:
    raise MissingPart("the broker's table needs paho-mqtt", "pip install 'wordsight[mqtt]'") from error

_START_S = 60.0


class Broker:
    """Keeps over a restart what its subscribers have not got yet. Without TLS and passwords: those are the tests'.

    Attributes:
        port: on loopback.
    """

    def __init__(self, folder: Path) -> None:
        """Take a port; nothing is started.

        Raises:
            MissingPart: there is no mosquitto.
        """
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise MissingPart("the broker's table needs mosquitto", "apt-get install mosquitto")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._words, self._log = [program, "-c", str(folder / "mosquitto.conf")], folder / "mosquitto.log"
        (folder / "mosquitto.conf").write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n"
            f"persistence_location {folder}/\nmax_queued_messages 0\n",
            encoding="utf-8",
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens.

        Raises:
            WordsightError: it does not.
        """
        with open(self._log, "ab") as log, held_back():
            self._process = subprocess.Popen(self._words, stdout=log, stderr=log)
        end_s = time.monotonic() + _START_S
        while time.monotonic() < end_s and self._process.poll() is None:
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise WordsightError(f"mosquitto did not start: {' / '.join(self._log.read_text().splitlines()[-3:])[:300]}")

    def stop(self) -> None:
        """End it; it writes down what it has."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait(_START_S)
            self._process = None

    def crawl(self, seconds: float) -> None:
        """Let it work for a tenth of the time only."""
        assert self._process is not None
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self._process.send_signal(signal.SIGSTOP)
            time.sleep(0.45)
            self._process.send_signal(signal.SIGCONT)
            time.sleep(0.05)


class Listener:
    """Hears every event, also those that come while it is being connected anew.

    Attributes:
        heard: line, number of the frame and id of each message, as they came.
    """

    def __init__(self, broker: Broker, topic: str) -> None:
        """Subscribe.

        Raises:
            WordsightError: the broker does not take it.
        """
        self.heard: list[tuple[str, int, str]] = []
        ready = threading.Event()
        client = Client(CallbackAPIVersion.VERSION2, client_id="listener", protocol=MQTTv5)
        client.reconnect_delay_set(1, 1)
        client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        client.on_subscribe = lambda *_: ready.set()
        client.on_message = self._hear
        kept = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        kept.SessionExpiryInterval = 3600
        client.connect("127.0.0.1", broker.port, clean_start=False, properties=kept)
        client.loop_start()
        self._client = client
        if not ready.wait(_START_S):
            raise WordsightError("mosquitto takes no subscriber")

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, client: Any, data: Any, message: Any) -> None:
        event = json.loads(message.payload)
        self.heard.append((event["line"], event["frame"], event["event_id"]))
