"""What a model on a server is: its manifest, from the server itself or from a file, held against what it serves."""

import os
from dataclasses import dataclass
from pathlib import Path

from wordsight.runtime.backends.remote_address import RemoteAddress
from wordsight.runtime.backends.remote_settings import RemoteSettings
from wordsight.runtime.backends.remote_wire import ModelConfig, ModelFacts, TensorFacts, Wire, WireError
from wordsight.runtime.errors import ManifestInvalid, ManifestTooNew, ModelError, ServerRefused
from wordsight.runtime.files import file_sha256
from wordsight.runtime.manifest import METADATA_KEY, Manifest, read_manifest

SHA256_KEY = "wordsight_sha256"
"""Parameter of a model's configuration that holds the SHA-256 of the exported file; its manifest is `METADATA_KEY`."""
_MOST_BYTES = 16 * 2**20  # of a manifest as JSON


@dataclass(frozen=True)
class RemoteFacts:
    """A model on a server, as it was found.

    Attributes:
        manifest: what it says about itself.
        sha256: of the exported file; None where nobody says it.
        told: whether the server says both, and they can be asked for again.
        most: frames in one request; None where any number goes.
        server: name and version of the server; empty where it was not asked.
    """

    manifest: Manifest
    sha256: str | None
    told: bool
    most: int | None = None
    server: str = ""


def ask_facts(wire: Wire, address: RemoteAddress, settings: RemoteSettings, timeout_s: float) -> RemoteFacts:
    """Ask a server what a model is, and hold the answers against each other and the settings.

    Raises:
        WireError: it does not answer as it should.
        ServerRefused: it has no such model, tells no manifest and none was given, or serves something else.
        ModelError: the file of `settings.manifest` cannot be used, or the server's manifest is too new or damaged.
    """
    try:
        found = wire.metadata(timeout_s)
    except WireError as error:
        if error.why != "absent":
            raise
        raise ServerRefused(_absent(wire, address, error, timeout_s)) from error
    config = ask_config(wire, timeout_s)
    text, sha256 = config.parameters.get(METADATA_KEY), config.parameters.get(SHA256_KEY) or None
    if text is not None:
        try:
            manifest = Manifest.from_json(text)
        except (ManifestInvalid, ManifestTooNew) as error:
            raise type(error)(f"{address}: {error}") from error
    elif settings.manifest is not None:
        manifest, sha256 = given_manifest(settings.manifest)
    else:
        raise ServerRefused(
            f"{address} tells no Wordsight manifest: serve what `wordsight triton` wrote, or name the exported file "
            "that it serves, --manifest FILE"
        )
    if settings.expect_sha256 is not None and sha256 != settings.expect_sha256:
        serves = f"serves {sha256[:12]}..." if sha256 else "does not say which file it serves"
        raise ServerRefused(f"{address}: expected the model {settings.expect_sha256[:12]}..., the server {serves}")
    if text is not None and settings.manifest is not None:
        wanted, wanted_sha256 = given_manifest(settings.manifest)
        if manifest != wanted or (sha256 is not None and wanted_sha256 not in (None, sha256)):
            raise ServerRefused(f"{address} serves another model than {settings.manifest}: its manifest differs")
    check_facts(found, manifest, str(address))
    try:
        server = wire.server(timeout_s)
    except WireError:
        server = "a server"  # merely its name
    return RemoteFacts(manifest, sha256, text is not None, most_of(config, found, manifest), server)


def ask_config(wire: Wire, timeout_s: float) -> ModelConfig:
    """Return Triton's configuration of the model; an empty one of servers that have none.

    Raises:
        WireError: the server does not answer.
    """
    try:
        return wire.config(timeout_s)
    except WireError as error:
        if error.why not in ("absent", "lacking", "refused"):
            raise
        return ModelConfig()


