"""GStreamer pipelines, where OpenCV is built with GStreamer: a Jetson's CSI cameras and its decoders in hardware."""

import re
from typing import Any

from wordsight.runtime.errors import MissingPart, SourceError
from wordsight.runtime.opencv import feature, load_cv2, silenced
from wordsight.runtime.sources.options import SourceOptions
from wordsight.runtime.sources.stream import Live, limits
from wordsight.runtime.urls import masked

_PLACES = re.compile(r"\{(user|password)\}")


def gst(text: str, options: SourceOptions) -> Live:
    """Return the source of "gst:PIPELINE", which is live; its last element is an `appsink`.

    `{user}` and `{password}` in the pipeline stand for the credentials, which are put in at the moment of opening:
    "gst:rtspsrc location=rtsp://cam/main user-id={user} user-pw={password} ! ... ! appsink drop=true max-buffers=1".

    Raises:
        SourceError: no pipeline, or one without an `appsink`.
        MissingPart: OpenCV is built without GStreamer, as pip's are.
    """
    pipeline = text.partition(":")[2].strip()
    if not re.search(r"!\s*appsink\b", pipeline):
        raise SourceError(f"expected a pipeline that ends in ! appsink, got {masked(text)}")
    load_cv2()
    if feature("GStreamer") is None:
        raise MissingPart(
            "gst: needs an OpenCV that is built with GStreamer, which pip's are not", "sudo apt install python3-opencv"
        )

    def opened(cv2: Any) -> Any:
        with silenced(cv2):
            return cv2.VideoCapture(_filled(pipeline, options), cv2.CAP_GSTREAMER, limits(cv2, options))

    def absence(took_s: float) -> str:
        return "the pipeline does not start: try it with gst-launch-1.0, fakesink in place of appsink"

    return Live(masked(text), "gst pipeline", opened, absence)


def _filled(pipeline: str, options: SourceOptions) -> str:
    """Return a pipeline with user and password in it, quoted as gst-launch reads them."""
    words = {"user": options.user or "", "password": options.password or ""}

    def quoted(place: re.Match[str]) -> str:
        word = words[place.group(1)].replace("\\", "\\\\").replace('"', '\\"')
        return f'"{word}"'

    return _PLACES.sub(quoted, pipeline)
