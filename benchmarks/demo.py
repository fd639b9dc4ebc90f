"""`make demo`: random words become a detector, which then scores pictures of parts it has never seen.

Everything is written to the folder `demo` of the current directory; a second run writes the same files again.
"""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from wordsight.benchmarks.datasets import Dataset, held_out, read_folder
from wordsight.benchmarks.metrics import auroc

FOLDER = Path("demo")
PICTURES = 200
SEEDS = (0, 1, 2)
_RUN = "import sys; from wordsight.runtime.cli import main; sys.exit(main())"


def main() -> None:
    """Train, export, draw, score, report; the last line printed is where the report lies."""
    from rich.console import Console

    from wordsight.benchmarks.accuracy import measure
    from wordsight.benchmarks.building import train_and_export
    from wordsight.benchmarks.report import write_report
    from wordsight.runtime.model import Model
    from wordsight.train.encoders import load_encoder
    from wordsight.train.fit import Settings
    from wordsight.train.prompts import random_prompts

    say = Console(highlight=False, soft_wrap=True).print
    start = time.monotonic()
    FOLDER.mkdir(exist_ok=True)
    encoder, settings = load_encoder("mini"), Settings()
    say(f"[bold]1  Words.[/] {settings.num_pairs:,} pairs of prompts a seed are all the training data there is:")
    for prompt in (text for pair in zip(*random_prompts(settings.pair, 2, SEEDS[0]), strict=True) for text in pair):
        say(f"     {prompt}", markup=False)

    say(f"\n[bold]2  A detector.[/] {len(SEEDS)} heads learn to tell the embeddings apart; one file holds them.")
    model_path, heads = train_and_export(encoder, settings, SEEDS, FOLDER, heatmap=True)
    for seed, head in zip(SEEDS, heads, strict=True):
        losses = np.asarray(head.history.losses if head.history else [])
        quarters = [f"{part.mean():.3f}" for part in np.array_split(losses, 5)]
        say(f"     seed {seed}: loss {' > '.join(quarters)}", markup=False)
    say(f"     {model_path}, {model_path.stat().st_size / 1e6:.1f} MB")

    say(f"\n[bold]3  Pictures.[/] {PICTURES} of ten kinds of parts that the encoder was never shown.")
    pictures = FOLDER / "pictures"
    write_pictures(held_out(PICTURES), pictures)
    jsonl = FOLDER / "scores.jsonl"
    arguments = ["run", str(model_path), str(pictures / "test"), "--jsonl", str(jsonl), "--annotate",
                 str(FOLDER / "annotated"), "--overlay"]  # fmt: skip
    say(f"     $ wordsight {' '.join(arguments)}", markup=False)
    done = subprocess.run([sys.executable, "-c", _RUN, *arguments], stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    labels, scores = read_scores(jsonl)
    say(f"     AUROC of the {len(scores)} scores it wrote: [bold]{auroc(labels, scores):.3f}[/]")

    say("\n[bold]4  A report,[/] with a control: heads trained on shuffled labels must know nothing.")
    with Model(model_path) as model:
        parts = replace(read_folder(pictures), name="Ten kinds of parts that the encoder was never shown")
        result = measure(model, parts, encoder, control_heads=10)
    report = FOLDER / "report.html"
    write_report(report, result)
    say(f"     {time.monotonic() - start:.0f} s in all. About the encoder: {encoder.note}.\n")
    print(report.absolute())


def write_pictures(dataset: Dataset, folder: Path) -> None:
    """Write a data set of frames as PNG files in MVTec's layout; pictures of an earlier run are removed first."""
    import cv2

    for old in folder.glob("*/*/*_[0-9][0-9][0-9][0-9][0-9]*.png"):
        old.unlink()
    for i, sample in enumerate(dataset.test):
        name = f"{sample.noun.replace(' ', '_')}_{i:05d}"
        _png(cv2, folder / "test" / sample.kind / f"{name}.png", sample.load())
        mask = sample.load_mask()
        if mask is not None:
            _png(cv2, folder / "ground_truth" / sample.kind / f"{name}_mask.png", mask.astype(np.uint8) * 255)
    for i, sample in enumerate(dataset.fit):
        name = f"{sample.noun.replace(' ', '_')}_{i:05d}"
        _png(cv2, folder / "train" / "good" / f"{name}.png", sample.load())


def read_scores(path: Path) -> tuple[list[int], list[float]]:
    """Labels (by the folder each picture lies in) and scores of a JSON lines file that `wordsight run` wrote."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [int(Path(row["source"]).parent.name != "good") for row in rows], [float(row["score"]) for row in rows]


def _png(cv2, path: Path, picture: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), picture):
        raise OSError(f"OpenCV could not write {path}")


if __name__ == "__main__":
    main()
