"""The mean image embedding, which a head trained on centred texts wants taken away from images.

Texts and images lie in two places of CLIP's space. A head trained with `--centre` knows texts by how they differ from
their mean; pictures are brought to it in the same way. Their mean comes from pictures that nobody is judged by: for
`mini` from nouns that it was trained on, in scenes of their own; for other encoders from pictures of the user's.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from wordsight.export.plain import encode_images
from wordsight.runtime.errors import SettingError
from wordsight.runtime.manifest import CentreSpec
from wordsight.runtime.preprocess import fit_frame
from wordsight.runtime.sources import readable_frames

if TYPE_CHECKING:
    from wordsight.runtime.fits import Fit
    from wordsight.train.encoders import Encoder
    from wordsight.train.head import Head

MINI_PICTURES = 512
_BATCH = 32


def image_centre(
    encoder: Encoder, heads: Sequence[Head], folder: Path | None, fit: Fit = "crop"
) -> tuple[Tensor | None, CentreSpec]:
    """The mean (D,) float32 of unit image embeddings, and what the manifest says of it; none for plain heads.

    Args:
        encoder: whose image tower to use.
        heads: what is to be exported; centred heads have a `text_mean`.
        folder: pictures to take the mean over, or None.
        fit: how they are brought to the encoder's square; tiles are cropped.

    Raises:
        SettingError: centred heads without pictures, or pictures without centred heads.
        PictureError, SourceError: a picture cannot be read, or the folder has none.
    """
    if all(head.text_mean is None for head in heads):
        if folder is not None:
            raise SettingError("--centre-frames goes with a head that was trained with --centre: leave it out")
        return None, CentreSpec()
    if folder is not None:
        how, pictures = "the user's pictures", (frame.image for frame in readable_frames(folder))
    elif encoder.name == "mini":
        from wordsight.train.mini import training_nouns

        how, pictures = "nouns of the generator's training", (p.image for p in training_nouns(MINI_PICTURES))
    else:
        raise SettingError(
            "this head was trained with --centre and wants the mean of image embeddings: --centre-frames DIR, any "
            "pictures of yours that are not to be judged, such as some normal frames"
        )
    total, count = None, 0
    while batch := [fit_frame(p, encoder.image_size, "crop" if fit == "tiles" else fit)
                    for p in islice(pictures, _BATCH)]:  # fmt: skip
        part = F.normalize(encode_images(encoder, np.stack(batch)), dim=-1).double().sum(dim=0).cpu()
        total, count = part if total is None else total + part, count + len(batch)
    if total is None:
        raise SettingError(f"--centre-frames {folder} has no picture in it")
    return (total / count).float(), CentreSpec(pictures=how, count=count)
