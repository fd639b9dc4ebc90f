"""The peer's side of `wordsight bench rivals`: anomalib's PaDiM and PatchCore on feature maps that we hand over.

Nothing of ours is imported here. `wordsight.benchmarks.rivals.bridge` starts this file with the peer's Python and one
folder, and speaks to it in lines of JSON; arrays go through npz files in that folder. The module that would extract
features is replaced by one that returns those of the file; memory bank, coreset, Gaussians and scoring are anomalib's.
"""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch


class Given(torch.nn.Module):
    """Stands where anomalib has its feature extractor, and returns the maps (N, C, G, G) that were put into it."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.out_dims = widths
        self.maps: dict[str, torch.Tensor] = {}

    def forward(self, _: torch.Tensor) -> dict[str, torch.Tensor]:
        """What was put in, whatever the pictures."""
        return self.maps


def read(path: Path, layers: list[str]) -> dict[str, torch.Tensor]:
    """The levels of a file, by name."""
    with np.load(path) as arrays:
        return {layer: torch.from_numpy(arrays[layer]) for layer in layers}


def build(request: dict[str, Any], widths: list[int]) -> Any:
    """The model of anomalib, with our features in place of its extractor's."""
    from anomalib.models.image.padim import torch_model as padim
    from anomalib.models.image.patchcore import torch_model as patchcore

    module = padim if request["method"] == "padim" else patchcore
    module.TimmFeatureExtractor = lambda **_: Given(widths)
    torch.manual_seed(request["seed"])  # PaDiM's choice of channels, PatchCore's first member of the coreset
    if request["method"] == "padim":
        return padim.PadimModel(layers=request["layers"], pre_trained=False, n_features=request["n_features"])
    return patchcore.PatchcoreModel(layers=request["layers"], pre_trained=False, num_neighbors=request["neighbours"])


def score(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Fit on one file of features, score others; scores and maps (N, S, S) to `found.npz`."""
    support = read(folder / request["support"], request["layers"])
    model = build(request, [maps.shape[1] for maps in support.values()])
    side = request["size"]

    def run(maps: dict[str, torch.Tensor]) -> Any:
        model.feature_extractor.maps = maps
        return model(torch.zeros(len(next(iter(maps.values()))), 3, side, side))

    model.train()
    run(support)
    if request["method"] == "padim":
        model.fit()
    else:
        model.subsample_embedding(request["coreset"])
    model.eval()
    found = [run(read(folder / name, request["layers"])) for name in request["tests"]]
    np.savez(
        folder / "found.npz",
        scores=torch.cat([batch.pred_score.reshape(-1) for batch in found]).numpy(),
        maps=torch.cat([batch.anomaly_map.reshape(-1, side, side) for batch in found]).numpy(),
    )
    return {}


def describe() -> dict[str, Any]:
    """Versions of what runs here."""
    from importlib.metadata import version

    return {"versions": {name: version(name) for name in ("anomalib", "torch")}}


def main() -> None:
    """Answer requests until stdin ends."""
    warnings.simplefilter("ignore")
    folder, threads = Path(sys.argv[1]), int(sys.argv[2])
    replies, sys.stdout = sys.stdout, sys.stderr  # what libraries print must not fall among the replies
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    for line in sys.stdin:
        request = json.loads(line)
        reply = describe() if request["do"] == "describe" else score(folder, request)
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
