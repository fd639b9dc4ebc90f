"""What the command line says about a model on a server."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wordsight.runtime.errors import SettingError

if TYPE_CHECKING:
    from wordsight.runtime.backends.remote_settings import RemoteSettings

DeadlineMs = Annotated[
    float | None, typer.Option(help="Of a server: time for each request, attempts included. [10000]")
]
ManifestFile = Annotated[
    Path | None,
    typer.Option("--manifest", metavar="FILE", help="Of a server that tells no manifest: the exported file it serves."),
]
ExpectSha256 = Annotated[
    str | None, typer.Option(metavar="HEX", help="Of a server: refuse it unless it serves this exported file.")
]
Ca = Annotated[Path | None, typer.Option(metavar="FILE", help="Of a server: PEM of the authorities to trust.")]
TokenFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Of a server: its token; or set WORDSIGHT_REMOTE_TOKEN.")
]


def remote_settings(
    model: str,
    deadline_ms: float | None = None,
    manifest: Path | None = None,
    expect_sha256: str | None = None,
    ca: Path | None = None,
    token_file: Path | None = None,
) -> "RemoteSettings | None":
    """Return how a server is asked for `model`; None for a file.

    Raises:
        SettingError: an option about a server beside a file, or out of range.
    """
    from wordsight.runtime.backends.remote_address import is_remote
    from wordsight.runtime.backends.remote_settings import RemoteSettings

    if is_remote(model):
        deadline_s = RemoteSettings.deadline_s if deadline_ms is None else deadline_ms / 1000
        return RemoteSettings(deadline_s, ca, token_file, manifest, expect_sha256)
    given = {"--deadline-ms": deadline_ms, "--manifest": manifest, "--expect-sha256": expect_sha256, "--ca": ca,
             "--token-file": token_file}  # fmt: skip
    idle = [option for option, value in given.items() if value is not None]
    if idle:
        raise SettingError(f"{idle[0]} goes with a model on a server, as grpc://host:8001/model, and {model} is a file")
    return None
