"""`make packaged-demo`: the exported file and the pictures that ship in `wordsight.runtime.demo`.

Run it when `mini`, the head's defaults or the graph change; the wheel takes what lies there.
"""

import shutil
import tempfile
from pathlib import Path

from wordsight.benchmarks.building import train_and_export
from wordsight.runtime import demo
from wordsight.train.mini import pictures

SEEDS = (0, 1, 2)
NOUNS = ("impeller", "manhole cover", "burlap", "hex key")


def main() -> None:
    """Write `mini.onnx` and one good and one defective picture of four parts that training never saw."""
    from wordsight.train.encoders import load_encoder
    from wordsight.train.fit import Settings

    folder = Path(demo.__file__).resolve().parent
    with tempfile.TemporaryDirectory() as made:
        model, _ = train_and_export(load_encoder("mini"), Settings(), SEEDS, Path(made))
        shutil.copyfile(model, folder / "mini.onnx")
    print(folder / "mini.onnx")
    for path in write_pictures(folder):
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


if __name__ == "__main__":
    main()
