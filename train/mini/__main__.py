"""`python -m wordsight.train.mini`: trains the embedded encoder, about an hour on two cores."""

import argparse
from pathlib import Path

import torch

from wordsight.train.mini import load
from wordsight.train.mini.recipe import Settings, finish, train, write


def main() -> None:
    """Train, or go on training, and write the weights."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(prog="python -m wordsight.train.mini", description=__doc__)
    parser.add_argument("--out", type=Path, default=here / "mini.safetensors")
    parser.add_argument("--state", type=Path, default=here.parents[1] / ".cache" / "mini" / "state.pt")
    parser.add_argument("--steps", type=int, default=Settings.steps)
    parser.add_argument("--seed", type=int, default=Settings.seed)
    parser.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--stop-at", type=int, default=None, help="stop before this step and keep the state only")
    parser.add_argument("--first-part", type=Path, help="weights that the first part made: run the second part alone")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()

    torch.set_num_threads(given.threads)
    settings = Settings(seed=given.seed, steps=given.steps)
    if given.first_part is not None:
        encoder = load(given.first_part)
        finish(encoder, settings, say=lambda line: print(line, flush=True))
        write(encoder, given.out, settings)
        print(f"wrote {given.out}", flush=True)
        return
    given.state.parent.mkdir(parents=True, exist_ok=True)
    encoder = train(settings, given.state, resume=given.resume, stop_at=given.stop_at,
                    say=lambda line: print(line, flush=True))  # fmt: skip
    if given.stop_at is None or given.stop_at >= settings.steps:
        write(encoder, given.out, settings)
        print(f"wrote {given.out}", flush=True)


if __name__ == "__main__":
    main()
