"""The run of an archive: `run.json` in its folder, written once, before the first picture is scored."""

import dataclasses
import json
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordsight.runtime.errors import ArchiveError, OutputError
from wordsight.runtime.files import PARTS, check_output_folder
from wordsight.runtime.gate import Gate

SCHEMA = 1
_NAME = "run.json"
_OURS = re.compile(r"listing\..*\.arrow|\.wordsight-.*|shards")


@dataclass(frozen=True)
class Run:
    """What every shard of a folder has in common.

    Attributes:
        source: what was listed, see `places.normal`.
        model: name of the model's file, for people.
        model_sha256: of that file.
        listing: name of the listing, beside `run.json`.
        listing_sha256: of that file.
        pictures: entries of the listing.
        shards: how many.
        pictures_per_shard: of all but the last.
        passed_over: files beside the pictures that are none.
        column: of the pictures, where the source is Parquet files.
        object: whose prompts guide s_pr, as it was asked for.
        backend: as it was asked for.
        threshold: score from which a picture is a defect; None: nothing is decided.
        unsure: score from which it is not good.
        gate: limits of exposure and sharpness.
        calibration_sha256: of the file that these three are from.
        created: UTC, ISO 8601.
        wordsight: version.
    """

    source: str
    model: str
    model_sha256: str
    listing: str
    listing_sha256: str
    pictures: int
    shards: int
    pictures_per_shard: int
    passed_over: int
    column: str | None
    object: str | None
    backend: str
    threshold: float | None
    unsure: float | None
    gate: Gate | None
    calibration_sha256: str | None
    created: str
    wordsight: str


_SETTINGS = {
    "source": "SOURCE", "object": "--object", "backend": "--backend",
    "threshold": "--threshold", "unsure": "the calibration", "gate": "the calibration",
    "calibration_sha256": "the calibration",
}  # fmt: skip
"""What must be the same for a run to go on, and where it is said."""


def open_folder(folder: Path) -> Run | None:
    """Return the run that lies in `folder`, which is made if it is not there; None where none was begun.

    Raises:
        OutputError: the folder is something else, or cannot be written to.
        ArchiveError: the run cannot be read.
    """
    check_output_folder(folder)
    if (folder / _NAME).exists():
        return read_run(folder)
    others = sorted(path.name for path in folder.iterdir() if not _OURS.fullmatch(path.name))
    shards = any((folder / "shards").glob("*.parquet"))
    if others or shards:
        raise OutputError(
            f"{folder} is no archive's: it holds {'shards' if shards else others[0]} and no {_NAME}; give a new folder"
        )
    return None


def read_run(folder: Path) -> Run:
    """Read `run.json`.

    Raises:
        ArchiveError: it is not there, damaged, or of a later version.
    """
    place = folder / _NAME
    try:
        held = json.loads(place.read_text(encoding="utf-8"))
        if held["schema"] != SCHEMA:
            raise ArchiveError(
                f"{place}: expected schema {SCHEMA}, got {held['schema']}; use the Wordsight that wrote it"
            )
        held["gate"] = None if held["gate"] is None else Gate(**held["gate"])
        return Run(**{field.name: held[field.name] for field in dataclasses.fields(Run)})
    except FileNotFoundError as error:
        raise ArchiveError(f"{folder} is no archive's: it has no {_NAME}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveError(f"{place} is damaged ({error}); begin again in another folder") from error


def begin(folder: Path, run: Run) -> Run:
    """Write `run.json` unless another process was faster, and return the one that holds.

    Raises:
        OSError: the disk is full.
        ArchiveError: the faster one has listed something else.
    """
    text = json.dumps({"schema": SCHEMA, **dataclasses.asdict(run)}, indent=2, ensure_ascii=False) + "\n"
    part = folder / PARTS.replace("*", secrets.token_hex(8))
    try:
        with open(part, "x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(part, folder / _NAME)  # unlike a rename, it never takes the place of another's
        except FileExistsError:
            held = read_run(folder)
            require_same(folder, held, run)
            if held.listing_sha256 != run.listing_sha256:
                raise ArchiveError(
                    f"{folder}: another process has just listed {run.source} otherwise; is it being written to?"
                ) from None
            return held
        except OSError:
            os.replace(part, folder / _NAME)  # a file system without links
    finally:
        part.unlink(missing_ok=True)
    return run


def require_same(folder: Path, held: Run, wanted: Run) -> None:
    """Refuse to go on with a run under another model or other settings.

    Raises:
        ArchiveError: what differs.
    """
    advice = "give another folder, or what it was begun with"
    if held.model_sha256 != wanted.model_sha256:
        raise ArchiveError(
            f"{folder} is of another model: {held.model} ({held.model_sha256[:12]}), not {wanted.model} "
            f"({wanted.model_sha256[:12]}); {advice}"
        )
    for name, said in _SETTINGS.items():
        was, now = getattr(held, name), getattr(wanted, name)
        if was != now:
            raise ArchiveError(f"{folder} is of other settings: {said} was {_told(was)}, is {_told(now)}; {advice}")
    if held.column is not None and wanted.column is not None and held.column != wanted.column:
        raise ArchiveError(f"{folder} is of other settings: --column was {held.column}, is {wanted.column}; {advice}")
    if wanted.pictures_per_shard and held.pictures_per_shard != wanted.pictures_per_shard:
        told = f"{held.pictures_per_shard} pictures, not {wanted.pictures_per_shard}"
        raise ArchiveError(f"{folder} is of other settings: its shards are of {told}; {advice}")


def _told(value: Any) -> str:
    return "none" if value is None else str(value)
