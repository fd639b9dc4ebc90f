"""A live window with the last scored frame in it."""

import os
import subprocess
import sys

from wordsight.runtime.annotate import annotate
from wordsight.runtime.errors import MissingPart
from wordsight.runtime.sinks.result import Result

TITLE = "Wordsight"
INSTALL = "pip install 'wordsight[gui]'"
_PICTURE_MS = 400  # how long a picture stays before the next one
_STOP_KEYS = (27, ord("q"))


class WindowClosed(Exception):
    """The user pressed q or Esc, or closed the window: the run is to end well."""


class Window:
    """Shows each result as it comes; q, Esc or closing the window ends the run."""

    def __init__(self, top: float, threshold: float | None, heat: bool = False, unsure: float | None = None) -> None:
        """Find out whether a window can be opened here at all.

        Args:
            top: highest score there can be.
            threshold: marked on the bar where it is given.
            heat: draw heat maps over the pictures.
            unsure: marked, too, where it is given.

        Raises:
            MissingPart: OpenCV is built without windows, or there is no display.
        """
        check_window()
        self._top, self._threshold, self._heat, self._unsure = top, threshold, heat, unsure
        self._open = False

    def write(self, result: Result) -> None:
        """Show one result.

        Raises:
            WindowClosed: the user has seen enough.
        """
        import cv2

        if not self._open:
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
            self._open = True
        cv2.imshow(TITLE, annotate(result, self._top, self._threshold, self._heat, self._unsure))
        key = cv2.waitKey(_PICTURE_MS if result.frame.fps is None else 1) & 0xFF
        if key in _STOP_KEYS or cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
            raise WindowClosed

    def close(self) -> None:
        """Close the window."""
        if self._open:
            import cv2

            self._open = False
            cv2.destroyAllWindows()


def check_window() -> None:
    """Say early whether a window can be opened.

    Raises:
        MissingPart: OpenCV is built without windows, or there is no display.
    """
    from wordsight.runtime.opencv import gui

    if gui() is None:
        raise MissingPart("--show needs an OpenCV that can open windows, this one is built without", INSTALL)
    if not sys.platform.startswith("linux"):
        return
    message = "--show needs a display; run it on the machine's own screen, or leave --show out and use --annotate"
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise MissingPart(f"{message} (neither DISPLAY nor WAYLAND_DISPLAY is set)", "export DISPLAY=:0")
    # Qt ends the whole process when the display it is told of does not answer: let a child find out.
    probe = [sys.executable, "-c", f"import cv2; cv2.namedWindow({TITLE!r}); cv2.destroyAllWindows()"]
    if subprocess.run(probe, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, timeout=30).returncode:
        raise MissingPart(f"{message} ({os.environ.get('DISPLAY') or 'wayland'} does not answer)", "export DISPLAY=:0")
