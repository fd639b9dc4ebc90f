"""Heat maps as one picture: from the best to the worst by each picture's own pixel AUROC, and two good ones."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wordsight.benchmarks.heatmap import Mapped, in_picture
from wordsight.benchmarks.pixels import pixel_auroc
from wordsight.runtime.files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

DEFECTIVE = 10
"""Defective pictures shown, evenly spaced in the order of their pixel AUROC, the best first, the worst last."""
_COLUMNS = 6
_COLOURS = 256  # of the file's palette: a third of the bytes


def write_picture(path: Path, mapped: Mapped, top: float) -> None:
    """Write a contact sheet as PNG: each picture with its mask's outline, and below it its map, 0 black, `top` bright.

    Args:
        path: the file.
        mapped: a set's pictures and maps.
        top: highest value that a map can have, w_pr + w_fnn.
    """
    import io

    from PIL import Image

    drawn = io.BytesIO()
    draw(mapped, top).savefig(drawn, dpi=100)
    with Image.open(drawn) as sheet, whole_file(path) as file:
        sheet.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)


def draw(mapped: Mapped, top: float) -> "Drawing":
    """The contact sheet as a figure of matplotlib."""
    from matplotlib.figure import Figure as Drawing

    chosen = choose(mapped)
    rows = -(-len(chosen) // _COLUMNS)
    drawing = Drawing(figsize=(2 * _COLUMNS, 4.5 * rows + 0.8), layout="constrained")
    places = drawing.subplots(2 * rows, _COLUMNS, squeeze=False)
    for axes in places.ravel():
        axes.set_axis_off()
    last: Any = None
    for number, (index, said) in enumerate(chosen):
        sample, mask = mapped.samples[index], mapped.masks[index]
        upper = places[2 * (number // _COLUMNS)][number % _COLUMNS]
        lower = places[2 * (number // _COLUMNS) + 1][number % _COLUMNS]
        upper.imshow(sample.load()[..., ::-1], interpolation="nearest")
        heat = in_picture(mapped.maps[""][index], mapped.places[index], mask.shape)
        last = lower.imshow(heat, cmap="inferno", vmin=0, vmax=top, interpolation="nearest")
        upper.set_title(f"{sample.noun or mapped.name}, {sample.kind}\n{said}", fontsize=9)
        if mask.any():
            for axes, colour in ((upper, "red"), (lower, "cyan")):
                axes.contour(mask, levels=[0.5], colors=colour, linewidths=1)
    drawing.colorbar(last, ax=places.ravel().tolist(), location="bottom", shrink=0.3, aspect=40, pad=0.01)
    told = "pictures with the mask's outline, below them their heat maps; above each its own pixel AUROC"
    drawing.suptitle(f"{mapped.name}: {told}", fontsize=11)
    return drawing


def choose(mapped: Mapped) -> list[tuple[int, str]]:
    """Which pictures are shown, and what is said of each: defective ones by rank, then the good ones.

    Of the good ones it is the one with the highest value of all, and the one whose highest value is the median.
    """
    defective = [i for i, mask in enumerate(mapped.masks) if 0 < mask.sum() < mask.size]
    areas = {}
    for index in defective:
        mask = mapped.masks[index]
        heat = in_picture(mapped.maps[""][index], mapped.places[index], mask.shape)
        areas[index] = pixel_auroc([mask], [heat])
    ordered = sorted(defective, key=lambda index: -areas[index])
    ranks = sorted({round(r) for r in np.linspace(0, len(ordered) - 1, min(DEFECTIVE, len(ordered)))})
    chosen = [(ordered[rank], f"{areas[ordered[rank]]:.3f}, rank {rank + 1} of {len(ordered)}") for rank in ranks]
    peaks = mapped.maps[""].max(axis=(1, 2))
    good = sorted((i for i, sample in enumerate(mapped.samples) if not sample.label), key=lambda i: -peaks[i])
    for said, rank in (("highest", 0), ("median", len(good) // 2)):
        if rank < len(good) and good[rank] not in [index for index, _ in chosen]:
            chosen.append((good[rank], f"{said} peak, {peaks[good[rank]]:.2f}"))
    return chosen
