"""A backbone with three of its levels looked at, or moved on their way to the next: any network, by running it once.

N pictures, S the side of a picture, C_l channels and G_l cells a side of level l. Levels are found by shape, not by
name: of a network that shrinks its maps step by step the last module of each size, of a transformer the blocks at a
quarter, a half and three quarters of its depth.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wordsight.runtime.errors import SettingError

LEVELS = 3
_BATCH = 16  # pictures in one pass
_COARSE = 4  # ResNet's first level, which all four papers begin with, is S / 4

Warp = Callable[[Tensor], Tensor]
"""A level (N, C, G, G) to the same shape."""


@dataclass(frozen=True)
class Features:
    """What a backbone makes of N pictures."""

    levels: list[NDArray[np.float32]]
    """Three of (N, C_l, G_l, G_l), fine to coarse."""
    pooled: NDArray[np.float32]
    """(N, D): the network's own summary of the picture, CLIP's embedding or what the last linear layer takes."""


class Tower(nn.Module):
    """A frozen network that is fed uint8 BGR frames.

    Args:
        model: takes (N, 3, S, S) normalised RGB.
        size: S.
        mean: what is subtracted from RGB in 0 ... 1, and
        std: what it is then divided by.
        name: for messages and results.
        sha256: of the weights' file.
        classifier: the network ends in classes: its summary is what the last linear layer takes, not what it gives.

    Attributes:
        places: names of the modules whose outputs are the levels, fine to coarse.

    Raises:
        SettingError: the network has no three levels.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self, model: nn.Module, size: int, mean: Sequence[float], std: Sequence[float], name: str, sha256: str,
        classifier: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.model, self.size, self.name, self.sha256 = model.eval().requires_grad_(False), size, name, sha256
        means, deviations = torch.tensor(mean).float(), torch.tensor(std).float()
        self.register_buffer("scale", (1 / (255 * deviations))[:, None, None], persistent=False)  # (3, 1, 1), RGB
        self.register_buffer("shift", (-means / deviations)[:, None, None], persistent=False)
        traced = _trace(model, size)
        self.places = _levels(traced, size, name, model)
        linear = [place for place, shape in traced if isinstance(model.get_submodule(place), nn.Linear)]
        self.pooled_before = linear[-1] if classifier and linear else ""

    def normalised(self, frames: NDArray[np.uint8]) -> Tensor:
        """uint8 BGR (N, S, S, 3) to float32 RGB (N, 3, S, S), as the network wants it."""
        pictures = torch.from_numpy(np.ascontiguousarray(frames)).to(self.scale.device)
        return pictures.permute(0, 3, 1, 2).flip(1).float() * self.scale + self.shift

    def forward(self, images: Tensor, warps: Sequence[Warp] | None = None) -> tuple[list[Tensor], Tensor]:
        """Levels (N, C_l, G_l, G_l) and summary (N, D) of images (N, 3, S, S).

        Args:
            images: as `normalised` gives them.
            warps: one a level; what a warp returns is what the network goes on with.
        """
        found: list[Tensor] = []
        summary: list[Tensor] = []

        def look(_: nn.Module, __: Any, output: Tensor) -> Tensor | None:
            grid = _grid(output)
            if warps is None:
                found.append(grid.clone())  # a layer behind it may work in place
                return None
            found.append(warps[len(found)](grid))
            return _like(found[-1], output)

        handles = [self.model.get_submodule(place).register_forward_hook(look) for place in self.places]
        if self.pooled_before:
            last = self.model.get_submodule(self.pooled_before)
            handles.append(last.register_forward_pre_hook(lambda _, given: summary.append(given[0])))
        try:
            output = self.model(images)
        finally:
            for handle in handles:
                handle.remove()
        return found, summary[-1] if summary else output

    @torch.no_grad()
    def features(self, frames: NDArray[np.uint8]) -> Features:
        """What the network makes of frames (N, S, S, 3), in small batches, on the CPU."""
        parts = [self(self.normalised(frames[at : at + _BATCH])) for at in range(0, len(frames), _BATCH)]
        levels = [torch.cat([part[0][level] for part in parts]).cpu().numpy() for level in range(LEVELS)]
        return Features(levels, torch.cat([part[1].flatten(1) for part in parts]).cpu().numpy())


