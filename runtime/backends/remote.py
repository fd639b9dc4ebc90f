"""A model on a server that speaks the Open Inference Protocol v2 (Triton, KServe, MLServer): `docs/remote.md`.

Every request has an id of its own, and an answer without it is none. Which file the server serves is asked again after
every fault, and every so often: a server that came back with another model gives no answer rather than other scores.
"""

import secrets
import ssl
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from wordsight.runtime.backends.base import Arrays, Backend, Frames
from wordsight.runtime.backends.remote_address import RemoteAddress
from wordsight.runtime.backends.remote_again import again
from wordsight.runtime.backends.remote_facts import (
    RemoteFacts,
    ask_config,
    ask_facts,
    check_facts,
    most_of,
    require_same,
)
from wordsight.runtime.backends.remote_settings import RemoteSettings, Token
from wordsight.runtime.backends.remote_wire import Answer, Wire, WireError
from wordsight.runtime.errors import ModelError, NoAnswer, SettingError

_OPENING_S = 5.0  # for a server to be found at all, at most
_CHECK_S = 30.0  # between two looks at which file is served


def open_wire(address: RemoteAddress, settings: RemoteSettings) -> tuple[Wire, Token]:
    """Return a connection that is made with its first request, and the token it sends.

    Raises:
        MissingPart: tritonclient is not installed.
        SettingError: token or authorities cannot be read, or the token would go unencrypted.
    """
    token = Token(settings.token_file, address)
    if settings.ca is not None and not address.tls:
        raise SettingError(f"{settings.ca} is for TLS: use {'grpcs' if address.grpc else 'https'}://, got {address}")
    if settings.ca is not None:
        try:
            ssl.create_default_context(cafile=settings.ca)  # now rather than with the first request
        except OSError as error:  # ssl.SSLError is one
            told = (error.strerror or str(error)).lower()
            raise SettingError(f"cannot read the authorities {settings.ca}: {told}; expected PEM") from error
    if address.grpc:
        from wordsight.runtime.backends.remote_grpc import GrpcWire

        return GrpcWire(address, settings.ca, token), token
    from wordsight.runtime.backends.remote_http import HttpWire

    return HttpWire(address, settings.ca, token), token


def read_facts(address: RemoteAddress, settings: RemoteSettings) -> RemoteFacts:
    """Ask what a model on a server is.

    Raises:
        NoAnswer: the server is not there, not ready, takes no token, or says what is not of the protocol.
        ServerRefused: no such model, or another than was asked for.
        ModelError: a manifest that cannot be used.
        MissingPart, SettingError: see `open_wire`.
    """
    wire, token = open_wire(address, settings)
    try:
        limit_s = min(settings.deadline_s, _OPENING_S)
        return again(lambda left_s: ask_facts(wire, address, settings, left_s), limit_s, address, token)
    finally:
        wire.close()


