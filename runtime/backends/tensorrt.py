"""TensorRT and TensorRT for RTX: frames through an engine, with fixed buffers and CUDA graphs."""

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.backends.base import Arrays, Backend, Frames, buckets
from wordsight.runtime.backends.cuda import Cuda, CudaError
from wordsight.runtime.backends.tensorrt_build import messages
from wordsight.runtime.errors import ModelError
from wordsight.runtime.manifest import Manifest


class EngineStale(ModelError):
    """An engine that this GPU, driver or version does not take."""


@dataclass
class _Slot:
    """A batch size in use: a context of its own, since a captured graph is bound to one, and the graph."""

    context: Any
    graph: Any = None
    runs: int = 0


class TensorRtBackend(Backend):
    """One engine on the first GPU; see `wordsight.runtime.backends.base.Backend`.

    Attributes:
        graphs_off: why batches are not captured in CUDA graphs; empty while they are. Set before the first batch, it
            keeps them off.
    """

    def __init__(self, trt: Any, cuda: Cuda, data: bytes, manifest: Manifest, most: int) -> None:
        """Load an engine that was read safely, and make its buffers. It is not warmed up yet.

        Args:
            trt: the module, `tensorrt` or `tensorrt_rtx`.
            cuda: the CUDA runtime.
            data: the engine.
            manifest: of the file it was built from.
            most: largest batch of its profile.

        Raises:
            EngineStale: TensorRT does not take the engine.
            ModelError: not enough GPU memory, or its outputs are not float32.
        """
        self._trt, self._cuda, self._manifest = trt, cuda, manifest
        self._log = messages(trt)
        self._runtime = trt.Runtime(self._log)
        self._engine = self._runtime.deserialize_cuda_engine(data)
        if self._engine is None:
            raise EngineStale(f"{trt.__name__} {trt.__version__} does not take the engine: {self._log.told()}")
        for name in manifest.outputs:
            kind = self._engine.get_tensor_dtype(name)
            if kind != trt.float32:
                raise ModelError(f"output {name} should be float32, the engine gives {kind}")
        self._sizes = buckets(most)
        self._slots: dict[int, _Slot] = {}
        self.graphs_off = ""
        self._host: dict[str, NDArray[Any]] = {}
        self._device: dict[str, int] = {}
        self._stream = cuda.stream()
        try:
            self._make_buffers(most)
        except BaseException:
            self.close()
            raise
        self.name = f"{trt.__name__} {trt.__version__}"

    def _make_buffers(self, most: int) -> None:
        shapes = {name: (most, *self._axes(name)) for name in self._manifest.outputs}
        shapes[self._manifest.input.name] = (most, *self._manifest.input.shape, 3)
        for name, shape in shapes.items():
            kind = np.dtype(np.float32 if name in self._manifest.outputs else np.uint8)
            self._host[name] = self._cuda.pinned(shape, kind)
            self._device[name] = self._cuda.malloc(self._host[name].nbytes)

    def _axes(self, name: str) -> tuple[int, ...]:
        # The manifest may leave an axis open; the engine knows them all but the batch.
        axes = tuple(int(axis) for axis in tuple(self._engine.get_tensor_shape(name))[1:])
        if min(axes, default=1) < 1:
            raise ModelError(f"output {name} has an open shape {axes}; an engine needs fixed ones")
        return axes

    def infer(self, frames: Frames) -> Arrays:
        """Run (N, H, W, 3) uint8 BGR frames; N above the engine's profile is split, in between it is padded.

        Raises:
            ModelError: TensorRT or CUDA fails. Most failures of CUDA stay until the process ends.
        """
        most = self._sizes[-1]
        parts = [self._pass(frames[at : at + most]) for at in range(0, len(frames), most)]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._manifest.outputs}

    def _pass(self, frames: Frames) -> Arrays:
        size = next(size for size in self._sizes if size >= len(frames))
        staged = self._host[self._manifest.input.name]
        staged[: len(frames)] = frames
        staged[len(frames) : size] = 0
        slot = self._slot(size)
        if slot.graph is None and slot.runs and not self.graphs_off:
            self._capture(slot, size)  # after one ordinary run: the first one allocates, which no graph may
        if slot.graph is not None:
            self._cuda.launch(slot.graph, self._stream)
        else:
            self._enqueue(slot, size)
        self._cuda.wait(self._stream)
        slot.runs += 1
        return {name: self._host[name][: len(frames)].copy() for name in self._manifest.outputs}

    def _slot(self, size: int) -> _Slot:
        if size not in self._slots:
            context = self._engine.create_execution_context()
            if context is None:
                raise ModelError(f"not enough GPU memory for batches of {size}: {self._log.told()}")
            if not context.set_input_shape(self._manifest.input.name, (size, *self._manifest.input.shape, 3)):
                raise ModelError(f"the engine does not take batches of {size}: {self._log.told()}")
            for name, address in self._device.items():
                context.set_tensor_address(name, address)
            self._slots[size] = _Slot(context)
        return self._slots[size]

    def _enqueue(self, slot: _Slot, size: int) -> None:
        name = self._manifest.input.name
        self._cuda.copy_in(self._device[name], self._host[name][:size], self._stream)
        if not slot.context.execute_async_v3(int(self._stream)):
            raise ModelError(f"{self._trt.__name__} failed on {size} frames: {self._log.told()}")
        for output in self._manifest.outputs:
            self._cuda.copy_out(self._host[output][:size], self._device[output], self._stream)

    def _capture(self, slot: _Slot, size: int) -> None:
        capturable = getattr(slot.context, "is_stream_capturable", None)  # TensorRT for RTX knows beforehand
        if capturable is not None and not capturable(int(self._stream)):
            self.graphs_off = "without CUDA graphs: the engine cannot be captured"
            return
        try:
            slot.graph = self._cuda.capture(lambda: self._enqueue(slot, size), self._stream)
        except ModelError as error:  # of CUDA, or of an engine that will not run while it is recorded
            self.graphs_off = f"without CUDA graphs: {error}"

    @property
    def graphs(self) -> str:
        """Whether CUDA graphs are in use, or why not."""
        return self.graphs_off or "CUDA graphs"

    def close(self) -> None:
        """Give graphs, buffers, contexts and engine back, in this order."""
        # After a failure of CUDA these fail too, and must not hide it.
        with contextlib.suppress(CudaError):
            for slot in self._slots.values():
                if slot.graph is not None:
                    self._cuda.free_graph(slot.graph)
            for address in self._device.values():
                self._cuda.free(address)
            if self._stream is not None:
                self._cuda.free_stream(self._stream)
        self._slots.clear()
        self._device.clear()
        self._host.clear()
        self._stream = self._engine = self._runtime = None
