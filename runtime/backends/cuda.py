"""The few calls of the CUDA runtime that an engine needs, through cuda-python's bindings."""

import ctypes
import importlib
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.board import cuda_install
from wordsight.runtime.errors import MissingPart, ModelError


class CudaError(ModelError):
    """A call of the CUDA runtime failed. Most of these stay until the process ends: start it again."""


@dataclass(frozen=True)
class Gpu:
    """A GPU as an engine is bound to it.

    Attributes:
        name: "NVIDIA GeForce RTX 4090".
        capability: "SM89".
    """

    name: str
    capability: str


class Cuda:
    """Streams, buffers, copies and graphs; every failure is a `CudaError` that names the call."""

    def __init__(self, runtime: Any = None) -> None:
        """Load the bindings; no GPU is touched yet.

        Args:
            runtime: the module `cuda.bindings.runtime`; None for the installed one.

        Raises:
            MissingPart: they are not installed.
        """
        if runtime is None:
            try:
                runtime = importlib.import_module("cuda.bindings.runtime")
            except ImportError as error:
                raise MissingPart("cuda-python's bindings are not installed", cuda_install()) from error
        self._rt = runtime

    def _call(self, name: str, *arguments: Any) -> Any:
        code, *values = getattr(self._rt, name)(*arguments)
        if int(code) != 0:
            _, text = self._rt.cudaGetErrorString(code)
            raise CudaError(f"{name} failed: {text.decode() if isinstance(text, bytes) else text}")
        return values[0] if len(values) == 1 else values

    def gpu(self) -> Gpu:
        """The first GPU.

        Raises:
            MissingPart: no GPU, or no driver for it.
        """
        try:
            count = self._call("cudaGetDeviceCount")
            if count < 1:
                raise CudaError("cudaGetDeviceCount found none")
            found = self._call("cudaGetDeviceProperties", 0)
        except CudaError as error:
            mend = "install NVIDIA's driver for it; with one of CUDA 12: pip install 'cuda-bindings>=12.6,<13'"
            raise MissingPart(f"no NVIDIA GPU that runs here ({error})", mend) from error
        name = found.name.decode() if isinstance(found.name, bytes) else str(found.name)
        return Gpu(name.rstrip("\0").strip(), f"SM{found.major}{found.minor}")

    def stream(self) -> Any:
        """A stream of its own, which does not wait for the default one."""
        return self._call("cudaStreamCreateWithFlags", self._rt.cudaStreamNonBlocking)

    def free_stream(self, stream: Any) -> None:
        """Give a stream back."""
        self._call("cudaStreamDestroy", stream)

    def wait(self, stream: Any) -> None:
        """Wait until all that was given to a stream is done."""
        self._call("cudaStreamSynchronize", stream)

    def malloc(self, size: int) -> int:
        """Address of `size` bytes on the GPU."""
        return int(self._call("cudaMalloc", size))

    def free(self, address: int) -> None:
        """Give memory of `malloc` back."""
        self._call("cudaFree", address)

    def pinned(self, shape: tuple[int, ...], kind: np.dtype[Any]) -> NDArray[Any]:
        """A zeroed array in page-locked memory, given back with its last view."""
        size = int(np.prod(shape)) * kind.itemsize
        address = int(self._call("cudaHostAlloc", size, self._rt.cudaHostAllocDefault))
        memory = (ctypes.c_char * size).from_address(address)
        # The views of an array keep `memory` alive, and the address with it.
        weakref.finalize(memory, self._rt.cudaFreeHost, address)
        array: NDArray[Any] = np.ndarray(shape, kind, buffer=memoryview(memory))
        array[...] = 0
        return array

    def copy_in(self, address: int, array: NDArray[Any], stream: Any) -> None:
        """Copy a pinned array to the GPU, in the stream's order."""
        kind = self._rt.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", address, array.ctypes.data, array.nbytes, kind, stream)

    def copy_out(self, array: NDArray[Any], address: int, stream: Any) -> None:
        """Copy from the GPU into a pinned array, in the stream's order; `wait` before reading it."""
        kind = self._rt.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", array.ctypes.data, address, array.nbytes, kind, stream)

    def capture(self, work: Callable[[], None], stream: Any) -> Any:
        """Record what `work` gives to the stream as a graph, to be replayed by `launch`.

        Raises:
            CudaError: something in it cannot be captured.
        """
        # Relaxed would let other threads' calls into the recording; this mode refuses only our own unsafe ones.
        mode = self._rt.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", stream, mode)
        try:
            work()
        finally:
            code, graph = self._rt.cudaStreamEndCapture(stream)
        if int(code) != 0:
            raise CudaError(f"cudaStreamEndCapture failed: {self._rt.cudaGetErrorString(code)[1]!r}")
        try:
            return self._call("cudaGraphInstantiate", graph, 0)
        finally:
            self._call("cudaGraphDestroy", graph)

    def launch(self, graph: Any, stream: Any) -> None:
        """Replay a captured graph."""
        self._call("cudaGraphLaunch", graph, stream)

    def free_graph(self, graph: Any) -> None:
        """Give a captured graph back."""
        self._call("cudaGraphExecDestroy", graph)


MEMBERS = (
    "cudaFree", "cudaFreeHost", "cudaGetDeviceCount", "cudaGetDeviceProperties", "cudaGetErrorString",
    "cudaGraphDestroy", "cudaGraphExecDestroy", "cudaGraphInstantiate", "cudaGraphLaunch", "cudaHostAlloc",
    "cudaHostAllocDefault", "cudaMalloc", "cudaMemcpyAsync", "cudaMemcpyKind", "cudaStreamBeginCapture",
    "cudaStreamCaptureMode", "cudaStreamCreateWithFlags", "cudaStreamDestroy", "cudaStreamEndCapture",
    "cudaStreamNonBlocking", "cudaStreamSynchronize",
)  # fmt: skip
"""What is used of `cuda.bindings.runtime`."""