class RemoteBackend(Backend):
    """One model on a server; see `wordsight.runtime.backends.base.Backend`.

    Attributes:
        most: frames in one request; None where any number goes.
        requests: sent.
        retries: of those, further attempts at the same.
        unanswered: calls of `infer` that ended without an answer.
        last_reason: why the last one did; None when it was answered.
    """

    def __init__(
        self,
        address: RemoteAddress,
        facts: RemoteFacts,
        settings: RemoteSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to ask; the server is not asked yet.

        Args:
            address: of the model.
            facts: what it must be.
            settings: how it is asked.
            clock: monotonic, in seconds.

        Raises:
            MissingPart, SettingError: see `open_wire`.
        """
        self._address, self._facts, self._settings, self._clock = address, facts, settings, clock
        self._wire, self._token = open_wire(address, settings)
        self._checked_s: float | None = None
        self._version = ""
        self._known = False  # inputs and outputs were held against the manifest
        self._run = secrets.token_hex(8)
        self.most = facts.most
        self._limit_s = settings.deadline_s
        self.requests = self.retries = self.unanswered = 0
        self.name = f"{facts.server or 'a server'} at {address}"
        self.last_reason: str | None = None

    def infer(self, frames: Frames) -> Arrays:
        """Have (N, H, W, 3) uint8 BGR frames scored; return each output of the manifest by name.

        More than `most` frames go in several requests, one after the other, each with its own deadline.

        Raises:
            NoAnswer: there is none, or none that can be trusted.
        """
        frames = np.ascontiguousarray(frames)
        most = self.most or len(frames)
        try:
            parts = [self._answer(frames[at : at + most]) for at in range(0, len(frames), most)]
        except NoAnswer as error:
            self.unanswered += 1
            self.last_reason = str(error)
            raise
        self.last_reason = None
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def server_state(self) -> dict[str, Any]:
        """See `Backend`."""
        return {
            "state": "answering" if self.last_reason is None else "no answer",
            "reason": self.last_reason,
            "requests": self.requests,
            "retries": self.retries,
            "unanswered": self.unanswered,
            "fallback": None,
            "fallback_frames": 0,
        }

    def hurry(self, limit_s: float) -> None:
        """Wait no longer than this for any further answer: the process is to end."""
        self._limit_s = min(self._limit_s, limit_s)

    def close(self) -> None:
        """Give the connection back."""
        self._wire.close()

    def _answer(self, frames: Frames) -> Arrays:
        tried = 0

        def attempt(left_s: float) -> Arrays:
            nonlocal tried
            self.retries += tried > 0
            tried += 1
            try:
                self._check(left_s)
                self.requests += 1
                id = f"{self._run}-{self.requests}"
                outputs = list(self._facts.manifest.outputs)
                answer = self._wire.infer(id, self._facts.manifest.input.name, frames, outputs, left_s)
                return self._trusted(answer, id, len(frames))
            except (WireError, ModelError):
                self._checked_s = None
                raise

        try:
            return again(attempt, self._limit_s, self._address, self._token, self._clock)
        except NoAnswer:
            raise
        except ModelError as error:
            raise NoAnswer(str(error)) from error

    def _check(self, timeout_s: float) -> None:
        """Look whether the server serves what it must.

        Raises:
            WireError: it does not answer.
            ServerRefused: it serves something else.
        """
        if self._checked_s is not None and self._clock() - self._checked_s < _CHECK_S:
            return
        facts, found = self._facts, None
        if not self._known or not facts.told:
            found = self._wire.metadata(timeout_s)
            check_facts(found, facts.manifest, str(self._address))
        if facts.told:
            config = ask_config(self._wire, timeout_s)
            require_same(facts, config, str(self._address))
            if found is not None:
                self.most = most_of(config, found, facts.manifest)
        self._known = True
        self._checked_s = self._clock()
        self._version = ""

    def _trusted(self, answer: Answer, id: str, count: int) -> Arrays:
        """Return the arrays of an answer that is one.

        Raises:
            WireError: it is another's, of another model, or of other shapes.
        """
        if answer.id != id:
            raise WireError(f"an answer to another request: expected the id {id}, got {answer.id!r}", "broken")
        if answer.name != self._address.name:
            raise WireError(f"an answer of the model {answer.name!r}", "broken")
        if self._version not in ("", answer.version) or self._address.version not in ("", answer.version):
            known = self._address.version or self._version
            told = f"an answer of version {answer.version or 'none'} of the model, expected {known}"
            raise WireError(told, "broken" if self._address.version else "changed")
        self._version = answer.version
        arrays: Arrays = {}
        for name, shape in self._facts.manifest.outputs.items():
            got = answer.arrays.get(name)
            if got is None:
                raise WireError(f"an answer without the output {name}", "broken")
            if len(shape) == 1 and got.shape[1:] == (1,):  # Triton has no outputs without an axis of their own
                got = got[:, 0]
            fits = got.dtype == np.float32 and got.ndim == len(shape) and got.shape[0] == count and all(
                isinstance(ours, str) or ours == theirs for ours, theirs in zip(shape[1:], got.shape[1:], strict=True)
            )  # fmt: skip
            if not fits:
                expected = [count, *shape[1:]]
                told = f"expected output {name} as float32 {expected}, got {got.dtype} {list(got.shape)}"
                raise WireError(told, "broken")
            arrays[name] = got
        return arrays
