"""The peer's side of `make peers`: anomalib's WinCLIP and metrics, in the environment that its pins ask for.

Nothing of ours is imported here. `wordsight.benchmarks.winclip_peer` starts this file with the peer's Python and one
folder, and speaks to it in lines of JSON: a request on stdin, a reply on stdout. Arrays go through npz files in that
folder. No weights are fetched: what anomalib would download is replaced by the checkpoint in the folder.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch


def build(folder: Path) -> Any:
    """Anomalib's model for the object of the request, filled with the random weights in the folder."""
    import open_clip
    from anomalib.models.image.winclip import torch_model
    from safetensors.torch import load_file

    class Local:
        """open_clip, with the one call that would download answered from the folder."""

        tokenize = open_clip.tokenizer.tokenize

        @staticmethod
        def create_model_and_transforms(name: str, pretrained: str) -> tuple[Any, Any, Any]:
            model, *transforms = open_clip.create_model_and_transforms(name, pretrained=None)
            model.load_state_dict(load_file(str(folder / "weights.safetensors")), strict=True)
            return (model, *transforms)

    torch_model.open_clip = Local
    return torch_model.WinClipModel().eval()


def describe(model: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Set the object; say which prompts, temperature and versions the peer has."""
    from importlib.metadata import version

    from anomalib.models.image.winclip.prompting import create_prompt_ensemble

    model.setup(request["object"])
    normal, anomalous = create_prompt_ensemble(request["object"])
    packages = ("anomalib", "open-clip-torch", "torch", "torchmetrics")
    return {
        "normal": normal,
        "anomalous": anomalous,
        "temperature": model.temperature,
        "versions": {name: version(name) for name in packages},
    }


def scores(model: Any, folder: Path) -> dict[str, Any]:
    """Score the folder's pictures (N, 3, S, S): image scores, maps, text and window embeddings to `peer.npz`."""
    pictures = torch.from_numpy(np.load(folder / "pictures.npz")["pictures"])
    encoded = model.encode_image(pictures)
    model.encode_image = lambda _: encoded  # once: it takes seconds a picture
    batch = model(pictures)
    _, windows, patches = encoded
    np.savez(
        folder / "peer.npz",
        score=batch.pred_score.numpy(),
        map=batch.anomaly_map.numpy(),
        text=model.text_embeddings.numpy(),
        windows_2=windows[0].numpy(),
        windows_3=windows[1].numpy(),
        patches=patches.numpy(),
    )
    return {}


def window_pass(model: Any, folder: Path) -> dict[str, Any]:
    """One window pass over tokens (N, 226, 896) that have their positions; seconds of it alone."""
    tokens = torch.from_numpy(np.load(folder / "tokens.npz")["tokens"])
    start = time.perf_counter()
    for masks in model.masks:
        model._get_window_embeddings(tokens, masks)
    return {"seconds": time.perf_counter() - start}


def image_score(model: Any, folder: Path) -> dict[str, Any]:
    """The first picture's zero-shot score by anomalib's own forward pass; seconds of it alone."""
    picture = torch.from_numpy(np.load(folder / "pictures.npz")["pictures"][:1])
    start = time.perf_counter()
    batch = model(picture)
    return {"seconds": time.perf_counter() - start, "score": float(batch.pred_score)}


def metrics(folder: Path) -> dict[str, Any]:
    """AUROC, AUPR and F1-max of each case (labels_i, scores_i) in `cases.npz`, by anomalib and by torchmetrics."""
    from anomalib.metrics.aupr import _AUPR
    from anomalib.metrics.auroc import _AUROC
    from anomalib.metrics.f1_score import _F1Max
    from torchmetrics.classification import BinaryAUROC, BinaryAveragePrecision

    cases = np.load(folder / "cases.npz")
    rows = []
    for number in range(len(cases.files) // 2):
        labels = torch.from_numpy(cases[f"labels_{number}"])
        values = torch.from_numpy(cases[f"scores_{number}"])
        row = {}
        kinds: dict[str, Callable[[], Any]] = {
            "anomalib.auroc": _AUROC,
            "anomalib.aupr": _AUPR,
            "anomalib.f1_max": _F1Max,
            "torchmetrics.auroc": BinaryAUROC,
            "torchmetrics.aupr": BinaryAveragePrecision,
        }
        for name, kind in kinds.items():
            metric = kind()
            metric.update(values, labels)
            row[name] = float(metric.compute())
        rows.append(row)
    return {"rows": rows}


def main() -> None:
    """Answer requests until stdin ends."""
    warnings.simplefilter("ignore")
    folder, threads = Path(sys.argv[1]), int(sys.argv[2])
    replies, sys.stdout = sys.stdout, sys.stderr  # what libraries print must not fall among the replies
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    model = build(folder)
    for line in sys.stdin:
        request = json.loads(line)
        answers: dict[str, Callable[[], dict[str, Any]]] = {
            "describe": lambda: describe(model, request),  # noqa: B023
            "scores": lambda: scores(model, folder),
            "image_score": lambda: image_score(model, folder),
            "window_pass": lambda: window_pass(model, folder),
            "metrics": lambda: metrics(folder),
        }
        print(json.dumps(answers[request["do"]]()), file=replies, flush=True)


if __name__ == "__main__":
    main()
