"""Open a model on a server, with what stands in for it where the settings name that."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from wordsight.runtime.backends import open_backend
from wordsight.runtime.backends.base import Backend
from wordsight.runtime.backends.remote import RemoteBackend, read_facts
from wordsight.runtime.backends.remote_address import RemoteAddress
from wordsight.runtime.backends.remote_facts import RemoteFacts, same_scores
from wordsight.runtime.backends.remote_fallback import WithFallback
from wordsight.runtime.backends.remote_settings import RemoteSettings
from wordsight.runtime.errors import NoAnswer, ServerRefused, SettingError
from wordsight.runtime.files import file_sha256
from wordsight.runtime.manifest import Manifest, read_manifest


def find_remote(address: RemoteAddress, settings: RemoteSettings) -> tuple[RemoteFacts, str]:
    """Return what a model on a server is; where there is a fallback, the server need not be there for it.

    Returns:
        The facts, and why the server gave no answer: empty when it did.

    Raises:
        NoAnswer: there is none, and no fallback.
        ServerRefused: no such model, another than was asked for, or a fallback that is another.
        ModelError: a manifest or fallback that cannot be used.
        MissingPart, SettingError: see `remote.open_wire`.
    """
    fallback = None if settings.fallback is None else read_manifest(settings.fallback)
    try:
        facts = read_facts(address, settings)
    except NoAnswer as error:
        if settings.fallback is None or fallback is None:
            raise
        sha256 = settings.expect_sha256 if settings.any_fallback else file_sha256(settings.fallback)
        if settings.expect_sha256 not in (None, sha256):
            raise _other_file(settings.fallback, str(settings.expect_sha256)) from error
        return RemoteFacts(fallback, sha256, settings.manifest is None), str(error)
    if settings.fallback is not None and fallback is not None:
        _require_stand_in(settings.fallback, fallback, facts, settings.any_fallback)
    return facts, ""


def open_remote(
    address: RemoteAddress,
    settings: RemoteSettings,
    facts: RemoteFacts,
    away: str,
    backend: str = "auto",
    *,
    batch: int = 32,
    threads: int | None = None,
    on_step: Callable[[str], None] = lambda _: None,
) -> Backend:
    """Return a backend that has scored one black frame on the server, or has something that stands in for it.

    Args:
        address: of the model.
        settings: how it is asked.
        facts: of `find_remote`.
        away: of `find_remote`.
        backend: of the fallback.
        batch: most frames at once, for the fallback.
        threads: of the fallback.
        on_step: see `open_backend`.

    Raises:
        NoAnswer: the server gives none, and there is no fallback.
        ModelError, MissingPart: the fallback cannot be opened.
        SettingError: a backend is named, and there is nothing here that it could run.
    """
    if settings.fallback is None and backend != "auto":
        raise SettingError(f"expected no backend beside {address}: the server chooses its engine; got {backend}")
    server = RemoteBackend(address, facts, settings)
    try:
        if not away:
            server.infer(np.zeros((1, *facts.manifest.input.shape, 3), np.uint8))
    except NoAnswer as error:
        if settings.fallback is None:
            server.close()
            raise
        away = str(error)
    if settings.fallback is None:
        return server
    try:
        manifest = read_manifest(settings.fallback)
        local = open_backend(backend, settings.fallback, manifest, batch=batch, threads=threads, on_step=on_step)
    except BaseException:
        server.close()
        raise
    return WithFallback(
        server, local, facts.manifest, lambda: RemoteBackend(address, facts, settings), away=away or None,
        end_thread=_nothing if address.grpc else _leave_gevent,
    )  # fmt: skip


def _nothing() -> None:
    pass


def _leave_gevent() -> None:
    """Give back the loop that gevent keeps for each thread that connects, with its files: outages may be many."""
    import gevent

    gevent.get_hub().destroy(destroy_loop=True)


def _require_stand_in(path: Path, fallback: Manifest, facts: RemoteFacts, other_allowed: bool) -> None:
    """Refuse a fallback whose scores would not mean the same."""
    if facts.sha256 is not None and not other_allowed and file_sha256(path) != facts.sha256:
        raise _other_file(path, facts.sha256)
    differ = same_scores(facts.manifest, fallback)
    if differ:
        raise ServerRefused(f"{path} cannot stand in for the server's model: {differ} of their manifests differ")


def _other_file(path: Path, wanted: str) -> ServerRefused:
    return ServerRefused(
        f"{path} is another file, {file_sha256(path)[:12]}..., than the server's, {wanted[:12]}...: name the same, or "
        "allow it with any_fallback = true"
    )
