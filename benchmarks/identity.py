"""Two programs, one answer: s_pr beside open_clip's own zero-shot softmax, and our figures beside scikit-learn's.

The exported file is scored through the runtime, frames of several sizes included. The other side shares nothing with it
but the weights: open_clip builds the model, reads the checkpoint, cuts and shrinks the pictures, splits prompts into
tokens and takes softmax(100 * cos). `mini` is no model of open_clip, so there open_clip gives the transform, the tokens
and the softmax. The weights of the ViT are random: two programs must agree on any weights.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordsight.runtime.figures import Figure

VIT = "ViT-B-16-plus-240"
"""The paper's architecture."""
SCALE, OTHER_SCALE = 100.0, 1 / 0.07
"""CLIP's logit scale, 1 / T; and that of the control, which CLIP's training began with."""
LIMITS = {"difference.s_pr.open_clip": 1e-5, "difference.metrics": 1e-9}
"""By the beginning of a figure's name. A float32 cosine is off by 1e-7 at best, and 1 / T makes 1e-5 of that."""
LEAST = {"control.s_pr.temperature": 1e-3, "control.metrics.ties": 1e-3}
"""What a control must differ by at least, or the comparison sees nothing."""

_HEAD_PAIRS = 40  # the file needs a head; s_pr does not look at it
_RESAMPLES = 20
_S_PR = {
    "difference.s_pr.open_clip": "largest |s_pr of the exported file - open_clip's softmax|; limit 1e-5",
    "spread.s_pr": "largest less smallest s_pr of these frames: what a difference is to be held against",
    "control.s_pr.temperature": "control: the same with T = 0.07 on open_clip's side; must differ by 1e-3",
}
MEANING = {f"{name}.{encoder}": said for name, said in _S_PR.items() for encoder in ("mini", "vit")} | {
    "difference.metrics.auroc": "largest |AUROC by our ranks - scikit-learn's|, with ties and resampled; limit 1e-9",
    "difference.metrics.aupr": "the same of AUPR",
    "difference.metrics.f1_max": "the same of F1-max, beside scikit-learn's f1_score at every threshold",
    "control.metrics.ties": "control: AUROC with ties broken in favour of the defective; must differ by 1e-3",
}

Floats = NDArray[np.floating[Any]]
Frames = list[NDArray[np.uint8]]


def measure(folder: Path, vit: str = VIT, count: int = 8) -> list[Figure]:
    """Compare both encoders and the figures.

    Args:
        folder: for a checkpoint, heads and exported files.
        vit: a model of open_clip, whose weights are drawn at random.
        count: frames that are compared.
    """
    import open_clip

    from wordsight.benchmarks.fold import random_checkpoint
    from wordsight.train.encoders import load_encoder

    frames = drawn_frames(count)
    mini = load_encoder("mini")
    transform = open_clip.image_transform(mini.image_size, False, mini.mean, mini.std)
    figures = _compare(
        "mini", mini, partial(open_clip_scores, mini.model, transform, open_clip.tokenize), folder, frames
    )
    encoder = load_encoder(random_checkpoint(vit, folder))
    theirs, _, transform = open_clip.create_model_and_transforms(vit, pretrained=encoder.weights)
    peer = partial(open_clip_scores, theirs.eval(), transform, open_clip.get_tokenizer(vit))
    return [*figures, *_compare("vit", encoder, peer, folder, frames), *metric_figures()]


def drawn_frames(count: int) -> Frames:
    """Drawn parts, uint8 BGR, of several sizes and aspects, so that shrinking and cutting are compared too."""
    from wordsight.train.mini import training_nouns

    return [
        picture.image.repeat(2 + number % 3, axis=0).repeat(3, axis=1)
        for number, picture in enumerate(islice(training_nouns(count, seed=5), count))
    ]


def open_clip_scores(
    model: Any, transform: Any, tokenize: Callable[[list[str]], Any], frames: Frames, prompts: Sequence[str],
    scale: float = SCALE,
) -> Floats:  # fmt: skip
    """The zero-shot recipe of open_clip: softmax(scale * cos) over (normal, anomalous), of which the second (N,)."""
    import torch
    import torch.nn.functional as F
    from PIL import Image

    with torch.inference_mode():
        pictures = torch.stack([transform(Image.fromarray(frame[..., ::-1])) for frame in frames])
        images = F.normalize(model.encode_image(pictures), dim=-1)
        texts = F.normalize(model.encode_text(tokenize(list(prompts))), dim=-1)
        return np.asarray((scale * images @ texts.T).softmax(dim=-1)[:, 1].numpy())


