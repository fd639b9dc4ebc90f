"""A line's OPC UA server, as asyncua's own client sees it on loopback."""

import signal
import socket
import threading

import pytest

pytestmark = pytest.mark.plant("asyncua", "opcua")


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Reader:
    """A client; `data` gives a value with its status, `heard` every value of what it is subscribed to."""

    def __init__(self, client):
        self.client = client
        self.client.connect()
        self.index = self.client.get_namespace_index("urn:wordsight")
        self.heard = []

    def node(self, place):
        from asyncua import ua

        return self.client.get_node(ua.NodeId(place, self.index))

    def data(self, place):
        return self.node(place).read_data_value(raise_on_bad_status=False)

    def value(self, place):
        return self.data(place).Value.Value

    def code(self, place):
        return self.data(place).StatusCode.name

    def datachange_notification(self, node, value, data):
        self.heard.append((value, data.monitored_item.Value.StatusCode.name))

    def subscribe(self, *places):
        self.client.create_subscription(20, self).subscribe_data_change([self.node(place) for place in places])


@pytest.fixture
def server(make_sink):
    return make_sink("opcua", listen=f"127.0.0.1:{free_port()}")


@pytest.fixture
def reader(server, opcua_client):
    return Reader(opcua_client(server.url))


def status(*names, state="running", step_s=0.1, scored=7):
    line = {"state": state, "scored": scored, "dropped": 2, "failures": 1, "decisions": {"good": 4, "defect": 3}}
    lines = [{"name": name, **line} for name in names or ("press-3",)]
    return {"state": "running", "engine": {"last_step_s": step_s}, "lines": lines}


def test_what_was_decided_last_is_read_with_whether_it_can_be_relied_on(server, reader, event, part_event):
    decided = ("Decision", "DecisionCode", "Score", "PartId", "EventId", "Frame", "Recipe")
    assert {reader.code(f"press-3/{name}") for name in decided} == {"BadWaitingForInitialData"}
    assert reader.value("/Heartbeat") == 0

    server.status(status())
    sent = event(5, "defect", part_id="P-7", recipe="nut")
    server.write(sent)
    assert {reader.code(f"press-3/{name}") for name in decided} == {"Good"}
    found = [reader.value(f"press-3/{name}") for name in decided]
    assert found == ["defect", 3, 0.5, "P-7", sent.event_id, 5, "nut"]
    stamp = reader.data("press-3/Decision").SourceTimestamp
    assert stamp.replace(tzinfo=None) == sent.frame.timestamp.replace(tzinfo=None)

    server.status(status(scored=8))
    assert reader.value("/Heartbeat") == 2
    counters = ("Scored", "Good", "Unsure", "Defect", "Undecided", "Dropped", "Failures")
    assert [reader.value(f"press-3/{name}") for name in counters] == [8, 4, 0, 3, 0, 2, 1]
    assert reader.value("press-3/State") == "running"

    for bad in (status(state="retrying"), status(step_s=60.0)):
        beat = reader.value("/Heartbeat")
        server.status(bad)
        assert {reader.code(f"press-3/{name}") for name in decided} == {"UncertainLastUsableValue"}
        assert reader.value("press-3/Decision") == "defect"
        assert reader.value("/Heartbeat") == beat + (bad["engine"]["last_step_s"] < 5)
        server.status(status())
        assert reader.code("press-3/Decision") == "UncertainLastUsableValue"  # until something is decided
        server.write(sent)
        assert reader.code("press-3/Decision") == "Good"

    server.write(part_event(part_id="P-9"))
    assert [reader.value(f"press-3/{name}") for name in ("Decision", "PartId", "Frame")] == ["unsure", "P-9", -1]
    server.status(status("press-3", "press-4"))  # the file was read again
    assert reader.code("press-4/Decision") == "BadWaitingForInitialData"


def test_who_is_subscribed_hears_of_decisions_and_of_the_end(server, reader, event, until):
    reader.subscribe("press-3/DecisionCode", "/State")
    assert until(lambda: len(reader.heard) == 2)
    for code, decision in ((1, "good"), (3, "defect"), (2, "unsure")):
        server.write(event(code, decision))
        assert until(lambda code=code: (code, "Good") in reader.heard)
    server.close()
    assert until(lambda: {("stopped", "Good"), (None, "BadOutOfService")} <= set(reader.heard))
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", port_of(server)), 10)


def port_of(server):
    return int(server.url.split(":")[2].split("/")[0])


def test_it_is_only_read_whoever_somebody_says_he_is_and_noise_does_no_harm(server, reader, event, opcua_client):
    from asyncua import ua

    server.write(event(0, "good"))

    def tries(client):
        node = client.get_node(ua.NodeId("press-3/Decision", reader.index))
        yield lambda: node.write_value("defect")
        yield lambda: client.get_objects_node().add_object(reader.index, "evil")
        yield lambda: client.get_objects_node().add_variable(reader.index, "evil", 1)
        yield lambda: client.delete_nodes([node])
        yield lambda: client.get_node(ua.ObjectIds.Server_ServerStatus_State).write_value(0)

    for attempt in tries(reader.client):
        with pytest.raises(ua.UaStatusCodeError, match=r"BadUserAccessDenied"):
            attempt()
    admin = opcua_client(server.url)
    admin.set_user("admin")
    admin.set_password("admin")
    with pytest.raises(ua.UaError):
        admin.connect()
    assert reader.value("press-3/Decision") == "good"

    # Noise on the port leaves it as it is.
    for noise in (b"GET / HTTP/1.1\r\n\r\n", b"HELF\xff\xff\xff\x7f" + bytes(24), bytes(4096), b"MSGF\x08\0\0\0"):
        with socket.create_connection(("127.0.0.1", port_of(server)), timeout=30) as other:
            other.sendall(noise)
    server.write(event(1, "unsure"))
    assert reader.value("press-3/Decision") == "unsure"
    assert Reader(opcua_client(server.url)).value("press-3/Decision") == "unsure"


def test_a_port_that_is_taken_is_a_failure_and_beyond_loopback_it_takes_a_word(make_sink, until):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            make_sink("opcua", listen=f"127.0.0.1:{port}")
        assert until(lambda: f"opcua {port}" not in [one.name for one in threading.enumerate()])
    with pytest.raises(ValueError, match="open_to_network = true"):
        make_sink("opcua", listen="0.0.0.0:4840")


def test_a_line_as_a_process_is_seen_while_it_runs_fails_and_ends(hall, until, opcua_client):
    pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
    port = free_port()
    hall.write(
        f'[[line]]\nname = "cam"\nsource = "test:cable"\ndefect = 0.0\n[[sink]]\ntype = "opcua"\n'
        f'listen = "127.0.0.1:{port}"\n'
    )
    child = hall.start()
    hall.until(lambda: hall.status()["sinks"][0]["written"] > 3)
    reader = Reader(opcua_client(f"opc.tcp://127.0.0.1:{port}/wordsight"))
    assert until(lambda: reader.value("cam/Decision") == "defect" and reader.code("cam/Decision") == "Good")
    beat = reader.value("/Heartbeat")
    assert until(lambda: reader.value("/Heartbeat") > beat)
    (hall.folder / "cable").unlink()
    assert until(lambda: reader.code("cam/Decision") == "UncertainLastUsableValue")
    (hall.folder / "cable").touch()
    assert until(lambda: reader.code("cam/Decision") == "Good")
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", port), 10)
