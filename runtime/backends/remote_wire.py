"""What both protocols of the Open Inference Protocol offer, and how either fails."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.backends.base import Frames, one_line
from wordsight.runtime.errors import MissingPart

INSTALL = "pip install 'wordsight[remote]'"
Why = Literal["unreachable", "changed", "late", "token", "absent", "lacking", "refused", "broken"]


class WireError(Exception):
    """A request that was not answered as it should.

    Attributes:
        reason: one line; may hold what the server said.
        why: "unreachable" (nobody is there, or it says that it is not ready: asking again may help), "changed" (another
            version answered: what it serves is to be looked at), "late" (the time is over), "token" (none, or one that
            it does not take), "absent" (no such model or version), "lacking" (the server does not know this kind of
            request), "refused" (any other refusal), "broken" (an answer that is none).
    """

    def __init__(self, reason: object, why: Why) -> None:
        """Keep both."""
        self.reason, self.why = one_line(reason) or why, why
        super().__init__(self.reason)


@dataclass(frozen=True)
class TensorFacts:
    """What a server says of an input or output: its type as the protocol names it ("FP32"), and shape; -1 is open."""

    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ModelFacts:
    """What a server says of a model: inputs and outputs by name, batch included, and the versions it has."""

    inputs: Mapping[str, TensorFacts]
    outputs: Mapping[str, TensorFacts]
    versions: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelConfig:
    """Triton's configuration of a model, as far as it matters here.

    Attributes:
        most: frames in one request; 0 where the model itself says it.
        parameters: texts by name.
    """

    most: int = 0
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What a server answered to one request; arrays by name, of whatever type and shape it sent."""

    id: str
    name: str
    version: str
    arrays: Mapping[str, NDArray[Any]]


class Wire(ABC):
    """A connection to one model of a server. All times in seconds; every method raises WireError alone."""

    @abstractmethod
    def server(self, timeout_s: float) -> str:
        """Return name and version of the server."""

    @abstractmethod
    def metadata(self, timeout_s: float) -> ModelFacts:
        """Return what the server says of the model."""

    @abstractmethod
    def config(self, timeout_s: float) -> ModelConfig:
        """Return Triton's configuration; raises "lacking" or "absent" for other servers."""

    @abstractmethod
    def models(self, timeout_s: float) -> tuple[str, ...]:
        """Return the names of the models that are there."""

    @abstractmethod
    def infer(self, id: str, input: str, frames: Frames, outputs: Sequence[str], timeout_s: float) -> Answer:
        """Send (N, H, W, 3) uint8 frames and return the answer to this very request.

        The server is told how long it is waited for, and may drop what nobody waits for any more.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the connection back."""


def decoded(result: Any, outputs: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return the arrays of one of tritonclient's results, the caller's own."""
    arrays: dict[str, NDArray[Any]] = {}
    for name in outputs:
        try:
            found = result.as_numpy(name)
        except Exception as error:  # a length that is not that of the shape, a type that there is not
            raise WireError(f"output {name} cannot be read: {error}", "broken") from error
        if found is not None:
            arrays[name] = np.array(found)
    return arrays


def missing(error: ImportError) -> MissingPart:
    """Return the error of a machine without tritonclient."""
    return MissingPart(f"a model on a server needs tritonclient ({error.name or error})", INSTALL)
