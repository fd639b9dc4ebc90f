"""Which kind of source a text names: kinds that are built in, and those that plug-ins add.

A plug-in is a package with an entry point of the group `wordsight.sources`: its name is the scheme in front of the
colon, its value a factory `factory(text, options) -> Source`:

    [project.entry-points."wordsight.sources"]
    lidar = "acme.lidar:open_lidar"          # source = "lidar:head-2"
"""

import glob
import importlib
import importlib.metadata
import os
import re
from collections.abc import Callable
from typing import cast

from wordsight.runtime.errors import MissingPart, SettingError, SourceError
from wordsight.runtime.sources.frame import Source
from wordsight.runtime.sources.options import DEFAULTS, SourceOptions
from wordsight.runtime.urls import SCHEMES, masked

GROUP = "wordsight.sources"

Factory = Callable[[str, SourceOptions], Source]

_HERE = "wordsight.runtime.sources"
BUILT_IN = {
    "camera": f"{_HERE}.stream:camera",
    "watch": f"{_HERE}.watch:watch",
    "gst": f"{_HERE}.gst:gst",
    "basler": f"{_HERE}.basler:basler",
    **dict.fromkeys(SCHEMES, f"{_HERE}.stream:stream"),
}
"""Scheme -> "module:factory"; a plug-in cannot take one of these."""

# One letter is a Windows drive.
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):", re.IGNORECASE)
_DEVICE = re.compile(r"/dev/(?:video\d+|v4l/.+)")


def open_source(text: str | os.PathLike[str], options: SourceOptions = DEFAULTS) -> Source:
    """Return the source that `text` names. Cameras, streams and files are opened only when frames are asked for.

    A kind in front of a colon comes before everything else; then a camera's index or device; then a folder, a file,
    a glob.

    Args:
        text: see `wordsight.runtime.sources.open_source`.
        options: see `SourceOptions`.

    Raises:
        NothingFound: an empty folder, or a glob that matches nothing.
        SourceError: a folder that cannot be listed, a kind that there is not, a plug-in that is broken, an empty name.
        MissingPart: this machine lacks what the kind needs.
        SettingError: the kind cannot do what the options ask.
    """
    from wordsight.runtime.sources import files

    text = os.fspath(text)
    if not text.strip():
        raise SourceError("expected a file, folder, glob, camera index or URL, got an empty name")
    found = _SCHEME.match(text)
    scheme = found.group(1).lower() if found is not None else ""
    if options.trigger != "none" and scheme != "basler" and (scheme in BUILT_IN or _factory(scheme) is None):
        raise SettingError(f"only basler: takes a trigger, got trigger {options.trigger} for {masked(text)}")
    if (text.isascii() and text.isdigit()) or _DEVICE.fullmatch(text):
        return _loaded(BUILT_IN["camera"])(text, options)
    if found is not None:
        factory = _factory(scheme)
        if factory is not None:
            return factory(text, options)
        if text.startswith("//", found.end()) or not (os.path.lexists(text) or glob.has_magic(text)):
            raise SourceError(f"cannot open {masked(text)}: expected one of {', '.join(kinds())}, got {scheme}")
    if os.path.isdir(text):
        return files.folder(text, options)
    if glob.has_magic(text) and not os.path.lexists(text):
        return files.matches(text, options)
    return files.one_file(text, options)


def kinds() -> list[str]:
    """Return every scheme there is, those of plug-ins after our own."""
    return [*BUILT_IN, *sorted({entry.name.lower() for entry in _plug_ins()} - set(BUILT_IN))]


def _factory(scheme: str) -> Factory | None:
    if scheme in BUILT_IN:
        return _loaded(BUILT_IN[scheme])
    entries = [entry for entry in _plug_ins() if entry.name.lower() == scheme]
    if not entries:
        return None
    names = " and ".join(sorted(f"{_package(entry)} ({entry.value})" for entry in entries))
    if len(entries) > 1:
        raise SourceError(f"the kind of source {scheme} is brought twice, by {names}; uninstall one of them")
    try:
        factory = entries[0].load()
    except MissingPart:
        raise
    except Exception as error:  # whatever a plug-in's module raises while it is imported
        told = " ".join(str(error).split()) or type(error).__name__
        raise SourceError(f"the plug-in of the kind of source {scheme}, {names}, cannot be loaded: {told}") from error
    if not callable(factory):
        raise SourceError(f"the plug-in of the kind of source {scheme}, {names}, is no factory")
    return cast(Factory, factory)


def _loaded(place: str) -> Factory:
    module, _, name = place.partition(":")
    return cast(Factory, getattr(importlib.import_module(module), name))


def _plug_ins() -> list[importlib.metadata.EntryPoint]:
    # The same entry may be listed twice where a folder is on the path twice.
    return list(dict.fromkeys(importlib.metadata.entry_points(group=GROUP)))


def _package(entry: importlib.metadata.EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "a package"
