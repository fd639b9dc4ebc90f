"""A user and a password full of signs, and a search for them in everything that is written, said and raised."""

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from urllib.parse import quote, quote_plus

import pytest

from wordsight.runtime.config.check import check
from wordsight.runtime.config.opening import open_line_source, source_options
from wordsight.runtime.config.read import read_line_file
from wordsight.runtime.config.secrets import credentials
from wordsight.runtime.errors import WordsightError
from wordsight.runtime.sources.options import SourceOptions
from wordsight.runtime.sources.registry import open_source

pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
pytestmark = pytest.mark.faults

# Words at the beginning, in the middle and at the end: what cuts an address at one of the signs leaves another.
USER = "Uq7n@/?#[]%&ü \"'Uw3k"
PASSWORD = "Pz8p@ss:/Pk5m?#[]%&ü \"'Pv2x"
INLINE = "Jr6y@ss:/Jt4b?#[]%&ü\"'Jd9h"  # in an address itself, where somebody put it against the advice
WORDS = ("Uq7n", "Uw3k", "Pz8p", "Pk5m", "Pv2x", "Jr6y", "Jt4b", "Jd9h")


def forms(secret):
    """Return every form in which a text might be written somewhere."""
    return {
        secret, quote(secret), quote(secret, safe=""), quote_plus(secret), quote(secret, safe="").lower(),
        json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1],
        secret.replace('"', '""'), secret.encode().hex(),
    }  # fmt: skip


def in_base64(secret):
    """Return what base64 writes of a text wherever it begins within what is written, without the signs at the ends."""
    found = set()
    for before in range(3):
        encoded = base64.b64encode(b"x" * before + secret.encode()).decode().rstrip("=")
        found |= {middle := encoded[4 if before else 0 : -2], middle.replace("+", "-").replace("/", "_")}
    return found


SECRETS = sorted(
    {*WORDS, *(form for secret in (USER, PASSWORD, INLINE) for form in forms(secret) | in_base64(secret))}
)  # fmt: skip


def leaks(data):
    """Return the forms of a secret that occur in bytes or in a text."""
    data = data.encode(errors="surrogateescape") if isinstance(data, str) else data
    return [form for form in SECRETS if form.encode() in data]


def test_the_search_finds_what_leaks(tmp_path):
    for secret in (USER, PASSWORD, INLINE):
        login = base64.b64encode(f"{USER}:{secret}".encode()).decode()
        for text in (
            f"cannot open http://{USER}:{secret}@cam/", f"http://{quote(USER)}:{quote(secret, safe='')}@cam/",
            json.dumps({"password": secret}), repr({"password": secret}), f"Authorization: Basic {login}",
            base64.b64encode(secret.encode()).decode(), base64.b64encode(f"ab{secret}".encode()).decode(),
            base64.urlsafe_b64encode(f"a{secret}".encode()).decode(), f"ss:/{secret[12:]}",
        ):  # fmt: skip
            assert leaks(f"12:00 press-3 {text} refused"), text
            (tmp_path / "leak").write_bytes(b"\0\xff" + text.encode() + b"\xff")
            assert leaks((tmp_path / "leak").read_bytes()), text
    assert not leaks("cannot open http://***@cam/: connection refused")


@pytest.fixture
def server(load):
    module = load("line/mjpeg_server.py")
    module.INTERVAL_S = 0.1
    made = module.MjpegServer()
    made.user, made.password = USER, PASSWORD
    yield made
    made.stop()


def environment(*lines):
    return {f"WORDSIGHT_{name.upper()}_{key}": value for name in lines
            for key, value in (("USER", USER), ("PASSWORD", PASSWORD))}  # fmt: skip


