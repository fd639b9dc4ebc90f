"""The public face: a model and the scores it gives."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.backends import Backend, open_backend
from wordsight.runtime.backends.remote_address import RemoteAddress, is_remote, parse_address
from wordsight.runtime.backends.remote_settings import RemoteSettings
from wordsight.runtime.errors import FrameError, ModelError, SettingError
from wordsight.runtime.few_shot import FewShot, few_shot_for
from wordsight.runtime.files import file_sha256
from wordsight.runtime.fit_input import check_input, fit_input
from wordsight.runtime.fits import seen_share
from wordsight.runtime.manifest import read_manifest
from wordsight.runtime.references import References
from wordsight.runtime.view import View

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Scores:
    """Scores of N frames, in the order they were given; all float32, higher is more anomalous."""

    score: Floats
    """(N,), w_pr * s_pr + w_fnn * s_fnn, and + w_img * s_img of a model that was opened with references."""
    s_pr: Floats
    """(N,), 0 to 1: the prompt-guided score."""
    s_fnn: Floats
    """(N,), 0 to 1: the head's, mean over the folded seeds."""
    embedding: Floats | None = None
    """(N, D) unit vectors, where the file gives them."""
    s_fnn_seeds: Floats | None = None
    """(N, K), one column a folded seed, where the file gives them."""
    s_pr_objects: Floats | None = None
    """(N, O), the prompt-guided score of each object in the manifest's `objects`, where the file gives them."""
    patches: Floats | None = None
    """(N, P, D) unit vectors, the encoder's grid in the shared space, row by row, where the file gives them; of the
    full view, or of each tile's full view in turn. Of a file with WinCLIP's outputs (N, P, C), before projection."""
    windows_2: Floats | None = None
    """(N, 196, D) for a 15 x 15 grid: WinCLIP's windows of 2 x 2 patches, where the file gives them."""
    windows_3: Floats | None = None
    """(N, 169, D) for a 15 x 15 grid: windows of 3 x 3 patches, where the file gives them."""
    s_winclip: Floats | None = None
    """(N,), 0 to 1: WinCLIP's zero-shot score by its prompt ensemble, where the file gives it."""
    s_winclip_objects: Floats | None = None
    """(N, O), the same for each object in the manifest's `objects`, where the file gives it."""
    winclip_map: Floats | None = None
    """(N, h, w), 0 to 1: WinCLIP's zero-shot map, a value a patch, where the file gives it."""
    heatmap: Floats | None = None
    """(N, h, w), in the range of w_pr * s_pr + w_fnn * s_fnn: both scores of every patch, summed alike, row by row; of
    the one square that the encoder sees, where the file gives it."""
    s_img: Floats | None = None
    """(N,), 0 to 1: how unlike the references, of a model that was opened with some."""

    def __len__(self) -> int:
        return len(self.score)

    def rows(self, which: Sequence[int]) -> "Scores":
        """Return the scores of some of the frames, in the order of `which`."""
        held = {name: getattr(self, name) for name in self.__dataclass_fields__}
        at = list(which)
        taken: dict[str, Any] = {name: None if values is None else values[at] for name, values in held.items()}
        return Scores(**taken)


