"""Numbers of frames that run on when their source was opened again and begins at 0."""

from dataclasses import replace

from wordsight.runtime.sources.frame import Frame


class Numbering:
    """Gives each frame of a camera or stream a number greater than that of the frame before."""

    def __init__(self) -> None:
        """Begin with no frame."""
        self._source, self._last, self._shift = "", -1, 0

    def numbered(self, frame: Frame) -> Frame:
        """Return the frame with its number; a picture has one frame, 0, however often a file of its name is written."""
        if frame.fps is None:
            return frame
        if frame.source != self._source:
            self._shift = 0
        elif frame.index + self._shift <= self._last:
            self._shift = self._last + 1 - frame.index
        self._source, self._last = frame.source, frame.index + self._shift
        return replace(frame, index=self._last) if self._shift else frame
