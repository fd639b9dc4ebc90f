"""PyTorch's part of `bench gpu`: the GPU itself, its matrix products, and the fused module run by PyTorch."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from wordsight.runtime.backends.base import Arrays, Backend, Frames, one_line
from wordsight.runtime.errors import MissingPart, ModelError

if TYPE_CHECKING:
    from wordsight.export.fused import FusedDetector


class TorchGpu:
    """The first GPU, as PyTorch sees it.

    Attributes:
        name: "NVIDIA H100 80GB HBM3, SM90".
        device: as PyTorch names it.
    """

    device = "cuda"

    def __init__(self) -> None:
        """See that PyTorch can use a GPU.

        Raises:
            MissingPart: it cannot.
        """
        import torch

        if not torch.cuda.is_available():
            raise MissingPart(
                f"bench gpu needs an NVIDIA GPU, and PyTorch {torch.__version__} can use none here",
                "install NVIDIA's driver, and a PyTorch built for its CUDA",
            )
        major, minor = torch.cuda.get_device_capability()
        self.name = f"{torch.cuda.get_device_name()}, SM{major}{minor}"

    def product(self, size: int) -> Callable[[int], float]:
        """A square fp16 matrix product: number of repetitions -> seconds of all, by the GPU's own clock."""
        import torch

        left, right = (torch.randn(size, size, device=self.device, dtype=torch.float16) for _ in range(2))
        out = torch.empty_like(left)

        def run(count: int) -> float:
            began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            torch.cuda.synchronize()
            began.record()
            for _ in range(count):
                torch.mm(left, right, out=out)
            ended.record()
            torch.cuda.synchronize()
            return float(began.elapsed_time(ended)) / 1000

        return run


class TorchBackend(Backend):
    """The fused module in PyTorch, eager or replayed from a CUDA graph; see `wordsight.runtime.backends.base.Backend`.

    Not for the line, which has no PyTorch: it is what the engines are held against.
    """

    def __init__(
        self, detector: "FusedDetector", batch: int, shape: tuple[int, int], graphs: bool, device: str
    ) -> None:
        """Move the module to a device, run it, and capture it.

        Args:
            detector: the module, of any precision.
            batch: frames of every call; fewer are padded with black.
            shape: rows and columns of a frame.
            graphs: capture the batch in a CUDA graph.
            device: "cuda" or, without graphs, "cpu".

        Raises:
            ModelError: it fails there, or not enough memory.
        """
        import torch

        self._torch, self._names = torch, detector.output_names
        self._module: Any = detector.to(device)
        self._graph: Any = None
        self._staged: Any
        self._given: Any
        self.name = f"torch {torch.__version__} {device}"
        self.reason = "asked for; " + ("CUDA graphs" if graphs else "without CUDA graphs, as asked")
        try:
            self._staged = torch.zeros((batch, *shape, 3), dtype=torch.uint8, pin_memory=device != "cpu")
            self._given = self._staged.to(device)
            self._made = self._forward()
            if graphs:
                self._capture()
        except RuntimeError as error:
            raise ModelError(f"torch failed on {batch} frames: {one_line(error)}") from error

    def _forward(self) -> Any:
        with self._torch.inference_mode():
            return self._module(self._given)

    def _capture(self) -> None:
        torch = self._torch
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # PyTorch asks for some runs beside the capture, which libraries set up in
            for _ in range(3):
                self._forward()
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._made = self._forward()

    def infer(self, frames: Frames) -> Arrays:
        """Run at most the batch that it was opened for; (N, H, W, 3) uint8 BGR to each output by name.

        Raises:
            ModelError: PyTorch fails.
        """
        try:
            self._staged[: len(frames)] = self._torch.from_numpy(frames)
            self._staged[len(frames) :] = 0
            self._given.copy_(self._staged, non_blocking=True)
            if self._graph is not None:
                self._graph.replay()
            else:
                self._made = self._forward()
            found = [value[: len(frames)].cpu().numpy() for value in self._made]  # waits for the GPU
        except RuntimeError as error:
            raise ModelError(f"torch failed on {len(frames)} frames: {one_line(error)}") from error
        return {name: np.array(value) for name, value in zip(self._names, found, strict=True)}

    def close(self) -> None:
        """Give graph, buffers and module back."""
        self._graph = self._made = self._given = self._staged = self._module = None