def metric_figures(seed: int = 0) -> list[Figure]:
    """Our own arithmetic of AUROC, AUPR and F1-max, which the intervals rest on, beside scikit-learn's."""
    from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

    from wordsight.benchmarks.bootstrap import Ordered

    rng = np.random.default_rng(seed)
    worst, broken = np.zeros(3), 0.0
    for levels in (2, 5, 20, 1000):  # few levels, many ties
        labels = rng.permutation([0, 1, *rng.integers(0, 2, 198)])
        scores = rng.integers(0, levels, 200) / levels
        # Every picture once, and as often as a bootstrap may draw it; both labels keep their numbers.
        drawn = np.stack([np.ones(200, np.int32), *(_resampled(labels, rng) for _ in range(_RESAMPLES))])
        ours = Ordered(labels, scores).figures(drawn)  # (3, b)
        for column, weight in zip(ours.T, drawn, strict=True):
            theirs = (
                roc_auc_score(labels, scores, sample_weight=weight),
                average_precision_score(labels, scores, sample_weight=weight),
                max(f1_score(labels, scores >= at, sample_weight=weight) for at in np.unique(scores)),
            )
            worst = np.maximum(worst, np.abs(column - theirs))
        favoured = np.argsort(np.lexsort((labels, scores)))
        broken = max(broken, abs(roc_auc_score(labels, favoured) - roc_auc_score(labels, scores)))
    names = ("auroc", "aupr", "f1_max")
    count = 4 * (1 + _RESAMPLES)
    figures = [Figure(f"difference.metrics.{n}", float(w), n=count) for n, w in zip(names, worst, strict=True)]
    return [*figures, Figure("control.metrics.ties", float(broken), n=4)]


def failures(figures: Iterable[Figure]) -> list[str]:
    """What lies beyond its limit, and a control that did not differ; empty when all agree."""
    found = []
    for figure in figures:
        value = np.nan if figure.value is None else figure.value
        for name, limit in LIMITS.items():
            if figure.name.startswith(name) and not value <= limit:
                found.append(f"{figure.name} is {value:.2g}, limit {limit:g}")
        for name, least in LEAST.items():
            if figure.name.startswith(name) and not value >= least:
                found.append(f"the control {figure.name} differs by {value:.2g} only: the comparison sees nothing")
    return found


def _compare(
    name: str, encoder: Any, peer: Callable[..., Floats], folder: Path, frames: Frames
) -> list[Figure]:  # fmt: skip
    from wordsight.export.onnx import export_model
    from wordsight.runtime.model import Model
    from wordsight.train.checkpoint import save_heads
    from wordsight.train.fit import Settings, train_heads

    settings = Settings(num_pairs=_HEAD_PAIRS)
    head_path, path = folder / f"{name}.safetensors", folder / f"{name}.onnx"
    save_heads(head_path, train_heads(encoder, settings, [0]), settings, [0], encoder)
    export_model(head_path, path, encoder_spec=encoder.spec)
    with Model(path) as model:
        prompts = (model.manifest.prompts.guiding_normal, model.manifest.prompts.guiding_anomalous)
        s_pr = model.score(frames).s_pr
    values = {
        "difference.s_pr.open_clip": np.abs(s_pr - peer(frames, prompts)).max(),
        "spread.s_pr": np.ptp(s_pr),
        "control.s_pr.temperature": np.abs(s_pr - peer(frames, prompts, OTHER_SCALE)).max(),
    }
    return [Figure(f"{key}.{name}", float(value), n=len(frames)) for key, value in values.items()]


def _resampled(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int32]:
    counts = np.zeros(len(labels), np.int32)
    for label in (0, 1):
        members = np.flatnonzero(labels == label)
        counts[members] = np.bincount(rng.integers(0, len(members), len(members)), minlength=len(members))
    return counts
