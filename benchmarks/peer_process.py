"""A peer in a process of its own, spoken to in lines of JSON: its pins need not agree with ours."""

import contextlib
import json
import subprocess
from pathlib import Path
from typing import Any

from wordsight.runtime.errors import MissingPart, WordsightError


def check_environment(python: Path) -> None:
    """Raise MissingPart, naming what makes it, unless the peer's Python is there."""
    if not python.is_file():
        raise MissingPart(f"expected the peer's environment, there is no {python}", "make peers-env")


class Peer:
    """anomalib in its own process: `ask` sends one request and waits for its reply.

    Args:
        python: the Python of the peer's environment.
        folder: where arrays are exchanged; for `peers_anomalib.py` it holds `weights.safetensors`.
        threads: of torch in that process.
        script: what that Python runs, given the folder and the threads; without it `peers_anomalib.py` beside this.

    Raises:
        MissingPart: there is no such environment.
    """

    def __init__(self, python: Path, folder: Path, threads: int, script: Path | None = None) -> None:
        check_environment(python)
        script = script or Path(__file__).with_name("peers_anomalib.py")
        self.log = folder / "peer.log"
        command = [str(python), str(script), str(folder), str(threads)]
        with self.log.open("w") as log:  # a file: a pipe that nobody reads would fill up and stop the peer
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )

    def ask(self, do: str, **details: Any) -> dict[str, Any]:
        """Send a request.

        Raises:
            WordsightError: the peer ended; carries its last line.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it ended: no reply follows, and its log says why
            self.process.stdin.write(json.dumps({"do": do, **details}) + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            self.close()
            said = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise WordsightError(f"the peer ended at {do!r}: {said[-1] if said else 'it said nothing'}")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def close(self) -> None:
        """End the process: it stops where its requests do."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
