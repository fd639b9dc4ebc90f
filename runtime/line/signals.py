"""What the process is sent while it runs: to end, or to read its file again."""

import contextlib
import signal
from collections.abc import Callable, Iterator


class Signals:
    """Signals that came.

    Attributes:
        stop: number of the first one that ends the process; None: none came.
        reload: SIGHUP came; whoever acts on it takes it back.
    """

    def __init__(self) -> None:
        """None came yet."""
        self.stop: int | None = None
        self.reload = False

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Within it, signals are taken over. To be entered from the main thread.

        Raises:
            KeyboardInterrupt: asked twice to end.
        """

        def stop(number: int, frame: object) -> None:
            if self.stop is not None and number == signal.SIGINT:
                raise KeyboardInterrupt  # asked twice: no draining
            self.stop = self.stop or number

        def reload(number: int, frame: object) -> None:
            self.reload = True

        handlers: dict[signal.Signals, Callable[[int, object], None]] = {signal.SIGTERM: stop, signal.SIGINT: stop}
        if hasattr(signal, "SIGHUP"):
            handlers[signal.SIGHUP] = reload
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
