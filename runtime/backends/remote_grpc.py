"""The Open Inference Protocol over gRPC, by tritonclient."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from wordsight.runtime.backends.base import Frames
from wordsight.runtime.backends.remote_address import RemoteAddress
from wordsight.runtime.backends.remote_settings import Token
from wordsight.runtime.backends.remote_wire import (
    Answer,
    ModelConfig,
    ModelFacts,
    TensorFacts,
    Why,
    Wire,
    WireError,
    decoded,
    missing,
)

T = TypeVar("T")
_WHY: dict[str, Why] = {
    "UNAVAILABLE": "unreachable",
    "CANCELLED": "unreachable",  # by a server that goes: nobody here cancels
    "DEADLINE_EXCEEDED": "late",
    "UNAUTHENTICATED": "token",
    "PERMISSION_DENIED": "token",
    "NOT_FOUND": "absent",
    "UNIMPLEMENTED": "lacking",
}
_ARGUMENTS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # gRPC's own pauses grow to two minutes: a server that is back would be found long after.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A host that vanished without a word is noticed.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # Of its own, so that one that waits to be tried again is not shared with another.
    ("grpc.use_local_subchannel_pool", 1),
]


class GrpcWire(Wire):
    """See `Wire`; may be used from several threads."""

    def __init__(self, address: RemoteAddress, ca: Path | None, token: Token) -> None:
        """Connect with the first request.

        Raises:
            MissingPart: tritonclient is not installed.
        """
        try:
            import tritonclient.grpc as module
        except ImportError as error:
            raise missing(error) from error
        self._module: Any = module
        self._address, self._token = address, token
        self._client = module.InferenceServerClient(
            address.netloc, ssl=address.tls, root_certificates=None if ca is None else str(ca), channel_args=_ARGUMENTS
        )
        self._model = {"model_name": address.name, "model_version": address.version}

    def server(self, timeout_s: float) -> str:
        """Return name and version of the server."""
        found = self._asked(self._client.get_server_metadata, timeout_s)
        return f"{found.name} {found.version}".strip()

    def metadata(self, timeout_s: float) -> ModelFacts:
        """Return what the server says of the model."""
        found = self._asked(self._client.get_model_metadata, timeout_s, **self._model)
        inputs, outputs = (
            {one.name: TensorFacts(one.datatype, tuple(one.shape)) for one in tensors}
            for tensors in (found.inputs, found.outputs)
        )
        return ModelFacts(inputs, outputs, tuple(found.versions))

    def config(self, timeout_s: float) -> ModelConfig:
        """Return Triton's configuration."""
        found = self._asked(self._client.get_model_config, timeout_s, **self._model).config
        return ModelConfig(found.max_batch_size, {key: one.string_value for key, one in found.parameters.items()})

    def models(self, timeout_s: float) -> tuple[str, ...]:
        """Return the names of the models that are there."""
        found = self._asked(self._client.get_model_repository_index, timeout_s)
        return tuple(dict.fromkeys(one.name for one in found.models))

    def infer(self, id: str, input: str, frames: Frames, outputs: Sequence[str], timeout_s: float) -> Answer:
        """Send frames and return the answer."""
        tensor = self._module.InferInput(input, list(frames.shape), "UINT8")
        tensor.set_data_from_numpy(frames)
        result = self._asked(
            self._client.infer, timeout_s, inputs=[tensor], request_id=id, timeout=max(1, int(1e6 * timeout_s)),
            outputs=[self._module.InferRequestedOutput(name) for name in outputs], **self._model,
        )  # fmt: skip
        told = result.get_response()
        return Answer(told.id, told.model_name, told.model_version, decoded(result, outputs))

    def close(self) -> None:
        """Close the channel."""
        self._client.close()

    def _asked(self, call: Callable[..., T], timeout_s: float, **more: Any) -> T:
        from tritonclient.utils import InferenceServerException

        try:
            return call(**more, headers=self._token.header, client_timeout=max(0.001, timeout_s))
        except InferenceServerException as error:
            why = _WHY.get((error.status() or "").rpartition(".")[2], "refused")
            told = self._token.scrub(error.message() or "")
            if why == "unreachable" and ("CERTIFICATE" in told or "andshake" in told):
                why = "refused"  # another attempt shows the same certificate
            elif told.startswith("failed to connect to all addresses"):
                told = told.rpartition(": ")[2].lower()
            raise WireError(told, why) from None
        except Exception as error:
            raise WireError(self._token.scrub(f"{type(error).__name__}: {error}"), "broken") from None
