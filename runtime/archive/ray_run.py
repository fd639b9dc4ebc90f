"""The engine with Ray: Ray Data over the shards of the listing, a pool of actors with a session each.

Each actor takes a shard, reads and decodes ahead of its engine, and writes the shard itself: pictures and embeddings
never travel through Ray's object store, only the shards' numbers do. An actor that is killed is begun anew by Ray, and
its shard with it.
"""

import contextlib
import os
import re
import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from wordsight.runtime.archive.local import TRIES, on_gpu
from wordsight.runtime.archive.shards import Done
from wordsight.runtime.archive.worker import Task, Trouble, Worker, not_written
from wordsight.runtime.errors import ArchiveError, MissingPart
from wordsight.runtime.files import PARTS

_STORE_BYTES = 128 * 2**20  # of the object store: what goes through it is a few numbers a shard
_BLOCKS = 10_000
_REACH_S = 10.0
_TRIES = 3  # to begin a cluster here


class ShardScorer:
    """An actor: a model held open."""

    def __init__(self, task: Task, token: str) -> None:
        """Open the model; an error is kept until the first shard, since Ray would begin the actor again and again.

        Args:
            task: of every worker.
            token: of this run alone, by which it knows which shards it has begun.
        """
        self._tries = Path(task.folder, "shards", PARTS.replace("*", f"{token}-{{}}"))
        self._trouble: Trouble | None = None
        try:
            self._worker = Worker(task)
        except Exception as error:
            self._trouble = Trouble.of(error)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Score the shards of a batch, one at a time, and tell what they hold."""
        rows: list[tuple[int, int, int, str, int]] = []
        for number in batch["id"].tolist():
            trouble, done = self._trouble, None
            if trouble is None:
                try:
                    with self._tried(number):
                        done = self._worker.score(number)
                except Exception as error:
                    trouble = Trouble.of(error)
            if done is not None:
                rows.append((number, done.scored, done.unreadable, "", 0))
            elif trouble is not None:
                rows.append((number, 0, 0, trouble.message, trouble.exit_code))
        names = ("number", "scored", "unreadable", "message", "exit_code")
        return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))

    @contextlib.contextmanager
    def _tried(self, number: int) -> Iterator[None]:
        """Keep count on the disk of how often a shard was begun: Ray begins one that ends its worker again for ever."""
        count = Path(str(self._tries).format(number))
        try:
            with open(count, "ab") as file:
                file.write(b".")
                begun = file.tell()
            if begun > TRIES:
                raise ArchiveError(
                    f"shard {number} ended its worker {TRIES} times: not enough memory? Try fewer --workers"
                )
            yield
        except OSError as error:
            raise not_written(count.parent.parent, error) from error
        finally:
            count.unlink(missing_ok=True)


def run_ray(
    task: Task,
    numbers: list[int],
    workers: int | None,
    address: str | None,
    backend: str,
    on_shard: Callable[[Done], None],
) -> Iterator[Done]:
    """Score shards on a Ray cluster, in whichever order they are finished.

    Args:
        task: of every worker; every machine of the cluster must see its folder, its model and the source.
        numbers: of the shards.
        workers: actors; None: one a GPU where the backend may use one, else as many as the cluster has cores for.
        address: of the cluster; None: one of our own on this machine, for as long as this takes.
        backend: as it was asked for.
        on_shard: called with each shard that is finished.

    Raises:
        MissingPart: Ray is not installed.
        ArchiveError: no such cluster.
        WordsightError: as `Worker.score`.
    """
    ray, cluster = _connected(address, workers)
    try:
        from dataclasses import replace

        gpus = float(cluster.get("GPU", 0))
        gpu = gpus >= 1 and on_gpu(backend)
        cores = max(1, int(cluster.get("CPU", 1)))
        count = workers or (int(gpus) if gpu else max(1, cores // (task.threads or 1)))
        count = min(count, len(numbers))
        threads = task.threads or max(1, cores // count)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False  # ours is shown
        context.execution_options.preserve_order = False
        shards = ray.data.from_items(
            [{"id": number} for number in numbers], override_num_blocks=min(len(numbers), _BLOCKS)
        )
        found = shards.map_batches(
            ShardScorer,
            batch_size=1,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(size=count, max_tasks_in_flight_per_actor=2),
            fn_constructor_args=(replace(task, threads=threads), secrets.token_hex(4)),
            num_cpus=min(threads, cores // count or 1),
            num_gpus=1 if gpu else 0,
        )
        for row in found.iter_rows():
            if row["message"]:
                raise Trouble(str(row["message"]), int(row["exit_code"])).again()
            done = Done(int(row["number"]), int(row["scored"]), int(row["unreadable"]))
            on_shard(done)
            yield done
    except ray.exceptions.RayError as error:
        told = " ".join(str(error).split())[-300:]
        raise ArchiveError(f"Ray gave up: {type(error).__name__}: {told}; the same command goes on") from error
    finally:
        ray.shutdown()


def _connected(address: str | None, workers: int | None) -> tuple[Any, dict[str, float]]:
    """Join a cluster, or begin one here; return Ray and what the cluster has."""
    place = re.fullmatch(r"(?:ray://)?([^:/]+):(\d+)", address or "")
    if place is not None:
        try:  # Ray itself would try for minutes
            socket.create_connection((place[1], int(place[2])), _REACH_S).close()
        except OSError as error:
            told = (error.strerror or str(error)).lower()
            raise ArchiveError(f"no Ray cluster at {address}: {told}") from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would call home
    os.environ.setdefault("RAY_DATA_LOG_LEVEL", "ERROR")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingPart("Ray is not installed", "pip install 'wordsight[archive]'") from error
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False, "configure_logging": True}
    if address is None:
        from wordsight.runtime.figures import usable_cores

        cores = max(usable_cores(), workers or 0)
        quiet |= {"num_cpus": cores, "include_dashboard": False, "object_store_memory": _STORE_BYTES}
    for left in reversed(range(_TRIES if address is None else 1)):
        try:
            with _hushed():
                ray.init(address=address or "local", **quiet)
            break
        except Exception as error:  # bare ones among them: Ray gives a node 30 s to begin, few for a busy machine
            ray.shutdown()
            if not left:
                told = " ".join(str(error).split())[:160]
                raise ArchiveError(f"no Ray cluster at {address or 'this machine'}: {told}") from error
    return ray, dict(ray.cluster_resources())


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Keep what Ray's own libraries print to stderr while they begin, past Python, out of sight; errors are raised."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
