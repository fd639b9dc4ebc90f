"""A run begun or taken up: the source is listed, or held against the listing that is there."""

import contextlib
import dataclasses
import importlib.metadata
import re
import shutil
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from pathlib import Path

from wordsight.runtime.archive import listing
from wordsight.runtime.archive.entries import Entry
from wordsight.runtime.archive.find import Found
from wordsight.runtime.archive.parquet import listed_rows
from wordsight.runtime.archive.run_file import Run, begin, open_folder, require_same
from wordsight.runtime.archive.worker import not_written
from wordsight.runtime.errors import ArchiveError, NothingFound, SettingError
from wordsight.runtime.files import PARTS, file_sha256
from wordsight.runtime.urls import masked

OnListed = Callable[[int], None]
_COLUMN = "image"
_OLD_S = 24 * 3600.0
_EVERY = 1000  # pictures between two words about how far the listing is


def run_of(
    folder: Path, wanted: Run, *, look_again: bool, on_listed: OnListed = lambda count: None
) -> tuple[Run, bool]:
    """Return the run of a folder, begun now if there is none.

    Args:
        folder: of the archive; made if it is not there.
        wanted: model and settings; what the listing tells is filled in here. Its `pictures_per_shard` may be 0: as many
            as is right for the number of pictures.
        look_again: of a run that is there, list the source anew and hold it against the listing.
        on_listed: called with the number of pictures so far.

    Returns:
        The run, and whether it was there already.

    Raises:
        OutputError: the folder is something else.
        ArchiveError: another model, other settings, a changed source, a full disk.
        NothingFound: the source holds no picture.
        SourceError: it cannot be listed.
    """
    held = open_folder(folder)
    if held is not None:
        require_same(folder, held, wanted)
        place = folder / held.listing
        if not place.is_file() or file_sha256(place) != held.listing_sha256:
            raise ArchiveError(f"the listing {place} is gone or damaged; begin again in another folder")
        if not look_again:
            return held, True
        _sweep(folder)
    (folder / "shards").mkdir(exist_ok=True)
    try:
        with listing.Listing(folder) as gathered:
            passed_over, column = _gather(gathered, folder, wanted, on_listed)
            size = held.pictures_per_shard if held else wanted.pictures_per_shard or listing.shard_size(gathered.count)
            name, digest = gathered.write(folder, size)
    except OSError as error:
        raise not_written(folder, error) from error
    if held is not None:
        if digest != held.listing_sha256:
            _refuse_changed(folder, held, name)
        return held, True
    run = dataclasses.replace(
        wanted, listing=name, listing_sha256=digest, pictures=gathered.count, shards=-(-gathered.count // size),
        pictures_per_shard=size, passed_over=passed_over, column=column,
        created=datetime.now(timezone.utc).isoformat(),
        wordsight=importlib.metadata.version("wordsight"),
    )  # fmt: skip
    try:
        return begin(folder, run), False
    except OSError as error:
        raise not_written(folder, error) from error


def _gather(gathered: "listing.Listing", folder: Path, wanted: Run, on_listed: OnListed) -> tuple[int, str | None]:
    """List every picture, or every row where there are only Parquet files.

    Returns:
        How many files were passed over, and the column of the pictures where they are rows.
    """
    found = Found(wanted.source, folder)
    _take(gathered, found, on_listed)
    rows = not gathered.count and bool(found.parquet)
    if rows:
        for file in sorted(found.parquet, key=lambda file: file.place):
            _take(gathered, listed_rows(file, wanted.column or _COLUMN), on_listed)
    others = found.passed_over + (0 if rows else len(found.parquet))
    if not gathered.count:
        told = f" ({others} other files)" if others else ""
        raise NothingFound(f"no picture in {masked(wanted.source)}{told}")
    on_listed(gathered.count)
    return others, (wanted.column or _COLUMN) if rows else None


def _take(gathered: "listing.Listing", entries: Iterable[Entry], on_listed: OnListed) -> None:
    for entry in entries:
        gathered.add(entry)
        if gathered.count % _EVERY == 0:
            on_listed(gathered.count)


def _refuse_changed(folder: Path, held: Run, name: str) -> None:
    """Say how the source differs from the listing; nothing is said where only the file's form does."""
    new = folder / name
    try:
        told = listing.difference(listing.read_all(folder / held.listing), listing.read_all(new))
    finally:
        new.unlink()
    if told:
        raise ArchiveError(
            f"{masked(held.source)} is no longer what {folder} was begun with: {told}; give another folder for it"
        )


def _sweep(folder: Path) -> None:
    """Remove what killed processes left half written; whatever is younger may still be written to."""
    for path in (*folder.glob(".wordsight-listing-*"), *folder.glob(PARTS), *(folder / "shards").glob(PARTS)):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _OLD_S:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def parse_shard(text: str) -> tuple[int, int]:
    """Return (i, n) of "i/n", i from 0.

    Raises:
        SettingError: it is no such text.
    """
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if found is None or not int(found[1]) < int(found[2]):
        raise SettingError(f"--shard takes i/n with i from 0 to n - 1, such as 0/8 of 8 jobs, got {text!r}")
    return int(found[1]), int(found[2])
