"""A real Triton server on loopback, from the environment that `make env` keeps beside the main one.

NVIDIA's wheel holds the server and its python backend alone: it serves what `wordsight triton --kind python` writes.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from wordsight.benchmarks.children import held_back
from wordsight.runtime.errors import MissingPart, WordsightError

INSTALL = "make env, on x86-64 Linux with Python 3.10 to 3.12"
READY_S = 120.0
STOP_S = 30.0
_TRIES = 3
_SHARED = Path("/dev/shm")


def environment() -> Path:
    """Folder of the server's own environment: `.venv-triton` beside the one that runs this."""
    return Path(sys.prefix).with_name(".venv-triton")


def lacks() -> str:
    """What a server needs and this machine has not, with the line that brings it; empty if one can start."""
    try:
        _Parts()
    except MissingPart as error:
        return str(error)
    return ""


class _Parts:
    """Where the pieces of the server lie.

    Raises:
        MissingPart: one is not there.
    """

    def __init__(self) -> None:
        self.bin = environment() / "bin"
        found = sorted(environment().glob("lib/python3.*/site-packages/pytriton/tritonserver"))
        if not found or not (self.bin / "python").exists():
            raise MissingPart("no environment with a Triton server here", INSTALL)
        self.home = found[0]
        self.program = self.home / "bin" / "tritonserver"
        self.backends = self.home / "backends"
        stub = self.backends / "python" / "triton_python_backend_stub"
        if not stub.exists():
            raise MissingPart("the Triton server here has no stub of its python backend", INSTALL)
        self.libraries = _python_libraries(self.bin / "python")
        # The stub is Python itself, linked against the shared library that some builds of Python come without.
        linked = subprocess.run(
            ["ldd", str(stub)], capture_output=True, text=True, check=False,
            env={**os.environ, "LD_LIBRARY_PATH": self.libraries},
        ).stdout  # fmt: skip
        absent = [line.split()[0] for line in linked.splitlines() if "not found" in line]
        if absent:
            version = self.home.parents[2].name.removeprefix("python")
            raise MissingPart(
                f"no {', '.join(absent)} for Triton's python backend", f"apt-get install libpython{version}"
            )


def _python_libraries(python: Path) -> str:
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_config_var('LIBDIR') or '')"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


class TritonServer:
    """One server process; also a `with`, which starts and stops it.

    Attributes:
        http: "127.0.0.1:PORT" of HTTP, the same over every restart.
        grpc: of gRPC.
        log: file with what the server and its models print.
    """

    def __init__(self, repository: str | os.PathLike[str], options: Sequence[str] = ()) -> None:
        """Choose free ports; nothing is started yet.

        Args:
            repository: a model repository.
            options: further words for `tritonserver`, such as "--model-control-mode=poll".

        Raises:
            MissingPart: this machine has no server.
        """
        self._parts = _Parts()
        self._repository, self._options = Path(repository), list(options)
        self._scratch = Path(tempfile.mkdtemp(prefix="wordsight-triton-"))
        self.log = self._scratch / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._ports = _free_ports()

    @property
    def http(self) -> str:
        """Host and port of HTTP."""
        return f"127.0.0.1:{self._ports[0]}"

    @property
    def grpc(self) -> str:
        """Host and port of gRPC."""
        return f"127.0.0.1:{self._ports[1]}"

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return None if self._process is None else self._process.pid

    def start(self, timeout_s: float = READY_S) -> "TritonServer":
        """Start the server and wait until every model is ready.

        Raises:
            WordsightError: it ends before that, or is not ready in time; says what its log does.
        """
        fresh = not self.log.exists()  # a restart keeps its ports; before the first start another process may take one
        for attempt in range(_TRIES):
            self._launch()
            try:
                return self._wait_ready(timeout_s)
            except WordsightError:
                if not (fresh and "already in use" in self.told()) or attempt == _TRIES - 1:
                    raise
                self._ports = _free_ports()
        raise AssertionError("unreachable")

    def stop(self) -> None:
        """End the server as an operator would (SIGTERM: requests in flight are answered)."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
        self.kill()

    def kill(self) -> None:
        """End the server at once, its models' processes too, and remove the shared memory that they leave."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
        for left in _SHARED.glob(f"{self._prefix}*"):
            left.unlink(missing_ok=True)

    def told(self) -> str:
        """What the server has printed since it was last started."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def close(self) -> None:
        """Kill the server and remove its log."""
        self.kill()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> "TritonServer":
        try:
            return self.start()
        except BaseException:  # Ctrl-C, too: nothing else would end the server then
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.close()

    @property
    def _prefix(self) -> str:
        return self._scratch.name

    def _launch(self) -> None:
        self.kill()
        http, grpc = self._ports
        words = [
            str(self._parts.program), "--model-repository", str(self._repository),
            "--backend-directory", str(self._parts.backends),
            "--backend-config", f"python,shm-region-prefix-name={self._prefix}",
            "--http-address", "127.0.0.1", "--http-port", str(http),
            "--grpc-address", "127.0.0.1", "--grpc-port", str(grpc),
            "--allow-metrics", "false", *self._options,
        ]  # fmt: skip
        # Its python backend finds the environment by the first python on the path.
        environ = {
            "PATH": os.pathsep.join([str(self._parts.bin), os.defpath]),
            "LD_LIBRARY_PATH": self._parts.libraries,
            "HOME": str(self._scratch),
        }
        with open(self.log, "wb") as log, held_back():
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, start_new_session=True
            )

    def _wait_ready(self, timeout_s: float) -> "TritonServer":
        end = time.monotonic() + timeout_s
        while True:
            if self._process is None or self._process.poll() is not None:
                raise WordsightError(f"the Triton server ended before it was ready: {self._reason()}")
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(f"http://{self.http}/v2/health/ready", timeout=5) as answer:
                    if answer.status == 200:
                        return self
            if time.monotonic() > end:
                self.kill()
                raise WordsightError(f"the Triton server was not ready in {timeout_s:.0f} s: {self._reason()}")
            time.sleep(0.05)

    def _reason(self) -> str:
        lines = [line for line in self.told().splitlines() if line[:1] == "E" or line.startswith("error")]
        models = [line for line in lines if "failed to load" in line]
        return (models or lines[-1:] or ["it printed no error"])[0]


def _free_ports() -> tuple[int, int]:
    """Two ports of loopback that nobody has at the moment."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]
