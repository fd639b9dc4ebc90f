"""Heat maps of an exported file against masks: pixel AUROC and AUPRO, beside what knows nothing and what is misplaced.

A map is read where the runtime puts it: enlarged bilinearly to the picture's pixels within the square that the encoder
sees (`runtime/heat.py`). What lies outside is not seen and takes the lowest value there is, 0: a defect there counts as
missed. Beside it stand what knows nothing of defects and what knows nothing of places, `heatmap_controls.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

from wordsight.benchmarks import pixel_bootstrap, progress
from wordsight.benchmarks.bootstrap import interval
from wordsight.benchmarks.datasets import Dataset, Sample
from wordsight.benchmarks.heatmap_controls import colour_distance, gradient, on_grid, other_pictures
from wordsight.benchmarks.pixels import aupro, pixel_auroc
from wordsight.runtime.errors import PictureError, SettingError
from wordsight.runtime.figures import Figure
from wordsight.runtime.fit_input import as_host, fit_input
from wordsight.runtime.fits import Place, seen_place
from wordsight.runtime.heat import enlarge

if TYPE_CHECKING:
    from wordsight.runtime.manifest import Manifest
    from wordsight.runtime.model import Model

Floats = NDArray[np.float32]
_CHUNK = 32  # pictures held in memory at a time

METHODS = {
    "": "the file's heat map",
    ".trivial.colour": "distance of a colour from the picture's mean, on the map's grid",
    ".trivial.gradient": "gradient of the grey level, on the map's grid",
    ".shuffled": "control: the map of another picture of the same noun and label",
}
"""What stands behind `pixel_auroc` and `aupro` in a figure's name, and what it is."""
MEANING = {
    **{f"pixel_auroc{method}": f"{what}; 95% over pictures" for method, what in METHODS.items()},
    **{f"aupro{method}": f"{what}, up to 30% false positives" for method, what in METHODS.items()},
    "fraction.defects_seen": "of the defects' pixels, within the square that the encoder sees",
}


@dataclass(frozen=True)
class Mapped:
    """A set's pictures that could be read, their masks, and their maps. N pictures, (h, w) the map's grid."""

    name: str
    samples: list[Sample]
    masks: list[NDArray[np.bool_]]
    places: list[Place]
    maps: dict[str, Floats]
    """(N, h, w) by method; without "shuffled"."""
    failures: list[tuple[str, str]]
    """Name and reason of each picture that could not be read."""


class InPictures(Sequence[Floats]):
    """Maps (N, h, w) as they lie in their pictures, (H, W) each, made when asked for: all at once would fill gigabytes.

    Args:
        maps: (N, h, w), 0 or more.
        places: where each lies in its picture.
        masks: of the pictures: they have their sizes.
    """

    def __init__(self, maps: Floats, places: Sequence[Place], masks: Sequence[NDArray[np.bool_]]) -> None:
        self._maps, self._places, self._masks = maps, places, masks

    def __len__(self) -> int:
        return len(self._maps)

    @overload
    def __getitem__(self, index: int) -> Floats: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Floats]: ...

    def __getitem__(self, index: int | slice) -> Floats | Sequence[Floats]:
        if isinstance(index, slice):
            return InPictures(self._maps[index], self._places[index], self._masks[index])
        return in_picture(self._maps[index], self._places[index], self._masks[index].shape)


def in_picture(values: Floats, place: Place, shape: tuple[int, ...]) -> Floats:
    """A map (h, w) as it lies in a picture (H, W): bilinear within its place, 0 where the encoder does not look."""
    height, width = shape
    whole = np.zeros((height, width), np.float32)
    rows, columns = place.inside(height, width)
    if rows and columns:
        whole[rows.start : rows.stop, columns.start : columns.stop] = enlarge(values, place, rows, columns)
    return whole


