"""A line as a process, with a controller and Prometheus beside it: what they see while it runs, fails and ends."""

import http.client
import importlib.util
import signal
import socket
import sys
from pathlib import Path

import pytest

pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
pytestmark = [pytest.mark.plant("pymodbus", "modbus"), pytest.mark.plant("prometheus_client", "metrics")]
LINE = """
[[line]]
name = "cam"
source = "test:cable"
defect = 1.0

[[recipe]]
name = "nut"
number = 8
defect = 0.0

[[sink]]
type = "modbus"
url = "modbus://127.0.0.1:{plc}"
timeout_s = 30
recipe = 5
recipe_in_force = 6

[[sink]]
type = "metrics"
listen = "127.0.0.1:{metrics}"
"""


@pytest.fixture
def plc():
    spec = importlib.util.spec_from_file_location("plc_of_tests", Path(__file__).with_name("plc.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["plc_of_tests"] = module
    spec.loader.exec_module(module)
    made = module.Plc()
    yield made
    made.stop()


def test_a_controller_and_prometheus_see_a_line_run_fail_change_its_recipe_and_end(hall, plc):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    hall.write(LINE.format(plc=plc.port, metrics=port))
    child = hall.start()

    def page():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        except OSError:
            return ""
        finally:
            connection.close()

    def figure(name):
        return next((float(line.split()[-1]) for line in page().splitlines() if line.startswith(name)), 0.0)

    hall.until(lambda: plc.registers()[1] == 1 and plc.registers()[3] > 3)
    beat = plc.registers()[0]
    hall.until(lambda: plc.registers()[0] > beat)
    hall.until(lambda: figure('wordsight_line_frames_total{line="cam"}') > 3)
    hall.until(lambda: figure('wordsight_decision_latency_seconds_count{line="cam"}') > 3)  # frames come before events
    hall.until(lambda: figure('wordsight_sink_state{sink="modbus",state="ok",type="modbus"}') == 1)

    plc.set(5, 8)
    hall.until(lambda: plc.registers()[6] == 8)
    assert hall.line("cam")["recipe"] == "nut"
    hall.until(lambda: plc.coils() == [False, False, True] and plc.registers()[2] == 3)

    (hall.folder / "cable").unlink()
    hall.until(lambda: plc.registers()[1] == 0)
    assert plc.coils() == [False, False, True]
    hall.until(lambda: figure('wordsight_line_state{line="cam",state="running"}') == 0)
    beat = plc.registers()[0]
    hall.until(lambda: plc.registers()[0] > beat)  # the engine steps on, although its camera is away

    (hall.folder / "cable").touch()
    hall.until(lambda: plc.registers()[1] == 1)
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    assert plc.registers()[1:3] == [0, 3]
    assert page() == ""