def given_manifest(path: Path) -> tuple[Manifest, str | None]:
    """Return the manifest of an exported file and the file's SHA-256, or a manifest as JSON and None.

    Raises:
        ModelError: neither.
    """
    try:
        with open(path, "rb") as file:
            is_json = file.read(1) == b"{"
            text = file.read(_MOST_BYTES).decode("utf-8", "replace") if is_json else ""
    except OSError:
        return read_manifest(path), None  # which says what is wrong with it
    if not is_json:
        return read_manifest(path), file_sha256(path)
    try:
        return Manifest.from_json("{" + text), None
    except (ManifestInvalid, ManifestTooNew) as error:
        raise type(error)(f"{os.fspath(path)}: {error}") from error


def require_same(facts: RemoteFacts, config: ModelConfig, who: str) -> None:
    """Hold what a server says of itself against what it must be.

    Raises:
        ServerRefused: it serves another model.
    """
    text, sha256 = config.parameters.get(METADATA_KEY), config.parameters.get(SHA256_KEY)
    if facts.sha256 is not None:
        if sha256 != facts.sha256:
            serves = f"{sha256[:12]}..." if sha256 else "one of which it does not say the SHA-256"
            raise ServerRefused(f"{who}: expected the model {facts.sha256[:12]}..., the server serves {serves}")
        return
    try:
        same = text is not None and Manifest.from_json(text) == facts.manifest
    except ModelError:
        same = False
    if not same:
        raise ServerRefused(f"{who}: the server serves another model: its manifest differs")


def check_facts(found: ModelFacts, manifest: Manifest, who: str) -> None:
    """Hold inputs and outputs that a server names against the manifest.

    Triton has no outputs without an axis beside that of the batch: what is (N,) may be (N, 1) there.

    Raises:
        ServerRefused: they are others.
    """
    rows, columns = manifest.input.shape
    name = manifest.input.name
    _require(found.inputs.get(name), "UINT8", ("N", rows, columns, 3), f"{who}: input {name}")
    if set(found.inputs) != {name}:
        raise ServerRefused(f"{who}: expected the one input {name} of the manifest, got {', '.join(found.inputs)}")
    for output, shape in manifest.outputs.items():
        told = found.outputs.get(output)
        if told is not None and len(shape) == 1 and len(told.shape) == 2:
            told = TensorFacts(told.datatype, told.shape[:1] if told.shape[1] == 1 else told.shape)
        _require(told, "FP32", shape, f"{who}: output {output}")


def most_of(config: ModelConfig, found: ModelFacts, manifest: Manifest) -> int | None:
    """Return how many frames go into one request; None for any number."""
    if config.most > 0:
        return config.most
    batch = found.inputs[manifest.input.name].shape[0]
    return batch if batch > 0 else None


def same_scores(one: Manifest, other: Manifest) -> str:
    """Return why the scores of two files cannot stand for each other; empty where they may."""
    differ = [
        name for name in ("input", "outputs", "crops", "prompts", "score", "objects")
        if getattr(one, name) != getattr(other, name)
    ]  # fmt: skip
    return ", ".join(differ)


def _require(found: TensorFacts | None, datatype: str, shape: tuple[str | int, ...], what: str) -> None:
    expected = f"{datatype} {list(shape)}"
    if found is None:
        raise ServerRefused(f"{what}: expected {expected} by the manifest, and the server has none of that name")
    fits = found.datatype == datatype and len(found.shape) == len(shape) and all(
        isinstance(ours, str) or theirs in (-1, ours) for ours, theirs in zip(shape, found.shape, strict=True)
    )  # fmt: skip
    if not fits:
        raise ServerRefused(f"{what}: expected {expected} by the manifest, got {found.datatype} {list(found.shape)}")


def _absent(wire: Wire, address: RemoteAddress, error: WireError, timeout_s: float) -> str:
    version = f"version {address.version} of a " if address.version else ""
    what = f"no {version}model {address.name!r}"
    try:
        known = wire.models(timeout_s)
    except WireError:
        known = ()
    there = f"; it has {', '.join(known[:8])}" if known else ""
    return f"{address.server} has {what} ({error.reason}){there}"
