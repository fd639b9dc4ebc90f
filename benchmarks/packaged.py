"""`make packaged-demo`: the exported file and the pictures that ship in `wordsight.runtime.demo`.

Run it when `mini`, the head's defaults or the graph change; the wheel takes what lies there.
"""

import shutil
import tempfile
from pathlib import Path

from wordsight.benchmarks.building import train_and_export
from wordsight.runtime import Model, demo
from wordsight.runtime.pictures import read_picture
from wordsight.train.mini import pictures

SEEDS = (0, 1, 2)
NOUNS = ("impeller", "manhole cover", "burlap", "hex key")


def main() -> None:
    """Write `mini.onnx`, one good and one defective picture of four unseen parts, and the figure of the README."""
    from wordsight.train.encoders import load_encoder
    from wordsight.train.fit import Settings

    folder = Path(demo.__file__).resolve().parent
    with tempfile.TemporaryDirectory() as made:
        model, _ = train_and_export(load_encoder("mini"), Settings(), SEEDS, Path(made))
        shutil.copyfile(model, folder / "mini.onnx")
    print(folder / "mini.onnx")
    for path in [*write_pictures(folder), write_figure(Path("docs/images"))]:
        print(path)


def write_pictures(folder: Path) -> list[Path]:
    """Write the pictures, named for what they show; nobody chose them: they are the first of each kind."""
    import cv2

    paths = []
    shown = list(pictures.held_out(2 * 10))
    for noun in NOUNS:
        for picture in (p for p in shown if p.noun == noun):
            state = "damaged" if picture.label else "good"
            path = folder / f"{noun.replace(' ', '_')}_{state}.png"
            cv2.imwrite(str(path), picture.image, [cv2.IMWRITE_PNG_COMPRESSION, 9])
            paths.append(path)
    return paths


def write_figure(folder: Path) -> Path:
    """Draw the packaged pictures with the scores that the packaged model gives them, as one PNG file."""
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    paths = sorted(demo.demo_pictures(), key=lambda path: ("damaged" in path.stem, path.stem))
    frames = [read_picture(path) for path in paths]
    with Model(demo.demo_model()) as model:
        scores = model.score(frames).score
    figure = Figure(figsize=(9.6, 5.4), dpi=100, layout="constrained")
    for place, (path, frame, score) in enumerate(zip(paths, frames, scores, strict=True), start=1):
        axes = figure.add_subplot(2, len(NOUNS), place)
        axes.imshow(frame[..., ::-1], interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(f"{path.stem.replace('_', ' ')}\nscore {score:.3f}", fontsize=11)
    figure.savefig(folder / "demo.png")
    return folder / "demo.png"


if __name__ == "__main__":
    main()
