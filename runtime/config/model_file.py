"""The models that a line's file names: what they say about themselves, before an engine is opened with them."""

from functools import cached_property
from pathlib import Path

from wordsight.runtime.backends.remote_address import RemoteAddress
from wordsight.runtime.backends.remote_settings import LINE_DEADLINE_S, RemoteSettings
from wordsight.runtime.errors import WordsightError
from wordsight.runtime.files import file_sha256, file_stamp
from wordsight.runtime.manifest import Manifest, read_manifest


class ModelFile:
    """An exported file, or a model on a server, before an engine is opened with it.

    Attributes:
        path: of the file, or the address.
        manifest: what it says about itself.
        stamp: size, time and place on the disk of what was read: another one is another file. None for a server.
        beside: the file here that calibration and references may lie beside; None where there is none.
        remote: how the server is asked; None for a file.
        remarks: what is to be known beforehand, one line each.
    """

    def __init__(self, path: Path | RemoteAddress, remote: RemoteSettings | None = None) -> None:
        """Read the manifest, or ask for it.

        Raises:
            ModelError: see `read_manifest`, and `backends.remote_open.find_remote`.
            MissingPart, SettingError: see there.
        """
        self.path = path
        self.stamp: tuple[int, int, int] | None = None
        self.beside: Path | None
        self.manifest: Manifest
        self.remarks: tuple[str, ...] = ()
        self.remote: RemoteSettings | None = None
        if isinstance(path, RemoteAddress):
            from wordsight.runtime.backends.remote_open import find_remote

            self.remote = remote or RemoteSettings(deadline_s=LINE_DEADLINE_S)
            facts, away = find_remote(path, self.remote)
            self.manifest, self._known_sha256 = facts.manifest, facts.sha256 or ""
            self.beside = self.remote.fallback or self.remote.manifest
            if away:
                self.remarks = (f"{away}; {self.remote.fallback} scores until it does",)
        else:
            self.manifest, self.beside, self.stamp = read_manifest(path), path, file_stamp(path)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file; empty where a server does not tell it."""
        return self._known_sha256 if isinstance(self.path, RemoteAddress) else file_sha256(self.path)

    @property
    def key(self) -> str:
        """What tells it from other models: the same file is the same model, wherever it lies here."""
        return f"{self.path} {self.sha256}" if isinstance(self.path, RemoteAddress) else self.sha256


class ModelFiles:
    """The exported files that a line's file names, each read once."""

    def __init__(self) -> None:
        """Begin with none."""
        self._read: dict[Path | RemoteAddress, ModelFile | WordsightError] = {}

    def at(self, path: Path | RemoteAddress, remote: RemoteSettings | None = None) -> ModelFile:
        """Return the file, or the model on a server and how that is asked.

        Raises:
            ModelError: as `ModelFile`, the same again each time.
        """
        if path not in self._read:
            try:
                self._read[path] = ModelFile(path, remote)
            except WordsightError as error:
                self._read[path] = error
        found = self._read[path]
        if isinstance(found, WordsightError):
            raise found
        return found
