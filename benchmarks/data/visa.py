"""VisA by its split csv, whose paths are relative to the folder above `split_csv`."""

from pathlib import Path

from wordsight.benchmarks.data.lists import check_listed, check_unique, choice, read_rows
from wordsight.benchmarks.data.sample import Dataset, Sample, check_labels

SPLIT = Path("split_csv") / "1cls.csv"
"""The split of the paper: good pictures alone in train."""
COLUMNS = ("object", "split", "label", "image", "mask")


def read_visa(split: Path) -> list[Dataset]:
    """The classes of VisA, sorted by name; pictures in the order of the csv.

    Defective pictures of train, which the two-class splits have, are used nowhere.

    Args:
        split: The csv, `DIR/split_csv/1cls.csv` or another of that folder.

    Raises:
        ListError: The csv cannot be read, lacks a column, holds an unknown split or label, or names absent files.
        OneLabelError: A class whose test pictures are all good, or all defective.
    """
    root = split.parent.parent
    _, rows = read_rows(split, COLUMNS)
    listed: list[str] = []
    tests: dict[str, list[Sample]] = {}
    fits: dict[str, list[Sample]] = {}
    for row in rows:
        fields = row[1]
        name, image, mask = fields["object"], fields["image"], fields["mask"]
        label = int(choice(split, row, "label", ("normal", "anomaly")) == "anomaly")
        part = choice(split, row, "split", ("train", "test"))
        listed += [image, mask] if mask else [image]
        # VisA's masks number the kinds of defect from 1: whatever is not black is defective.
        sample = Sample(
            image, label, "anomaly" if label else "good", name.replace("_", " "), path=root / image,
            mask_path=root / mask if mask else None, mask_above=0,
        )  # fmt: skip
        tests.setdefault(name, [])
        if part == "test":
            tests[name].append(sample)
        elif not label:
            fits.setdefault(name, []).append(sample)
    check_listed(split, [(name, bool(name) and (root / name).is_file()) for name in listed])
    for samples in (*tests.values(), *fits.values()):
        check_unique(split, (sample.name for sample in samples))
    for name, samples in tests.items():
        check_labels(f"{name} in {split}", samples)
    return [
        Dataset(name, tests[name], fits.get(name, []), object_word=name.replace("_", " ")) for name in sorted(tests)
    ]
