"""What a frame costs, counted when the file was written, and what boards could do with it at the very most."""

from dataclasses import dataclass
from typing import NamedTuple

from wordsight.runtime.checks import require

__all__ = ["BOARDS", "Board", "CostSpec", "most_frames_per_s", "peak_name"]


@dataclass(frozen=True, kw_only=True)
class CostSpec:
    """The graph as exported, all squares of a frame included. All 0: nobody counted, as in files of before."""

    parameters: int = 0
    """Numbers in the graph that were learned or computed ahead."""
    flops: int = 0
    """Floating-point operations of matrix products and convolutions a frame, a multiplication and a sum being two; 0:
    not counted. What is done element by element is left out, as in open_clip's own tables."""
    bytes: int = 0
    """Bytes of the parameters, which a pass reads at least once."""

    def __post_init__(self) -> None:
        for name in ("parameters", "flops", "bytes"):
            require(getattr(self, name) >= 0, f"cost.{name}", "0 or more", getattr(self, name))


class Board(NamedTuple):
    """A device at the clock of its highest power mode: dense, GPU alone, no sparsity, no other accelerator."""

    name: str
    fp16_flops: float
    """Floating-point operations a second in fp16."""
    int8_ops: float
    """Operations a second in int8."""


# Jetsons: multiprocessors x 2048 fp16 operations a clock x clock (8 x 1020 MHz, 16 x 1301 MHz); L4: its datasheet.
# NVIDIA's advertised TOPS count sparsity and other accelerators, and are no use as a limit.
BOARDS = (
    Board("Orin Nano 8GB Super", 16.7e12, 33.4e12),
    Board("AGX Orin 64GB", 42.6e12, 85.3e12),
    Board("L4", 121e12, 242e12),
)


def most_frames_per_s(cost: CostSpec, board: Board, precision: str) -> float:
    """The frames a second that no engine on `board` can exceed: arithmetic at its peak, all else free.

    Args:
        cost: with its operations counted.
        board: one of `BOARDS`.
        precision: the file's; see `peak_name`.
    """
    return (board.int8_ops if peak_name(precision) == "int8" else board.fp16_flops) / cost.flops


def peak_name(precision: str) -> str:
    """Which peak a file's precision is held against: int8's, or fp16's, which is what an engine runs fp32 files in."""
    return "int8" if precision.startswith("int8") else "fp16"
