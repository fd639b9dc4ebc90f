"""The torch side of `wordsight verify`: what the plain reading of the paper gives for an exported file's frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wordsight.export.errors import HeadMismatch
from wordsight.runtime.errors import ModelError, SettingError
from wordsight.runtime.files import file_sha256
from wordsight.runtime.fit_input import as_host, covered, fit_input

if TYPE_CHECKING:
    from wordsight.export.plain import Frames, Outputs
    from wordsight.runtime.manifest import Manifest

PICTURES = 8
_BATCH = 8  # frames that torch is given at once: bounds the memory


def generated_frames(manifest: Manifest) -> Frames:
    """Sixteen frames (16, H, W, 3) uint8 BGR as a file takes them, always the same.

    The eight patterns that an export is compared on, and eight drawn pictures of parts, good and defective by turns.
    """
    from wordsight.export.parity import parity_frames
    from wordsight.train.mini import training_nouns

    spec = manifest.input
    pictures = [one.image for one in training_nouns(PICTURES)]
    drawn = [covered(image, *spec.frame) if spec.frame else fit_input(image, spec) for image in pictures]
    return np.concatenate([parity_frames(spec.shape), np.stack(drawn)])


def check_head(head: Path, manifest: Manifest) -> None:
    """Refuse a head that is not the one inside a file; torch is not needed for that.

    Raises:
        HeadMismatch: its hash is another one.
        SettingError: there is no such file.
    """
    if not head.is_file():
        raise SettingError(f"--head: no such file: {head}")
    found = file_sha256(head)
    if found != manifest.head.sha256:
        raise HeadMismatch(
            f"{head} is not the head in the model: sha256 {found[:12]}..., expected {manifest.head.sha256[:12]}...; "
            "give the head that it was exported from"
        )


def torch_outputs(
    head: Path,
    manifest: Manifest,
    frames: Frames,
    *,
    encoder_spec: str | None = None,
    centre_frames: Path | None = None,
    device: str = "cpu",
    on_frames: Callable[[int], None] = lambda count: None,
) -> Outputs:
    """Every output of a manifest by the plain reading of the paper, in fp32 (`wordsight.export.plain`).

    Args:
        head: the head file that was exported; see `check_head`.
        manifest: of the exported file.
        frames: (N, H, W, 3) uint8 BGR, as the graph takes them.
        encoder_spec: ``mini``, ``NAME:TAG`` or ``NAME:/path``; None for what the head records.
        centre_frames: the pictures of a head trained with ``--centre``; not needed for mini.
        device: "cpu", "cuda", ...
        on_frames: called with how many more frames were scored.

    Raises:
        HeadMismatch, TrainingError: the encoder is not the head's, or cannot be loaded.
        ModelError: the file gives an output that the plain reading does not know.
        SettingError: a centred head without its pictures.
    """
    import torch

    from wordsight.export.centre import image_centre
    from wordsight.export.crops import lay_out, parse_crops
    from wordsight.export.describe import object_pairs
    from wordsight.export.loading import embed_guiding, load_encoder_of
    from wordsight.export.plain import reference_outputs
    from wordsight.train.checkpoint import load_heads
    from wordsight.train.compositional import class_embeddings

    head_file = load_heads(head)
    encoder = load_encoder_of(head_file, encoder_spec, device)
    own = head_file.settings.pair
    pairs = object_pairs(own, [known.name for known in manifest.objects])
    how, winclip = manifest.winclip, None
    if "s_winclip" in manifest.outputs:
        winclip = torch.stack(
            [class_embeddings(encoder, pair.object, templates=how.templates, mean=how.mean) for pair in (own, *pairs)]
        )
    guiding = embed_guiding(encoder, [own])[0]
    objects = embed_guiding(encoder, pairs) if pairs else None
    centre, _ = image_centre(encoder, head_file.heads, centre_frames, manifest.input.fit)
    layout = lay_out(parse_crops(manifest.crops.name), encoder.image_size, manifest.input.camera)
    windows = "windows_2" in manifest.outputs

    spec = as_host(manifest.input)

    def score(batch: Frames) -> Outputs:
        if manifest.input.frame:
            batch = np.stack([fit_input(frame, spec) for frame in batch])
        found = reference_outputs(
            encoder,
            head_file.heads,
            guiding,
            batch,
            w_pr=manifest.score.w_pr,
            w_fnn=manifest.score.w_fnn,
            temperature=manifest.score.temperature,
            layout=layout,
            objects=objects,
            patches="patches" in manifest.outputs and not windows,
            winclip=winclip,
            winclip_temperature=how.temperature,
            winclip_windows=windows,
            heatmap="heatmap" in manifest.outputs,
            centre=centre,
        )
        on_frames(len(batch))
        return found

    parts = [score(frames[at : at + _BATCH]) for at in range(0, len(frames), _BATCH)]
    lacking = manifest.outputs.keys() - parts[0].keys()
    if lacking:
        raise ModelError(f"torch gives no {', '.join(sorted(lacking))} to hold against this file; leave --head out")
    return {name: np.concatenate([part[name] for part in parts]) for name in manifest.outputs}
