"""Basler's industrial cameras, GigE and USB, through pypylon (extra `basler`).

Without a trigger the newest frame counts and older ones are dropped in the driver (LatestImageOnly). With one every
frame is a part and none is passed over (OneByOne): a buffer that came incomplete, or frames that were lost on the way,
are failures in their place. No trigger is no fault: an `Idle` says so once a second.
"""

import importlib.util
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from wordsight.runtime.errors import MissingPart, SourceError
from wordsight.runtime.sources.frame import Failure, Frame, Idle, Item, now, problem
from wordsight.runtime.sources.options import SourceOptions

_SLICE_MS = 1000  # so long a wait lasts before a sign of life is given
_BUFFERS = 32  # frames that the driver holds for a triggered camera while the engine is busy
_RATES = ("ResultingFrameRate", "ResultingFrameRateAbs", "AcquisitionFrameRate", "AcquisitionFrameRateAbs")


def basler(text: str, options: SourceOptions) -> "Basler":
    """Return the source of "basler:SERIAL".

    Raises:
        SourceError: no serial number.
        MissingPart: pypylon is not installed.
    """
    serial = text.partition(":")[2].strip()
    if not serial:
        raise SourceError(f"expected the serial number of a camera, such as basler:21834567, got {text}")
    if importlib.util.find_spec("pypylon") is None:
        raise MissingPart("Basler's cameras need pypylon, which is not installed", "pip install 'wordsight[basler]'")
    return Basler(text, serial, options)


class Basler:
    """See the module.

    Attributes: see `wordsight.runtime.sources.Source`.
    """

    endless = True
    count: int | None = None
    skipped = 0

    def __init__(self, text: str, serial: str, options: SourceOptions) -> None:
        """Remember which; it is opened when the first frame is asked for.

        Args:
            text: what the user wrote.
            serial: the camera's number.
            options: trigger, and how long a frame may take. A software trigger is given by this source, whenever the
                frame before was taken.
        """
        self.text = text
        self.live = options.trigger == "none"
        self._serial, self._options = serial, options

    def __iter__(self) -> Iterator[Item]:
        """Give each frame, or the failure in its place; then, if the camera is lost, a failure."""
        from pypylon import genicam, pylon

        camera = None
        index = 0
        try:
            camera = self._opened(pylon)
            camera.StartGrabbing(pylon.GrabStrategy_LatestImageOnly if self.live else pylon.GrabStrategy_OneByOne)
            for item in self._items(camera, pylon):
                yield item
                index += isinstance(item, Frame)
        except genicam.GenericException as error:
            kind = "SourceError" if camera is not None else "CameraAbsent"
            yield Failure(self.text, _told(error), kind, index)
        finally:
            if camera is not None:
                camera.Close()

    def _opened(self, pylon: Any) -> Any:
        wanted = pylon.DeviceInfo()
        wanted.SetSerialNumber(self._serial)
        camera = pylon.InstantCamera(pylon.TlFactory.GetInstance().CreateDevice(wanted))
        camera.Open()
        triggered = not self.live
        if triggered or _readable(camera, "TriggerMode"):
            camera.TriggerSelector.Value = "FrameStart"
            camera.TriggerMode.Value = "On" if triggered else "Off"
        if self._options.trigger == "software":
            camera.TriggerSource.Value = "Software"
        elif triggered and camera.TriggerSource.Value == "Software":
            camera.TriggerSource.Value = "Line1"  # any other line is as the camera's own settings have it
        if triggered:
            camera.MaxNumBuffer.Value = _BUFFERS
        return camera

    def _items(self, camera: Any, pylon: Any) -> Iterator[Item]:
        converter = pylon.ImageFormatConverter()
        converter.OutputPixelFormat = pylon.PixelType_BGR8packed
        converter.OutputBitAlignment.Value = "MsbAligned"  # 12 bit to 8: the upper ones
        fps = next((rate for name in _RATES if (rate := _readable(camera, name)) and 0 < rate <= 1000), 25.0)
        opened, index, block = now(), 0, 0
        waited_s = 0.0
        asked = False
        while True:
            if self._options.trigger == "software" and not asked:
                asked = camera.WaitForFrameTriggerReady(_SLICE_MS, pylon.TimeoutHandling_Return)
                if asked:
                    camera.ExecuteSoftwareTrigger()
            result = camera.RetrieveResult(_SLICE_MS, pylon.TimeoutHandling_Return)
            if not result.IsValid():
                waited_s += _SLICE_MS / 1000
                if camera.IsCameraDeviceRemoved():
                    yield Failure(self.text, "the camera was removed", "CameraAbsent", index)
                    return
                if self._options.trigger == "hardware":
                    yield Idle(self.text, f"no trigger for {waited_s:.0f} s")
                elif waited_s >= self._options.read_timeout_s:
                    yield Failure(self.text, f"no frame within {waited_s:g} s", "SourceError", index)
                    return
                continue
            asked, waited_s = False, 0.0
            try:
                lost = result.BlockID - block - 1 if block else 0
                block = result.BlockID
                if lost > 0 and not self.live:
                    yield Failure(self.text, f"{lost} frames were lost before this one", "SourceError", index)
                if not result.GrabSucceeded():
                    told = f"a frame came incomplete: {' '.join(result.ErrorDescription.split())}"
                    yield Failure(self.text, told, "SourceError", index)
                    continue
                image = converter.Convert(result).GetArray()
            finally:
                result.Release()
            trouble = problem(image)
            if trouble:
                yield Failure(self.text, trouble, "SourceError", index)
                return
            part_id = None if self.live else _part(opened, index)
            yield Frame(image, self.text, index, now(), self.text, float(fps), part_id)
            index += 1


def _part(opened: datetime, index: int) -> str:
    # The number alone would begin again when the camera is opened again.
    return f"{opened:%Y%m%dT%H%M%S}-{index}"


def _readable(camera: Any, name: str) -> Any:
    """Return the value of a setting, None where this camera has none of that name."""
    from pypylon import genicam

    node = camera.GetNodeMap().GetNode(name)
    return node.Value if node is not None and genicam.IsReadable(node) else None


def _told(error: Exception) -> str:
    """Return pylon's own words without the place in its source code."""
    return " ".join(str(error).split(" : ")[0].split()).rstrip(" .:") or type(error).__name__
