"""What a second core of this machine can add at all: a matrix product in one process, and in two at once.

Two cores may be two hardware threads of one. Then no second worker can double the rate of arithmetic, and what it can
is measured in the same turns as the workers themselves. Run as a module it is one of the processes.
"""

import contextlib
import os
import subprocess
import sys
import time

SIZE, SECONDS = 512, 2.0
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def two_over_one(seconds: float = SECONDS) -> float:
    """Products a second of two processes at once, on a core each, over those of one on its core."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    alone = _rate([cores[0]], seconds)
    return _rate(cores, seconds) / alone


def _rate(cores: list[int], seconds: float) -> float:
    """Products a second of a process on each of `cores`, all begun at one moment."""
    environ = {**os.environ, **dict.fromkeys(_ONE_THREAD, "1")}
    with contextlib.ExitStack() as ending:  # where one fails the other ends too: it reads the end of its input
        running = [
            ending.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", __name__, str(core), str(seconds)],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ,
                )
            )
            for core in cores
        ]  # fmt: skip
        for process in running:
            assert process.stdout is not None
            process.stdout.readline()  # it is ready
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [float(process.communicate()[0]) for process in running]
    return sum(told)


def main(core: int, seconds: float) -> None:
    """Multiply on one core from a line of stdin on; print how many a second."""
    import numpy as np

    os.sched_setaffinity(0, {core})
    rng = np.random.default_rng(core)
    left, right = rng.random((2, SIZE, SIZE), np.float32)
    out = left @ right
    print("ready", flush=True)
    sys.stdin.readline()
    count, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        np.matmul(left, right, out=out)
        count += 1
    print(count / passed, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