@pytest.fixture
def lines(hall, server):
    """A line's file whose lines meet every fault that an address can meet; gives the environment."""
    sources = {
        "right": server.url,
        "wrong": server.url,
        "refused": "http://127.0.0.1:9/video.mjpg",
        "rtsp": "rtsp://127.0.0.1:9/main",
        "badport": "http://127.0.0.1:99999/video.mjpg",
        "noname": "http://camera.invalid/video.mjpg",
        "nowhere": "http://192.0.2.1/video.mjpg",
    }
    limits = "open_timeout_s = 1.0\nread_timeout_s = 1.0\n"  # a busy machine may be slower: not for what is to be read
    text = "".join(
        f'\n[[line]]\nname = "{name}"\nsource = "{source}"\n' + limits * (name != "right")
        for name, source in sources.items()
    )
    for kind in ("jsonl", "csv"):
        text += f'\n[[sink]]\ntype = "{kind}"\npath = "out.{kind}"\n'
    text += '\n[[sink]]\ntype = "snapshots"\nfolder = "shots"\nevery = true\n'
    hall.write(text)
    return {**environment(*sources), "WORDSIGHT_WRONG_PASSWORD": PASSWORD[::-1] + PASSWORD}


def command(hall, *words, **more):
    return subprocess.run(
        [sys.executable, "-m", "wordsight.runtime", *words], cwd=hall.folder, capture_output=True, timeout=180,
        check=False, env={**os.environ, **more},
    )  # fmt: skip


def test_nothing_that_a_line_writes_or_says_holds_a_credential(hall, server, lines):
    child = hall.start("--debug", **lines)
    hall.until(lambda: hall.line("right")["scored"] > 3)
    faulty = [line["name"] for line in hall.status()["lines"] if line["name"] != "right"]
    hall.until(lambda: all(hall.line(name)["state"] == "retrying" and hall.line(name)["failures"] for name in faulty))
    server.user, server.password = "nobody", "else"
    server.stop()
    hall.until(lambda: hall.line("right")["state"] == "retrying")
    child.send_signal(signal.SIGTERM)
    said = "".join(child.communicate(timeout=120))
    assert child.returncode == 0, said
    assert "refused" in said  # there were errors, and they were told
    assert leaks(said) == []
    status = hall.status()
    assert {entry["who"] for entry in status["errors"]} >= set(faulty)
    written = [path for path in hall.folder.rglob("*") if path.is_file() and path.name != "line.toml"]
    assert {"out.jsonl", "out.csv", "status.json"} <= {path.name for path in written}
    assert any(path.parent.name == "shots" for path in written)
    assert {str(path): found for path in written if (found := leaks(path.read_bytes()))} == {}
    assert not [path for path in written if leaks(str(path.relative_to(hall.folder)))]


@pytest.mark.plant("asyncua", "opcua")
@pytest.mark.plant("prometheus_client", "metrics")
def test_nothing_that_a_plant_reads_of_a_line_holds_a_credential(hall, lines, opcua_client):
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    text = (hall.folder / "line.toml").read_text()
    for kind, port in zip(("metrics", "opcua"), ports, strict=True):
        text += f'\n[[sink]]\ntype = "{kind}"\nlisten = "127.0.0.1:{port}"\n'
    (hall.folder / "line.toml").write_text(text)
    hall.start(**lines)
    hall.until(lambda: hall.line("right")["scored"] > 3 and hall.line("refused")["failures"])
    hall.until(
        lambda: all(sink["written"] > 3 for sink in hall.status()["sinks"] if sink["type"] in ("metrics", "opcua"))
    )
    connection = http.client.HTTPConnection("127.0.0.1", ports[0], timeout=60)
    connection.request("GET", "/metrics")
    page = connection.getresponse().read().decode()
    connection.close()
    assert 'line="refused"' in page
    client = opcua_client(f"opc.tcp://127.0.0.1:{ports[1]}/wordsight")
    client.connect()
    told, todo = [], [client.get_objects_node()]
    while todo:
        node = todo.pop()
        told += [str(node.nodeid), str(node.read_browse_name())]
        if node.nodeid.NamespaceIndex:  # ours
            told += [str(data) for data in client.read_attributes([node])]
        todo += [child for child in node.get_children() if child.nodeid.NamespaceIndex]
    client.disconnect()
    assert any("refused/State" in one for one in told)
    assert any("retrying" in one for one in told)
    assert leaks(page + "".join(told)) == []