class Model:
    """An exported file, ready to score frames.

    Use it as a context manager, or call `close`. Not to be shared between threads.

        with Model("line3.onnx") as model:
            scores = model.score(frames)

    Attributes:
        path: the file, or the model's address on a server.
        manifest: what it says about itself.
        backend: engine, version and provider in use.
        backend_reason: why that one, and what else was tried.
        backend_fallback: an engine that should have run and why it does not; empty when none failed.
        object: the noun of the guiding prompts that s_pr follows.
        few_shot: the normal references that the score takes in, and how; None without.
        fell_back: whether what stands in for a server gave some of the last scores.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | RemoteAddress,
        backend: str = "auto",
        *,
        batch_size: int = 32,
        object: str | None = None,
        references: FewShot | References | str | os.PathLike[str] | None = None,
        threads: int | None = None,
        remote: RemoteSettings | None = None,
        on_step: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Read the manifest, refuse what is unfit, and only then load the file into an engine.

        Args:
            path: an ONNX file that `wordsight export` wrote; or the address of one that a server serves, such as
                "grpc://host:8001/model", see docs/remote.md.
            backend: one of `wordsight.runtime.backends.BACKENDS`; beside an address that of the fallback.
            batch_size: most frames in one pass of the engine.
            object: one of the objects that the file knows (`wordsight export --objects`): its prompts then guide s_pr
                and with it the score. None: the one it was exported with.
            references: normal frames that `wordsight reference add` kept, or their file: frames are then compared with
                them, `Scores.s_img` is there and `Scores.score` takes it in; `FewShot` sets how.
            threads: of an engine on the processor; None for its own choice.
            remote: how a server is asked; None for `RemoteSettings()`.
            on_step: called with a line for people before what takes long, such as building an engine.

        Raises:
            ModelError: the file cannot be used; see `read_manifest`.
            ReferencesError: no such references, or another model's.
            NoAnswer, ServerRefused: of a server, see `backends.remote_open`.
            MissingPart: this machine lacks the engine.
            SettingError: no such backend or object, or a batch size below 1.
        """
        if batch_size < 1:
            raise SettingError(f"expected a batch size of at least 1, got {batch_size}")
        self.path: Path | RemoteAddress
        open_engine: Callable[..., Backend]
        if is_remote(path):
            from wordsight.runtime.backends.remote_open import find_remote, open_remote

            address = path if isinstance(path, RemoteAddress) else parse_address(os.fspath(path))
            settings = remote or RemoteSettings()
            facts, away = find_remote(address, settings)
            self.path, self.manifest, self._remote_sha256 = address, facts.manifest, facts.sha256
            open_engine = partial(open_remote, address, settings, facts, away, backend)
        else:
            file = os.fspath(cast("str | os.PathLike[str]", path))
            self.path, self.manifest, self._remote_sha256 = Path(file), read_manifest(file), None
            open_engine = partial(open_backend, backend, file, self.manifest)
        self.object = self.manifest.prompts.object if object is None else object
        self.few_shot = None if references is None else few_shot_for(self, references)  # before an engine is waited for
        self._view = View(self.manifest, object, self.few_shot)
        self._batch_size = most = self.manifest.input.most_frames(batch_size)
        self._engine = open_engine(batch=most, threads=threads, on_step=on_step)
        self._open, self.fell_back = True, False
        self.backend, self.backend_reason = self._engine.name, self._engine.reason
        self.backend_fallback = self._engine.fallback

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file, 64 hexadecimal digits; read when first asked for.

        Raises:
            ModelError: a server does not tell that of its file.
        """
        if isinstance(self.path, Path):
            return file_sha256(self.path)
        if self._remote_sha256 is None:
            raise ModelError(f"{self.path} does not say the SHA-256 of its model: name the file it serves, --manifest")
        return self._remote_sha256

    @property
    def most(self) -> int:
        """Frames in one pass of the engine, or one request to a server: all of them end alike."""
        return self._batch_size if self._engine.most is None else min(self._batch_size, self._engine.most)

    def server_state(self) -> dict[str, Any] | None:
        """Return how the server does that is asked for scores; None for an engine of this machine."""
        return self._engine.server_state()

    def hurry(self, limit_s: float) -> None:
        """Wait no longer than this for any further answer of a server."""
        self._engine.hurry(limit_s)

    @contextlib.contextmanager
    def on_fallback(self) -> Iterator[bool]:
        """Within it what stands in for a server scores alone; yields whether there is such a thing."""
        if not isinstance(self.path, RemoteAddress) or not (self.server_state() or {}).get("fallback"):
            yield False
            return
        from wordsight.runtime.backends.remote_fallback import WithFallback

        assert isinstance(self._engine, WithFallback)
        with self._engine.local_only():
            yield True

    def score(self, frames: NDArray[np.uint8] | Sequence[NDArray[np.uint8]]) -> Scores:
        """Score frames, in batches.

        Args:
            frames: (N, H, W, 3) uint8 BGR, or a sequence of (H, W, 3) uint8 BGR of any sizes. Frames that are not
                of the manifest's `input.shape` already are brought to it as the manifest says; a file that resizes in
                its graph takes those of its `input.frame` alone.

        Returns:
            N scores in the order of the frames; N may be 0.

        Raises:
            FrameError: a frame is no uint8 BGR picture, or not of the one size that the file takes; says which.
            ModelError: the engine fails, or the model was closed.
            NoAnswer: a server gave no answer, and nothing stands in for it; no frame has a score then.
        """
        if not self._open:
            raise ModelError(f"{self.path} was closed; open a new Model")
        if isinstance(frames, np.ndarray) and frames.ndim != 4:
            raise FrameError(f"expected (N, H, W, 3) or a sequence of frames, got shape {frames.shape}; one frame: [f]")
        # All are looked at before the first is scored: a wrong one at the end should not cost an hour.
        for index, frame in enumerate(frames):
            try:
                check_input(frame, self.manifest.input)
            except FrameError as error:
                raise FrameError(f"frame {index}: {error}") from error
        self.fell_back = False
        most = self.most
        parts = [self._pass(frames[at : at + most]) for at in range(0, len(frames), most)]
        joined: dict[str, Any] = {name: self._joined(name, parts) for name in Scores.__dataclass_fields__}
        return self._view.of(Scores(**joined))

    def _pass(self, frames: NDArray[np.uint8] | Sequence[NDArray[np.uint8]]) -> dict[str, Floats]:
        spec = self.manifest.input
        fitted = [fit_input(frame, spec) for frame in frames]
        # A camera's single frame is not copied: it may be of many megabytes.
        found = self._engine.infer(np.ascontiguousarray(fitted[0])[None] if len(fitted) == 1 else np.stack(fitted))
        self.fell_back = self.fell_back or self._engine.fell_back
        return found

    def _joined(self, name: str, parts: list[dict[str, Floats]]) -> Floats | None:
        if name not in self.manifest.outputs:
            return None
        if not parts:
            return np.zeros((0, *(int(axis) for axis in self.manifest.outputs[name][1:])), np.float32)
        return np.concatenate([part[name] for part in parts])

    @property
    def top(self) -> float:
        """Highest score there can be: the sum of the weights in use."""
        return self._view.top

    def seen_share(self, height: int, width: int) -> float:
        """Share of a frame's area, 0 to 1, that reaches the encoder; the rest is cropped away."""
        spec = self.manifest.input
        return seen_share(height, width, spec.size, spec.fit, spec.camera)

    def close(self) -> None:
        """Give the engine back; a second call does nothing."""
        if self._open:
            self._open = False
            self._engine.close()

    def __enter__(self) -> "Model":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
