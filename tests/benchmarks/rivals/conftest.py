"""Easy sets: a disc or a block on a plain ground, with a dark bar across where it is defective."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from wordsight.benchmarks.rivals.backbone import load_tower

SIZE = 96  # what `mini` sees


def picture(rng, defective, shape="disc", size=SIZE):
    """A frame (size, size, 3) uint8 BGR and the mask of its defect."""
    frame = np.full((size, size, 3), (90, 120, 140), np.uint8)
    x, y = (int(size / 2 + step) for step in rng.integers(-3, 4, 2))
    reach = size // 3
    if shape == "disc":
        cv2.circle(frame, (x, y), reach, (60, 60, 160), -1)
    else:
        cv2.rectangle(frame, (x - reach, y - reach), (x + reach, y + reach), (60, 140, 60), -1)
    noisy = frame * rng.uniform(0.95, 1.05) + rng.normal(0, 3, frame.shape)
    frame = noisy.clip(0, 255).astype(np.uint8)
    mask = np.zeros((size, size), np.uint8)
    if defective:
        angle = rng.uniform(0, 2 * np.pi)
        along = np.array([np.cos(angle), np.sin(angle)]) * size / 5
        middle = np.array([x, y]) + rng.integers(-8, 9, 2)
        ends = [tuple(int(v) for v in middle + side * along) for side in (-1, 1)]
        cv2.line(mask, ends[0], ends[1], 255, max(3, size // 32))
        frame[mask > 0] = 20
    return frame, mask > 0


def pictures(count, seed, shape="disc"):
    """`count` good and `count` defective frames by turns, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(2 * count) % 2
    drawn = [picture(rng, label, shape) for label in labels]
    return SimpleNamespace(
        frames=np.stack([frame for frame, _ in drawn]), labels=labels, masks=[mask for _, mask in drawn]
    )


def write_set(root: Path, shape: str, *, train=6, each=10, masks=True, seed=0) -> Path:
    """A set in MVTec's layout, 120 x 96 pixels a picture."""
    rng = np.random.default_rng(seed)
    kinds = [("train/good", 0, train), ("test/good", 0, each), ("test/bar", 1, each)]
    for place, label, count in kinds:
        (root / place).mkdir(parents=True)
        for number in range(count):
            frame, mask = picture(rng, label, shape)
            wide = cv2.copyMakeBorder(frame, 0, 0, 12, 12, cv2.BORDER_REPLICATE)
            assert cv2.imwrite(str(root / place / f"{number:03d}.png"), wide)
            if label and masks:
                (root / "ground_truth" / "bar").mkdir(parents=True, exist_ok=True)
                drawn = cv2.copyMakeBorder(mask.astype(np.uint8) * 255, 0, 0, 12, 12, cv2.BORDER_CONSTANT)
                assert cv2.imwrite(str(root / "ground_truth" / "bar" / f"{number:03d}_mask.png"), drawn)
    return root


@pytest.fixture(scope="session")
def easy():
    return SimpleNamespace(picture=picture, pictures=pictures, write_set=write_set, SIZE=SIZE)


@pytest.fixture(scope="session")
def mini():
    return load_tower("mini")


@pytest.fixture(scope="session")
def two_sets(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets")
    return write_set(root / "discs", "disc"), write_set(root / "blocks", "block", masks=False, seed=1)