def test_no_command_says_a_credential(hall, server, lines):
    good = quote(USER, safe=""), quote(PASSWORD, safe="")
    told = [
        command(hall, "config", "check", "line.toml", **lines),
        command(hall, "config", "check", "line.toml", "--json", "checked.json", **lines),
        command(hall, "run", "m.onnx", f"http://{good[0]}:{good[1]}@127.0.0.1:9/video.mjpg", "--debug"),
        command(hall, "run", "m.onnx", f"http://{USER}:{PASSWORD}@127.0.0.1:{server.port}/", "--errors", "e.jsonl"),
        command(hall, "run", "m.onnx", f"ftp://{USER}:{PASSWORD}@127.0.0.1/", "--debug"),
    ]
    assert [done.returncode for done in told] == [0, 0, 2, 2, 2]
    for scheme in ("rtsp", "ftp"):  # in an address: refused, whatever it is
        source = (
            f"{scheme}://{quote(USER, safe='')}:{quote(INLINE, safe='')}@127.0.0.1/?password={quote(INLINE, safe='')}"
        )
        (hall.folder / "line.toml").write_text(f'model = "m.onnx"\n[[line]]\nname = "a"\nsource = "{source}"\n')
        told += [
            command(hall, "config", "check", "line.toml"),
            command(hall, "run", "--config", "line.toml", "--debug"),
        ]
    (hall.folder / "line.toml").write_text('model = "m.onnx"\n[[line]]\nname = "right"\nsource = "rtsp://cam/"\n')
    told.append(command(hall, "config", "check", "line.toml", WORDSIGHT_RIGHT_PASSWORD=PASSWORD))  # without a user
    assert [done.returncode for done in told[5:]] == [2] * 5
    for done in told:
        assert done.stdout + done.stderr
        assert leaks(done.stdout + done.stderr) == [], done
    assert leaks((hall.folder / "checked.json").read_bytes()) == []
    assert leaks((hall.folder / "e.jsonl").read_bytes()) == []


def test_no_object_shows_a_credential_and_no_exception_holds_one(hall, lines, monkeypatch):
    for key, value in lines.items():
        monkeypatch.setenv(key, value)
    loaded = read_line_file(hall.folder / "line.toml")
    checked = check(loaded)
    options = [source_options(loaded, line) for line in loaded.spec.line]
    assert options[0].password == PASSWORD
    kept = [credentials(line, hall.folder) for line in loaded.spec.line]
    sources = [open_line_source(loaded, line) for line in loaded.spec.line]
    for item in (*options, *kept, *sources, checked.sources, [source.text for source in sources]):
        assert leaks(f"{item!r} {item}") == [], type(item)
    raised = []
    for make in (
        lambda: SourceOptions(password=PASSWORD),
        lambda: SourceOptions(user=USER, password=PASSWORD, open_timeout_s=-1),
        lambda: SourceOptions(user=USER, password=PASSWORD, part_id="("),
        lambda: open_source(f"ftp://{USER}:{PASSWORD}@cam/", SourceOptions(user=USER, password=PASSWORD)),
        lambda: open_source("http://", SourceOptions(user=USER, password=PASSWORD)),
    ):
        with pytest.raises(WordsightError) as error:
            make()
        raised.append(error.value)
    for error in raised:
        chain = [error, error.__cause__, error.__context__]
        assert leaks(" ".join(f"{item!r} {item} {getattr(item, 'args', '')}" for item in chain)) == []
    for source in sources[2:6]:
        assert leaks(repr(list(source))) == [], source.text
