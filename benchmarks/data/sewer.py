"""Sewer-ML's validation pictures: many labels a picture, told here as good or defective."""

import os
from collections.abc import Iterator
from pathlib import Path

from wordsight.benchmarks.data.errors import ListError
from wordsight.benchmarks.data.lists import Row, check_listed, check_unique, choice, read_rows
from wordsight.benchmarks.data.sample import Dataset, Sample, check_labels

LISTS = (Path("SewerML_Val.csv"), Path("annotations") / "SewerML_Val.csv")
CODES = ("RB", "OB", "PF", "DE", "FS", "IS", "RO", "IN", "AF", "BE", "FO", "GR", "PH", "PB", "OS", "OP", "OK")
"""The 17 codes of the benchmark that make a picture defective; VA (water level) and ND (no defect) are none of them."""
_OTHER_SPLITS = ("train", "test")  # of which a picture of the same name may lie beside


def read_sewer(listing: Path) -> list[Dataset]:
    """The one class of Sewer-ML, in the order of its csv; nothing to fit on.

    The column `Defect` decides; without it, any of the 17 codes does. A picture's kind is its codes, joined by "+".

    Args:
        listing: `SewerML_Val.csv`. Pictures are looked for beside it, in the folder above where it lies in
            `annotations`, and in the folders one level below those, but never in one named train… or test….

    Raises:
        ListError: The csv cannot be read, lacks the columns, holds another value than 0 and 1, or names absent files.
        OneLabelError: All of its pictures are good, or all defective.
    """
    columns, rows = read_rows(listing, ("Filename",))
    codes = [code for code in CODES if code in columns]
    if "Defect" not in columns and not codes:
        raise ListError(
            f"expected the column Defect, or columns of codes ({','.join(CODES)}), in {listing}; "
            f"got {','.join(columns)[:200]}"
        )
    check_unique(listing, (fields["Filename"] for _, fields in rows))
    places = _places(listing, {fields["Filename"] for _, fields in rows})
    check_listed(listing, [(fields["Filename"], fields["Filename"] in places) for _, fields in rows])
    test = [_sample(listing, row, codes, "Defect" in columns, places) for row in rows]
    check_labels(f"Sewer-ML in {listing}", test)
    return [Dataset("sewer-ml", test, [])]


def _sample(listing: Path, row: Row, codes: list[str], told: bool, places: dict[str, Path]) -> Sample:
    found = [code for code in codes if choice(listing, row, code, ("0", "1")) == "1"]
    label = int(choice(listing, row, "Defect", ("0", "1"))) if told else int(bool(found))
    kind = "+".join(found) or "defect" if label else "good"
    name = row[1]["Filename"]
    return Sample(name, label, kind, path=places[name])


def _places(listing: Path, names: set[str]) -> dict[str, Path]:
    """Where each named file is. Whole folders are listed: asking for 130,000 files one by one takes far longer."""
    roots = [listing.parent.parent, listing.parent] if listing.parent.name == "annotations" else [listing.parent]
    places: dict[str, Path] = {}
    for root in roots:
        below = [p for p in sorted(root.iterdir()) if p.is_dir() and not p.name.lower().startswith(_OTHER_SPLITS)]
        for folder in (root, *below):
            places.update((name, folder / name) for name in _file_names(folder) if name in names)
    return places


def _file_names(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        yield from (entry.name for entry in entries if entry.is_file())
