"""Pictures of an archive read again for the contact sheet: a small copy, and one with the model's heat map over it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wordsight.runtime import html
from wordsight.runtime.archive.entries import Entry
from wordsight.runtime.archive.fetch import fetched
from wordsight.runtime.archive.listing import read_shard
from wordsight.runtime.archive.report_read import Archive
from wordsight.runtime.archive.report_top import Candidate
from wordsight.runtime.archive.score import reason_of
from wordsight.runtime.errors import PictureError, WordsightError
from wordsight.runtime.fits import seen_place
from wordsight.runtime.heat import Heat, region_level
from wordsight.runtime.overlay import overlay
from wordsight.runtime.pictures import decoded
from wordsight.runtime.sources.frame import Image
from wordsight.runtime.urls import scrubbed

if TYPE_CHECKING:
    from wordsight.runtime.model import Model


@dataclass(frozen=True)
class Look:
    """How a picture looks.

    Attributes:
        small: it, as a data URI of at most `html.THUMBNAIL` pixels a side; empty when it could not be read.
        heat: the same under its heat map; empty without one.
        gone: why it could not be read, as it was scored: it is not there, or was changed; empty when it was.
    """

    small: str = ""
    heat: str = ""
    gone: str = ""


def looks(
    archive: Archive, items: Sequence[Candidate], model: "Model | None", on_look: Callable[[], None] = lambda: None
) -> list[Look]:
    """Return how pictures look, one after the other: never more than one whole picture is in memory.

    Args:
        archive: theirs; its listing says how each is opened.
        items: which.
        model: that gives heat maps; None for none.
        on_look: called after each.
    """
    placed = _placed(archive, items)
    found = []
    for at in range(len(items)):
        entry = placed[at]
        found.append(_look(entry, archive.run.column, model) if isinstance(entry, Entry) else _gone(entry))
        on_look()
    return found


def _placed(archive: Archive, items: Sequence[Candidate]) -> dict[int, Entry | WordsightError]:
    """Return what is opened for each of `items`, or why nobody can say; a shard's entries are read once, and let go."""
    by_shard: dict[int, list[int]] = {}
    for at, item in enumerate(items):
        by_shard.setdefault(item.shard, []).append(at)
    placed: dict[int, Entry | WordsightError] = {}
    for shard, places in by_shard.items():
        try:
            entries = read_shard(archive.folder / archive.run.listing, shard)
            placed |= {at: _entry(entries, items[at]) for at in places}
        except WordsightError as error:
            placed |= dict.fromkeys(places, error)
    return placed


def _entry(entries: list[Entry], item: Candidate) -> Entry | WordsightError:
    """Return the entry of a row: a shard's rows are its entries without those that could not be read."""
    if item.scored == len(entries):
        return entries[item.row]
    same = [entry for entry in entries if entry.source == item.source]
    if len(same) == 1:
        return same[0]
    # Rows of Parquet files may share a name, and of those that could not be read only the name is kept.
    return PictureError(f"{len(same)} pictures of its shard have this name" if same else "not in the listing")


def _look(entry: Entry, column: str | None, model: "Model | None") -> Look:
    try:
        _, reading = next(fetched([entry], column))
        image = decoded(reading(), entry.source)
        return Look(html.data_uri(image), "" if model is None else _heat(model, image))
    except PictureError as error:
        return Look(gone=scrubbed(reason_of(error, entry)))
    except WordsightError as error:  # a store that refuses, a Parquet file that is gone: this page shows the rest
        return _gone(error)


def _gone(error: WordsightError) -> Look:
    return Look(gone=scrubbed(" ".join(str(error).split())))


def _heat(model: "Model", image: Image) -> str:
    scores, spec, weights = model.score([image]), model.manifest.input, model.manifest.score
    if scores.heatmap is None:
        return ""
    shape, top = (image.shape[0], image.shape[1]), weights.w_pr + weights.w_fnn
    place = seen_place(*shape, spec.size, spec.fit, spec.camera)
    heat = Heat(scores.heatmap[0], place, shape, top, region_level(None, top))
    return html.data_uri(overlay(html.thumbnail(image), heat))