def _trace(model: nn.Module, size: int) -> list[tuple[str, tuple[int, ...]]]:
    """Every module that runs exactly once and gives one tensor, in the order in which they end, with its shape."""
    names = {module: name for name, module in model.named_modules() if name}
    ended: list[tuple[nn.Module, tuple[int, ...]]] = []

    def note(module: nn.Module, _: Any, output: Any) -> None:
        ended.append((module, tuple(output.shape) if isinstance(output, Tensor) else ()))

    handles = [module.register_forward_hook(note) for module in names]
    try:
        with torch.no_grad():
            model(torch.zeros(1, 3, size, size))
    finally:
        for handle in handles:
            handle.remove()
    runs = [module for module, _ in ended]
    return [(names[module], shape) for module, shape in ended if shape and runs.count(module) == 1]


def _levels(traced: list[tuple[str, tuple[int, ...]]], size: int, name: str, model: nn.Module) -> list[str]:
    square = [(place, shape[2]) for place, shape in traced if len(shape) == 4 and shape[2] == shape[3] and shape[2] > 1]
    inside = _inside_blocks(square, model)
    last = {side: place for place, side in square if place not in inside}
    sides = sorted((side for side in last if side < size), reverse=True)
    coarse = [side for side in sides if side * _COARSE <= size]
    if len(sides) >= LEVELS:
        return [last[side] for side in (coarse if len(coarse) >= LEVELS else sides[-LEVELS:])[:LEVELS]]
    blocks = _blocks(dict(traced), model)
    if len(blocks) > LEVELS:
        return [blocks[len(blocks) * part // 4 - 1] for part in (1, 2, 3)]
    raise SettingError(
        f"{name} has no three levels: expected a network whose square maps shrink three times, or a transformer of "
        f"four blocks or more on a square grid; got maps of {sides or 'none'} and {len(blocks)} blocks"
    )


def _inside_blocks(square: list[tuple[str, int]], model: nn.Module) -> set[str]:
    """Modules within a block that ends in another size: a shortcut may pass them by."""
    sides = dict(square)
    found = set()
    for place, side in square:
        parts = place.split(".")
        for depth in range(1, len(parts)):
            parent = ".".join(parts[:depth])
            a_row = isinstance(model.get_submodule(parent), nn.Sequential)
            if not a_row and sides.get(parent, side) != side:
                found.add(place)
    return found


def _blocks(shapes: dict[str, tuple[int, ...]], model: nn.Module) -> list[str]:
    """The longest row of modules side by side that all give the same tokens (1, T, C)."""
    longest: list[str] = []
    for name, parent in model.named_modules():
        prefix = f"{name}." if name else ""
        inside = [
            f"{prefix}{child}" for child, _ in parent.named_children() if len(shapes.get(prefix + child, ())) == 3
        ]
        same = [place for place in inside if shapes[place] == shapes[inside[0]] and shapes[place][1] >= 4]
        longest = same if len(same) > len(longest) else longest
    return longest


def _grid(output: Tensor) -> Tensor:
    """A map as it is, tokens (N, p + G * G, C) without their p first ones as a map (N, C, G, G)."""
    if output.ndim == 4:
        return output
    side = isqrt(output.shape[1])
    return output[:, -side * side :].transpose(1, 2).reshape(len(output), -1, side, side)


def _like(grid: Tensor, output: Tensor) -> Tensor:
    """A map in the form of the output that it came from."""
    if output.ndim == 4:
        return grid
    tokens = grid.flatten(2).transpose(1, 2)
    return torch.cat([output[:, : output.shape[1] - tokens.shape[1]], tokens], 1)
