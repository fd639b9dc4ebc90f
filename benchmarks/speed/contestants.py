"""Who is timed beside an exported file: the same encoder and head as one would run them without Wordsight."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wordsight.benchmarks.peer_process import Peer
from wordsight.runtime.errors import WordsightError

if TYPE_CHECKING:
    from torch import Tensor

    from wordsight.train.encoders import Encoder
    from wordsight.train.head import Head

Scores = Callable[[], NDArray[np.float32]]


class Torch:
    """open_clip's own model as it was loaded, behind its own normalised tensor; prompts and head in torch.

    Args:
        encoder: the encoder.
        head: one head, in evaluation mode.
        guiding: (2, D), embeddings of the guiding prompts, normal first.
        frames: (N, S, S, 3) uint8 BGR; brought to tensors here, outside of what is timed.
    """

    def __init__(self, encoder: "Encoder", head: "Head", guiding: "Tensor", frames: NDArray[np.uint8]) -> None:
        import torch

        self.model: Any = encoder.model
        self.head, self.temperature = head.eval(), encoder.temperature
        self.texts = torch.nn.functional.normalize(guiding.float(), dim=-1)
        rgb = frames[..., ::-1].astype(np.float32) / 255
        normal = (rgb - np.array(encoder.mean, np.float32)) / np.array(encoder.std, np.float32)
        self.pictures = torch.from_numpy(np.ascontiguousarray(normal.transpose(0, 3, 1, 2)))

    def score(self, pictures: "Tensor") -> "Tensor":
        """Normalised pictures (N, 3, S, S) to scores (N,)."""
        import torch

        unit = torch.nn.functional.normalize(self.model.encode_image(pictures), dim=-1)
        s_pr = torch.softmax(unit @ self.texts.T / self.temperature, dim=-1)[:, 1]
        return s_pr + torch.sigmoid(self.head(unit)).reshape(-1)

    def eager(self) -> Scores:
        """Score the first picture, as it is."""
        return self._first(self.score)

    def compiled(self) -> Scores:
        """Score the first picture, by torch.compile, which is done before this returns.

        Raises:
            WordsightError: there is no compiler, or torch cannot compile this.
        """
        import torch

        call = self._first(torch.compile(self.score))
        try:
            call()
        except Exception as error:  # a compiler that is missing shows in many types
            raise WordsightError(f"torch.compile: {' '.join(str(error).split())[:160]}") from error
        return call

    def _first(self, score: Callable[["Tensor"], "Tensor"]) -> Scores:
        import torch

        def call() -> NDArray[np.float32]:
            with torch.inference_mode():
                return np.asarray(score(self.pictures[:1]).numpy(), np.float32)

        return call

    def unfused(self, threads: int) -> Scores:
        """The image tower exported as it is, plainly in ONNX Runtime; normalisation and s_pr in numpy.

        Args:
            threads: of ONNX Runtime.
        """
        import io

        import onnxruntime
        import torch

        written = io.BytesIO()
        program: Any = torch.onnx.export(self.model.visual, (self.pictures[:1],), dynamo=True, verbose=False)
        program.save(written)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        session = onnxruntime.InferenceSession(written.getvalue(), options, providers=["CPUExecutionProvider"])
        name, picture = session.get_inputs()[0].name, self.pictures[:1].numpy()
        texts, temperature = self.texts.numpy(), self.temperature

        def call() -> NDArray[np.float32]:
            features = session.run(None, {name: picture})[0]
            unit = features / np.linalg.norm(features, axis=-1, keepdims=True)
            logits = unit @ texts.T / temperature
            with torch.inference_mode():
                s_fnn = torch.sigmoid(self.head(torch.from_numpy(unit))).reshape(-1).numpy()
            return np.asarray(1 / (1 + np.exp(logits[:, 0] - logits[:, 1])) + s_fnn, np.float32)

        return call


def anomalib(
    python: Path, folder: Path, threads: int, picture: NDArray[np.float32]
) -> tuple[Peer, Callable[[], float]]:
    """Anomalib's WinCLIP, zero-shot, in a process of its own; the caller closes it.

    Args:
        python: of the peer's environment.
        folder: with `weights.safetensors`; the picture is written there.
        threads: of torch in that process.
        picture: (1, 3, S, S), normalised.

    Returns:
        The process, and a call that scores the picture and gives the seconds by the peer's own clock.

    Raises:
        MissingPart: there is no such environment.
    """
    np.savez(folder / "pictures.npz", pictures=picture)
    peer = Peer(python, folder, threads)
    peer.ask("describe", object="metal nut")
    return peer, lambda: float(peer.ask("image_score")["seconds"])
