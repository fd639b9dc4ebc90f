"""Basler's cameras, through pypylon's own emulation of one."""

import importlib.util
import threading

import numpy as np
import pytest

from wordsight.runtime.errors import MissingPart, SettingError, SourceError
from wordsight.runtime.line.reader import Reader
from wordsight.runtime.sources.basler import Basler
from wordsight.runtime.sources.frame import Frame
from wordsight.runtime.sources.options import SourceOptions
from wordsight.runtime.sources.registry import open_source

SERIAL = "0815-0000"
emulated = pytest.mark.basler


@pytest.fixture
def camera(monkeypatch):
    """Open the emulated camera with settings of its own: (trigger, options, settings) -> items, one at a time."""
    monkeypatch.setenv("PYLON_CAMEMU", "1")  # read when pypylon looks for cameras for the first time
    opened = []

    def start(trigger="none", read_timeout_s=60.0, **settings):
        original = Basler._opened

        def with_settings(self, pylon):
            device = original(self, pylon)
            for name, value in settings.items():
                getattr(device, name).Value = value
            opened.append(device)
            return device

        monkeypatch.setattr(Basler, "_opened", with_settings)
        source = open_source(f"basler:{SERIAL}", SourceOptions(trigger=trigger, read_timeout_s=read_timeout_s))
        start.items = iter(source)
        return start.items

    start.opened = opened
    yield start
    if hasattr(start, "items"):
        start.items.close()
    assert not any(device.IsOpen() for device in opened)


@pytest.fixture
def pictures(tmp_path, save_picture):
    """A folder with six pictures of their own grey levels, as the emulation takes it."""
    for at in range(6):
        save_picture(tmp_path / "parts" / f"p{at}.png", 10 + 40 * at, (64, 96))
    return {
        "ImageFilename": str(tmp_path / "parts"), "ImageFileMode": "On", "TestImageSelector": "Off",
        "PixelFormat": "BGR8Packed", "Width": 96, "Height": 64,
    }  # fmt: skip


def level(item):
    assert isinstance(item, Frame), item
    return int(np.median(item.image))


@emulated
def test_every_software_trigger_gives_the_next_part_and_none_is_passed_over(camera, pictures):
    found = camera("software", **pictures)
    items = [next(found) for _ in range(12)]
    levels = [level(item) for item in items]
    assert levels == [10 + 40 * (at % 6) for at in range(12)]
    assert [item.index for item in items] == list(range(12))
    assert len({item.part_id for item in items}) == 12
    assert items[0].image.shape == (64, 96, 3)


@emulated
def test_without_a_trigger_it_is_live_and_runs_by_itself(camera):
    items = camera()
    frames = [next(items) for _ in range(3)]
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert {frame.part_id for frame in frames} == {None}
    assert open_source(f"basler:{SERIAL}").live
    assert camera.opened[0].TriggerMode.Value == "Off"


@pytest.fixture
def read():
    """Read a source's items in a line's reader: items -> reader, and the failures that it told."""
    made = []

    def start(items):
        failures = []

        class Source:
            text, live, endless, count, skipped = f"basler:{SERIAL}", False, True, None, 0

            def __iter__(self):
                return items

        made.append(Reader("press", Source, threading.Event(), on_failure=failures.append))
        made[-1].start()
        return made[-1], failures

    yield start
    for reader in made:
        assert reader.stop(60)


@emulated
@pytest.mark.faults("trigger never comes")
def test_a_hardware_trigger_that_never_comes_is_waited_for_and_is_no_fault(camera, read, until, told):
    shown = []

    def items():
        for item in camera("hardware"):
            yield item  # is shown when the next one is asked for
            shown.append(reader.state())

    reader, failures = read(items())
    assert until(lambda: len(shown) >= 2)
    assert [now.reason for now in shown[:2]] == ["no trigger for 1 s", "no trigger for 2 s"]
    assert [(now.state, now.frames, now.failures, now.reconnects) for now in shown[:2]] == [("waiting", 0, 0, 0)] * 2
    assert (reader.take(), failures) == (None, [])
    assert (camera.opened[0].TriggerMode.Value, camera.opened[0].TriggerSource.Value) == ("On", "Line1")
    told(f"{shown[0].state}: {shown[0].reason}", lost=0, of=shown[1].frames)


@emulated
@pytest.mark.faults("buffers fail")
def test_a_buffer_that_comes_incomplete_is_a_failure_in_its_place_and_the_next_part_is_seen(
    camera, pictures, read, until, told
):
    triggers, hold = [], threading.Event()

    def items():
        for item in camera("software", ForceFailedBufferCount=1, **pictures):
            triggers.append(item)
            if len(triggers) == 2:
                camera.opened[0].ForceFailedBuffer.Execute()
            yield item
            if len(triggers) == 8:
                hold.wait(60)
                return

    reader, failures = read(items())
    taken = []
    assert until(lambda: (frame := reader.take()) and not taken.append(frame.index) and len(taken) == 7)
    (failure,) = failures
    assert failure.reason.startswith("a frame came incomplete: ")
    assert taken == list(range(7))
    state = reader.state()
    hold.set()
    assert (state.state, state.frames, state.failures) == ("running", 7, 1)
    told(
        f"{state.state}; failures {state.failures}: {failure.reason}",
        lost=len(triggers) - state.frames - state.failures,
        of=len(triggers),
    )


@emulated
def test_twelve_bits_become_eight_by_their_upper_ones(camera, pictures):
    item = next(camera("software", **{**pictures, "PixelFormat": "Mono12"}))
    assert item.image.dtype == np.uint8
    assert level(item) == pytest.approx(10, abs=2)


@emulated
@pytest.mark.faults
def test_a_camera_that_is_not_there_is_a_failure_in_one_line(monkeypatch):
    monkeypatch.setenv("PYLON_CAMEMU", "1")
    (failure,) = open_source("basler:4711")
    assert failure.kind == "CameraAbsent"
    assert "\n" not in failure.reason
    assert ".cpp" not in failure.reason


def test_without_pypylon_the_line_that_installs_it_is_told(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pypylon" else found(name))
    with pytest.raises(MissingPart, match=r"pip install 'wordsight\[basler\]'"):
        open_source("basler:21834567")


def test_a_serial_number_has_to_be_given():
    with pytest.raises(SourceError, match="expected the serial number"):
        open_source("basler:")


@pytest.mark.parametrize("text", ["0", "rtsp://cam/main", "parts", "watch:drop"])
def test_only_an_industrial_camera_takes_a_trigger(text):
    with pytest.raises(SettingError, match="only basler: takes a trigger"):
        open_source(text, SourceOptions(trigger="software"))
