"""Our rows: an exported file through the runtime, on the pictures and draws of the rivals. Draw i goes with head i."""

from pathlib import Path
from typing import Any

import numpy as np

from wordsight.benchmarks.rivals.measure import Found
from wordsight.benchmarks.rivals.work import Work
from wordsight.runtime.errors import WordsightError
from wordsight.runtime.nearest import embedding_distance

NO_TEXT = "ours needs an encoder with a text side, and this backbone has none: name one with --encoder"


def exported_file(encoder: str, draws: int, pairs: int, folder: Path) -> Path:
    """The file that ours is measured with, made in `folder` where it is not there yet: one head a draw.

    It gives heat maps where the encoder can.

    Raises:
        SettingError: the folder holds heads of other settings or of another encoder.
    """
    from wordsight.benchmarks.building import exported
    from wordsight.export.errors import ExportError
    from wordsight.train.fit import Settings

    settings = Settings(num_pairs=pairs)
    try:
        return exported(encoder, settings, range(draws), folder, "single", [], heatmap=True)
    except ExportError:  # this kind of tower has no heat map; any other reason is raised below
        return exported(encoder, settings, range(draws), folder, "single", [])


def ours(method: str, work: Work, shots: int, draw: int) -> Found:
    """Score the test pictures of a class.

    Args:
        method: "clip", s_pr alone; "fnn", s_pr + s_fnn; "img", s_pr + s_fnn + s_img with the whole image's embedding.
        work: the class.
        shots: references, for "img".
        draw: of the references, and the number of the head.

    Raises:
        WordsightError: the file lacks an output.
    """
    scores = work.scores
    if method == "clip":
        return Found(scores.s_pr)
    if scores.s_fnn_seeds is None or scores.embedding is None:
        raise WordsightError("the exported file lacks s_fnn_seeds or embedding: delete it and run again")
    total: Any = scores.s_pr.astype(np.float64) + scores.s_fnn_seeds[:, draw]
    if method == "fnn":
        # The file's map is that of all its heads together: it is told once, and has no spread over draws.
        return Found(total, scores.heatmap if draw == 0 else None)
    references = work.support_scores(shots, draw).embedding
    assert references is not None
    return Found(total + embedding_distance(scores.embedding, references))
