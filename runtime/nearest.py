"""How far a frame's vectors are from the nearest one of the references: (1 - cos) / 2, and WinCLIP's map of it.

Plain arrays in, plain arrays out. Symbols: N frames, k references, D the width of the shared space, D' that of patch
tokens before projection, g x g the patch grid, P = g * g patches, W2 = (g - 1)**2 and W3 = (g - 2)**2 windows of 2x2
and 3x3 patches at stride 1, row by row. All float32. Vectors of references are unit length; those of frames are made so
here, and a zero vector is as far from everything as a right angle: 0.5. NaN in a frame stays NaN in its score.

A frame is compared by itself, so its score does not depend on the frames it shares a batch with.
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

BLOCK_BYTES = 4 * 2**20
"""Most bytes of cosines that exist at once; 225 patches against 100 references would be 20 MB, windows come on top."""

_SMALLEST = 1e-12  # of a length that is divided by


def unit(vectors: Floats) -> Floats:
    """Scale vectors (..., D) to length 1; a zero vector stays zero."""
    vectors = np.asarray(vectors, np.float32)
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), _SMALLEST), np.float32)


def nearest_distance(vectors: Floats, references: Floats) -> Floats:
    """(1 - the largest cosine) / 2, 0 to 1: R of WinCLIP (arXiv 2303.14814, eq. 4).

    Args:
        vectors: (Q, D) of one frame.
        references: (R, D) unit vectors, R >= 1.

    Returns:
        (Q,).
    """
    queries = unit(vectors)
    best = np.full(len(queries), -np.inf, np.float32)
    rows = max(1, BLOCK_BYTES // (4 * max(1, len(queries))))
    for at in range(0, len(references), rows):
        np.maximum(best, (queries @ references[at : at + rows].T).max(axis=1), out=best)
    # Rounding leaves the cosine of equal vectors a little above 1.
    return np.asarray((1 - np.clip(best, -1, 1)) / 2, np.float32)


def embedding_distance(embedding: Floats, references: Floats) -> Floats:
    """s_img by the whole image's embedding: (1 - the largest cosine) / 2 over the references.

    The paper (section 4.2) says no more than "similarities between the image embeddings of test samples and reference
    normal samples as described in the paper of WinCLIP"; this takes it at its word, with WinCLIP's distance.

    Args:
        embedding: (N, D), of any length.
        references: (k, D), of any length, k >= 1.

    Returns:
        (N,), 0 (the same direction) to 1 (opposite).
    """
    known = unit(references)
    distances = np.empty(len(embedding), np.float32)
    for index, vector in enumerate(embedding):
        distances[index] = nearest_distance(vector[None], known)[0]
    return distances


def spread(windows: Floats, reach: int) -> Floats:
    """Spread values of windows to patches: the harmonic mean over the windows that cover each.

    A zero among them makes the mean zero, its limit: the patch lies in a window that a reference shows exactly.

    Args:
        windows: (N, m, m), 0 or more; a window lies at its first row and column.
        reach: patches a side of a window.

    Returns:
        (N, g, g) with g = m + reach - 1.
    """
    places = windows.shape[1]
    side = places + reach - 1
    total = np.zeros((len(windows), side, side), np.float32)
    covering = np.zeros((side, side), np.float32)
    with np.errstate(divide="ignore", over="ignore"):
        inverse = 1 / np.asarray(windows, np.float32)
    for row in range(reach):
        for column in range(reach):
            total[:, row : row + places, column : column + places] += inverse
            covering[row : row + places, column : column + places] += 1
    return np.asarray(covering / total, np.float32)


def grid_side(patches: int, windows_2: int, windows_3: int) -> int | None:
    """Return g of a grid of g x g patches with these numbers of windows; None when there is no such grid."""
    side = math.isqrt(patches)
    fits = (side * side, (side - 1) ** 2, (side - 2) ** 2) == (patches, windows_2, windows_3)
    return side if fits and side >= 3 else None


def association_map(frames: tuple[Floats, Floats, Floats], references: tuple[Floats, Floats, Floats]) -> Floats:
    """WinCLIP's reference association: the mean of three maps, of patches and of windows of 2x2 and 3x3 patches.

    Each vector is compared with those of its kind at *any* position of any reference; window values are spread to
    patches. WinCLIP: M_ref = (M_patch + M_2 + M_3) / 3.

    Args:
        frames: patches (N, P, D'), windows_2 (N, W2, D), windows_3 (N, W3, D), of any length.
        references: the same of k references, unit vectors.

    Returns:
        (N, g, g), 0 to 1.
    """
    found = []
    for vectors, known in zip(frames, references, strict=True):
        flat = known.reshape(-1, known.shape[-1])
        distances = np.empty(vectors.shape[:2], np.float32)
        for index, frame in enumerate(vectors):
            distances[index] = nearest_distance(frame, flat)
        found.append(distances)
    return association_of(found[0], found[1], found[2])


def association_of(patches: Floats, windows_2: Floats, windows_3: Floats) -> Floats:
    """The same from distances that are there already: patches (N, P), windows_2 (N, W2), windows_3 (N, W3).

    The distance to several references is the least of those to each, so a set of them needs no new comparison.
    """
    count, side = len(patches), math.isqrt(patches.shape[1])
    total = np.array(patches, np.float32).reshape(count, side, side)
    for reach, distances in ((2, windows_2), (3, windows_3)):
        places = side - reach + 1
        total += spread(distances.reshape(count, places, places), reach)
    return np.asarray(total / 3, np.float32)
