"""The Open Inference Protocol over HTTP with binary tensors, by tritonclient."""

import ssl
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from wordsight.runtime.backends.base import Frames
from wordsight.runtime.backends.remote_address import RemoteAddress
from wordsight.runtime.backends.remote_settings import LONGEST_S, Token
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
    "401": "token",
    "403": "token",
    "404": "absent",
    "405": "lacking",
    "408": "unreachable",
    "429": "unreachable",
    "501": "lacking",
    "502": "unreachable",  # a gateway whose server is away
    "503": "unreachable",
    "504": "unreachable",
}


class HttpWire(Wire):
    """See `Wire`. What gevent connects belongs to the thread that connected: each thread has a client of its own."""

    def __init__(self, address: RemoteAddress, ca: Path | None, token: Token) -> None:
        """Connect with the first request.

        Raises:
            MissingPart: tritonclient is not installed.
        """
        try:
            import gevent
            import tritonclient.http as module
        except ImportError as error:
            raise missing(error) from error
        self._gevent: Any = gevent
        self._module: Any = module
        self._address, self._token = address, token
        self._ca = None if ca is None else str(ca)
        self._model = {"model_name": address.name, "model_version": address.version}
        self._clients = threading.local()

    def server(self, timeout_s: float) -> str:
        """Return name and version of the server."""
        found = self._asked("get_server_metadata", timeout_s)
        return _read(lambda: f"{found['name']} {found.get('version', '')}".strip())

    def metadata(self, timeout_s: float) -> ModelFacts:
        """Return what the server says of the model."""
        found = self._asked("get_model_metadata", timeout_s, **self._model)

        def tensors(key: str) -> dict[str, TensorFacts]:
            return {one["name"]: TensorFacts(str(one["datatype"]), tuple(map(int, one["shape"]))) for one in found[key]}

        return _read(
            lambda: ModelFacts(tensors("inputs"), tensors("outputs"), tuple(map(str, found.get("versions") or ())))
        )

    def config(self, timeout_s: float) -> ModelConfig:
        """Return Triton's configuration."""
        found = self._asked("get_model_config", timeout_s, **self._model)
        return _read(
            lambda: ModelConfig(
                int(found.get("max_batch_size", 0)),
                {key: str(one["string_value"]) for key, one in (found.get("parameters") or {}).items()},
            )
        )

    def models(self, timeout_s: float) -> tuple[str, ...]:
        """Return the names of the models that are there."""
        found = self._asked("get_model_repository_index", timeout_s)
        return _read(lambda: tuple(dict.fromkeys(str(one["name"]) for one in found)))

    def infer(self, id: str, input: str, frames: Frames, outputs: Sequence[str], timeout_s: float) -> Answer:
        """Send frames and return the answer."""
        tensor = self._module.InferInput(input, list(frames.shape), "UINT8")
        tensor.set_data_from_numpy(frames, binary_data=True)
        result = self._asked(
            "infer", timeout_s, inputs=[tensor], request_id=id, timeout=max(1, int(1e6 * timeout_s)),
            outputs=[self._module.InferRequestedOutput(name, binary_data=True) for name in outputs], **self._model,
        )  # fmt: skip
        told = result.get_response()
        arrays = decoded(result, outputs)
        return _read(
            lambda: Answer(
                str(told.get("id", "")), str(told.get("model_name", "")), str(told.get("model_version", "")), arrays
            )
        )

    def close(self) -> None:
        """Close this thread's connection; those of others end with their threads."""
        client = getattr(self._clients, "one", None)
        if client is not None:
            self._clients.one = None
            client.close()

    def _client(self) -> Any:
        client = getattr(self._clients, "one", None)
        if client is None:
            # Its own limits are for each read alone, and fixed: the time of a whole request is kept in `_asked`.
            client = self._module.InferenceServerClient(
                self._address.netloc + self._address.base, ssl=self._address.tls,
                ssl_context_factory=lambda: self._gevent.ssl.create_default_context(cafile=self._ca),
                connection_timeout=LONGEST_S, network_timeout=LONGEST_S,
            )  # fmt: skip
            self._clients.one = client
        return client

    def _asked(self, call: str, timeout_s: float, **more: Any) -> Any:
        from tritonclient.utils import InferenceServerException

        late = self._gevent.Timeout(max(0.001, timeout_s))
        late.start()
        try:
            return getattr(self._client(), call)(**more, headers=self._token.header)
        except self._gevent.Timeout as error:
            self.close()  # the answer to this request may still come, and is not to be taken for the next one's
            if error is not late:
                raise WireError("timed out", "unreachable") from None
            raise WireError("the time was over", "late") from None
        except InferenceServerException as error:
            told = self._token.scrub(error.message() or "")
            raise WireError(told, _WHY.get(error.status() or "", "refused")) from None
        except ssl.SSLError as error:
            self.close()
            raise WireError(getattr(error, "verify_message", "") or error, "refused") from None
        except OSError as error:
            self.close()
            raise WireError((error.strerror or str(error)).lower(), "unreachable") from None
        except Exception as error:  # the client's own, for a connection that was closed, and for what is no HTTP
            self.close()
            gone = type(error).__name__ == "HTTPConnectionClosed"
            told = self._token.scrub(f"{type(error).__name__}: {error}")
            raise WireError("connection closed" if gone else told, "unreachable" if gone else "broken") from None
        finally:
            late.close()


def _read(take: Callable[[], T]) -> T:
    """Read what a server sent; anything may lack in it."""
    try:
        return take()
    except Exception as error:
        raise WireError(f"an answer that is not of the protocol: {type(error).__name__}: {error}", "broken") from error
