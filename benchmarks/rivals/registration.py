"""RegAD's network (Huang et al., arXiv 2207.07361, section 3.2): good pictures of one category are brought to agree.

A spatial transformer behind each of three levels, a Siamese encoder and predictor on the last; trained on pairs of
good pictures of the categories that are not measured. What is simplified here: transformers turn and scale, the
version that the paper found best, rather than any affine map; the batch norm of the backbone stays as it was trained;
a few hundred steps rather than 50 epochs, so the new parts learn ten times as fast as the paper's 1e-4.
"""

import copy
import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from wordsight.benchmarks.rivals.tower import LEVELS, Features, Tower

STEPS = 200
PAIRS = 8
"""Pairs of good pictures a step, all of one category."""
SETTINGS = {"steps": STEPS, "pairs": PAIRS, "rate": 1e-4, "rate_new": 1e-3, "momentum": 0.9, "warps": "turn and scale"}
_BATCH = 16

Frames = NDArray[np.uint8]


class Transformer(nn.Module):
    """A spatial transformer that turns and scales a level; without training it leaves it as it is."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.locate = nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(),
            nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 2),
        )  # fmt: skip
        for parameter in self.locate[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, grid: Tensor) -> tuple[Tensor, Tensor]:
        """A level (N, C, G, G) moved, and the maps (N, 3, 3) that moved it."""
        turn, scale = self.locate(grid).tanh().unbind(1)
        cosine, sine = torch.cos(math.pi * turn), torch.sin(math.pi * turn)
        factor, zero, one = torch.exp(scale / 2), torch.zeros_like(turn), torch.ones_like(turn)
        rows = (factor * cosine, -factor * sine, zero, factor * sine, factor * cosine, zero, zero, zero, one)
        moves = torch.stack(rows, 1).view(-1, 3, 3)
        return moved(grid, moves), moves


def moved(grid: Tensor, moves: Tensor) -> Tensor:
    """A level (N, C, G, G) seen through `moves` (N, 3, 3): what lies at x comes from `moves` x."""
    lattice = F.affine_grid(moves[:, :2], list(grid.shape), align_corners=False)
    return F.grid_sample(grid, lattice, align_corners=False)


class Registration(nn.Module):
    """A copy of a backbone that learns to register, with its three transformers."""

    def __init__(self, tower: Tower) -> None:
        super().__init__()
        self.tower = copy.deepcopy(tower)
        with torch.no_grad():
            images = torch.zeros(1, 3, tower.size, tower.size, device=tower.scale.device)
            widths = [level.shape[1] for level in tower(images)[0]]
        self.transformers = nn.ModuleList(Transformer(width) for width in widths)
        self.encode = _ones(widths[-1], widths[-1], widths[-1], widths[-1])
        self.predict = _ones(widths[-1], max(16, widths[-1] // 4), widths[-1])
        self.to(tower.scale.device)

    def forward(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Registered levels of images (N, 3, S, S), and all moves (N, 3, 3) up to each."""
        moves: list[Tensor] = []

        def warp(level: int) -> Callable[[Tensor], Tensor]:
            def move(grid: Tensor) -> Tensor:
                grid, found = self.transformers[level](grid)
                moves.append(moves[-1] @ found if moves else found)
                return grid

            return move

        levels, _ = self.tower(images, [warp(level) for level in range(LEVELS)])
        return levels, moves

    @torch.no_grad()
    def features(self, frames: Frames) -> Features:
        """Registered levels of frames (N, S, S, 3), each moved back to where it lay in the picture (section 3.3)."""
        parts: list[list[Tensor]] = []
        for at in range(0, len(frames), _BATCH):
            levels, moves = self(self.tower.normalised(frames[at : at + _BATCH]))
            parts.append([moved(grid, torch.linalg.inv(move)) for grid, move in zip(levels, moves, strict=True)])
        joined = [torch.cat([part[level] for part in parts]).cpu().numpy() for level in range(LEVELS)]
        return Features(joined, np.zeros((len(frames), 0), np.float32))


def train(
    tower: Tower, categories: Sequence[Frames], seed: int, tick: Callable[[], None], steps: int = STEPS
) -> Registration:
    """Learn to register pairs of good pictures.

    Args:
        tower: the backbone to begin with; it is left as it is.
        categories: good frames (M, S, S, 3) of each, at least two of them.
        seed: of the new parts and of the pairs.
        tick: called after each step.
        steps: how many.

    Returns:
        The network, in eval mode.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Registration(tower)
    rng = np.random.default_rng(seed)
    backbone = list(network.tower.model.requires_grad_(True).parameters())
    new = [*network.transformers.parameters(), *network.encode.parameters(), *network.predict.parameters()]
    groups = [{"params": backbone, "lr": SETTINGS["rate"]}, {"params": new, "lr": SETTINGS["rate_new"]}]
    optimiser = torch.optim.SGD(groups, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    network.train()
    network.tower.eval()  # its batch norm
    for _ in range(steps):
        frames = categories[int(rng.integers(len(categories)))]
        pairs = np.array([rng.choice(len(frames), 2, replace=False) for _ in range(PAIRS)])
        levels, _ = network(network.tower.normalised(frames[pairs.T.ravel()]))
        loss = registration_loss(network, levels[-1])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        tick()
    return network.eval().requires_grad_(False)


def registration_loss(network: Registration, last: Tensor) -> Tensor:
    """Minus the mean cosine of every cell predicted from one picture with that of the other (eq. 2 and 3).

    Args:
        network: whose encoder and predictor are taken.
        last: the last level (2 B, C, G, G): first pictures of the pairs, then the second ones.
    """
    encoded = network.encode(last)
    predicted = network.predict(encoded)
    first, second = encoded.detach().chunk(2)  # no gradient: what keeps it from falling onto one point
    ahead, behind = predicted.chunk(2)
    cosine = F.cosine_similarity(ahead, second).mean() + F.cosine_similarity(behind, first).mean()
    return -cosine / 2


def _ones(*widths: int) -> nn.Sequential:
    """1 x 1 convolutions, batch norm and ReLU between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers[:-2])
