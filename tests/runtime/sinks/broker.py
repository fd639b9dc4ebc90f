"""A real mosquitto on loopback, with TLS and passwords, and somebody who listens to all of it."""

import contextlib
import json
import signal
import socket
import subprocess
import threading
import time

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


def certificates(folder):
    """Make an authority, and a certificate of it for loopback: ca.pem, cert.pem, key.pem."""
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    out = ["-out", "cert.pem", "-days", "2", "-extfile", "names"]
    for words in (
        ["req", "-x509", *ec, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=plant", "-days", "2"],
        ["req", *ec, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=broker"],
        ["x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", *out],
    ):
        (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


class Broker:
    """One that may be stopped and started again; it keeps what its subscribers have not got yet."""

    def __init__(self, folder, secret, more=""):
        self.folder = folder
        certificates(folder)
        for number, (user, password) in enumerate((("line", secret), ("hall", "listens"))):
            words = ["mosquitto_passwd", "-b", *(["-c"] if not number else []), "passwords", user, password]
            subprocess.run(words, cwd=folder, check=True, capture_output=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (folder / "mosquitto.conf").write_text(
            f"listener {self.port} 127.0.0.1\ncafile {folder}/ca.pem\ncertfile {folder}/cert.pem\n"
            f"keyfile {folder}/key.pem\nallow_anonymous false\npassword_file {folder}/passwords\nuser root\n"
            f"persistence true\npersistence_location {folder}/\nmax_queued_messages 0\n{more}"
        )
        self.process = None
        self.start()

    @property
    def url(self):
        return f"mqtts://127.0.0.1:{self.port}"

    def start(self):
        self.log = open(self.folder / "broker.log", "ab")
        words = ["mosquitto", "-c", str(self.folder / "mosquitto.conf")]
        self.process = subprocess.Popen(words, stdout=self.log, stderr=self.log)
        for _ in range(6000):
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        raise AssertionError((self.folder / "broker.log").read_text())

    def stop(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait(60)
        self.log.close()

    def hang(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)


class Slow:
    """A way to a broker on which a new connection hears nothing until `opened` is set."""

    def __init__(self, broker):
        self.opened, self.connections = threading.Event(), 0
        self._port, self._ends = broker.port, []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"mqtts://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near):
        self.opened.wait(60)
        far = socket.create_connection(("127.0.0.1", self._port))
        self._ends += [near, far]
        for one, other in ((near, far), (far, near)):
            threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one, other):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)

    def close(self):
        for end in (self._listener, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Listener:
    """Keeps what is published under a topic: (topic, payload, retained)."""

    def __init__(self, broker, topic="wordsight/#"):
        self.heard = []
        self._ready = threading.Event()
        self._topic = topic
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="hall", protocol=MQTTv5)
        self._client.username_pw_set("hall", "listens")
        self._client.tls_set(str(broker.folder / "ca.pem"))
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = lambda client, data, message: self.heard.append(
            (message.topic, json.loads(message.payload), message)
        )
        kept = Properties(PacketTypes.CONNECT)
        kept.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", broker.port, clean_start=False, properties=kept)
        self._client.loop_start()
        assert self._ready.wait(60)

    def events(self, last="event"):
        return [payload for topic, payload, _ in list(self.heard) if topic.endswith("/" + last)]

    def states(self):
        return [payload["state"] for topic, payload, _ in list(self.heard) if topic == "wordsight/status"]

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()