def map_pictures(model: "Model", dataset: Dataset) -> Mapped:
    """Run a set's test pictures through the file; one that cannot be read is noted and left out.

    Raises:
        SettingError: the file has no heat map.
        MaskError: a defective picture without a mask, or with one that cannot be read or is of another size.
        PictureError: not one picture could be read.
    """
    check_heatmap(model.manifest, str(model.path))
    spec, grid = model.manifest.input, model.manifest.outputs["heatmap"]
    size = int(grid[1]), int(grid[2])
    found = Mapped(dataset.name, [], [], [], {}, [])
    parts: dict[str, list[Floats]] = {method: [] for method in METHODS if method != ".shuffled"}
    with progress.bar(f"heat maps, {dataset.name}"[:28], len(dataset.test)) as tick:
        for start in range(0, len(dataset.test), _CHUNK):
            given, fitted = [], []
            for sample in dataset.test[start : start + _CHUNK]:
                tick()
                try:
                    frame = sample.load()
                except PictureError as error:
                    found.failures.append((sample.name, str(error)))
                    continue
                shape = frame.shape[0], frame.shape[1]
                found.samples.append(sample)
                found.masks.append(sample.pixel_truth(shape))
                found.places.append(seen_place(*shape, spec.size, spec.fit, spec.camera))
                given.append(fit_input(frame, spec))
                fitted.append(fit_input(frame, as_host(spec)))
            if fitted:
                scores = model.score(given)
                assert scores.heatmap is not None  # the manifest promises it
                parts[""].append(scores.heatmap)
                parts[".trivial.colour"].append(np.stack([on_grid(colour_distance(frame), size) for frame in fitted]))
                parts[".trivial.gradient"].append(np.stack([on_grid(gradient(frame), size) for frame in fitted]))
    if not found.samples:
        raise PictureError(f"none of the {len(dataset.test)} pictures could be read; the first: {found.failures[0][1]}")
    found.maps.update({method: np.concatenate(rows) for method, rows in parts.items()})
    return found


def check_heatmap(manifest: "Manifest", path: str) -> None:
    """Raise SettingError unless a file gives a heat map."""
    if "heatmap" not in manifest.outputs:
        raise SettingError(f"{path} has no output heatmap: export it with --heatmap")


def figures(mapped: Mapped, resamples: int = 1000) -> list[Figure]:
    """Pixel AUROC and AUPRO of every method, with 95% intervals over pictures.

    Raises:
        OneClassError: no pixel is defective, or none is good.
    """
    labels = np.array([sample.label for sample in mapped.samples], np.int64)
    partners = other_pictures(mapped.samples)
    rows: dict[str, list[Figure]] = {"pixel_auroc": [], "aupro": []}
    with progress.bar(f"pixel figures, {mapped.name}"[:28], len(METHODS)) as tick:
        for method in METHODS:
            tick()
            if method == ".shuffled" and partners is None:
                reason = "no other picture of the same label to take a map from"
                for name, found in rows.items():
                    found.append(Figure(f"{name}{method}", None, reason=reason))
                continue
            values = mapped.maps[""][partners] if method == ".shuffled" else mapped.maps[method]
            maps = InPictures(values, mapped.places, mapped.masks)
            exact = pixel_auroc(mapped.masks, maps), aupro(mapped.masks, maps)
            drawn = pixel_bootstrap.resample(pixel_bootstrap.binned(mapped.masks, maps, labels), resamples)
            for (name, found), value, moved in zip(rows.items(), exact, drawn, strict=True):
                low, high = interval(moved)
                found.append(Figure(f"{name}{method}", value, "", low, high, len(labels)))
    return [*rows["pixel_auroc"], *rows["aupro"], _seen(mapped)]


def mean_over_sets(found: Sequence[Sequence[Figure]]) -> list[Figure]:
    """Each figure's mean over the sets, lowest and highest set beside it; sets that lack it are left out."""
    means = []
    for rows in zip(*found, strict=True):
        values = [row.value for row in rows if row.value is not None]
        if values:
            means.append(Figure(rows[0].name, float(np.mean(values)), "", min(values), max(values), len(values)))
        else:
            means.append(rows[0])
    return means


def _seen(mapped: Mapped) -> Figure:
    inside = total = 0
    for mask, place in zip(mapped.masks, mapped.places, strict=True):
        rows, columns = place.inside(*mask.shape)
        inside += int(mask[rows.start : rows.stop, columns.start : columns.stop].sum())
        total += int(mask.sum())
    return Figure("fraction.defects_seen", inside / total, n=sum(sample.label for sample in mapped.samples))
