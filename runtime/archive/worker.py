"""What one process does for an archive, under every engine: open the model once, then score shards, one at a time."""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wordsight.runtime.archive.listing import read_shard
from wordsight.runtime.archive.places import is_address
from wordsight.runtime.archive.run_file import Run, read_run
from wordsight.runtime.archive.score import score_entries
from wordsight.runtime.archive.shards import Done, finished, write_shard
from wordsight.runtime.errors import ArchiveError, MissingPart, WordsightError
from wordsight.runtime.files import file_sha256
from wordsight.runtime.model import Model
from wordsight.runtime.threads import one_thread_for_products

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


@dataclass(frozen=True)
class Task:
    """What a worker is told; plain values, so that they travel to any machine.

    Attributes:
        folder: of the archive, absolute; every worker sees it under this name.
        model: path of the model, likewise.
        batch: most pictures a pass of the engine.
        threads: of an engine on the processor; None for its own choice.
        readers: threads that read and decode; None: 2 on this machine's disk, 16 from an object store.
    """

    folder: str
    model: str
    batch: int = 32
    threads: int | None = None
    readers: int | None = None


class Worker:
    """A model held open for the shards of one run."""

    def __init__(self, task: Task) -> None:
        """Read the run and open the model.

        Raises:
            ArchiveError: this machine does not see the folder, or another model under the name.
            WordsightError: as `Model`.
        """
        self._folder = Path(task.folder)
        self._run: Run = read_run(self._folder)
        path = Path(task.model)
        if not path.is_file() or file_sha256(path) != self._run.model_sha256:
            raise ArchiveError(
                f"expected the model {self._run.model} of {self._folder} at {path}, found another or none"
            )
        one_thread_for_products()
        self._batch = task.batch
        self._readers = task.readers or (16 if is_address(self._run.source) else 2)
        self._model = Model(
            path, self._run.backend, batch_size=task.batch, object=self._run.object, threads=task.threads
        )
        self.backend = self._model.backend

    def score(self, number: int, on_pictures: Callable[[int], None] = lambda count: None) -> Done:
        """Score a shard and write it, unless somebody has meanwhile.

        Args:
            number: of the shard.
            on_pictures: called with how many more pictures were scored or given up.

        Raises:
            ArchiveError: the disk is full, or the shard that lies there is another's.
            StoreError: the store refuses.
            WordsightError: the engine fails.
        """
        there = finished(self._folder, self._run, number)
        if there is not None:
            on_pictures(there.scored + there.unreadable)
            return there
        entries = read_shard(self._folder / self._run.listing, number)
        found = score_entries(
            self._model, self._run, entries, batch=self._batch, readers=self._readers, on_pictures=on_pictures
        )
        try:
            return write_shard(self._folder, self._run, number, *found)
        except OSError as error:
            raise not_written(self._folder, error) from error

    def close(self) -> None:
        """Give the engine back."""
        self._model.close()


def not_written(folder: Path, error: OSError) -> ArchiveError:
    """The error of a folder that takes no more, and what to do."""
    reason = (error.strerror or str(error)).lower()
    advice = "; make room and run the same command again to go on" if error.errno in _FULL else ""
    return ArchiveError(f"cannot write into {folder}: {reason}{advice}")


@dataclass(frozen=True)
class Trouble:
    """An error as it travels between processes: in words, since not every exception survives the way."""

    message: str
    exit_code: int

    @classmethod
    def of(cls, error: BaseException) -> "Trouble":
        """Take down an error; one of ours keeps its exit code."""
        if isinstance(error, WordsightError):
            return cls(str(error), error.exit_code)
        if isinstance(error, OSError) and error.strerror:
            place = f"{error.filename}: " if error.filename else ""
            return cls(f"{place}{error.strerror.lower()}", 2)
        if isinstance(error, MemoryError):
            return cls("not enough memory; try a smaller --batch, or fewer --workers", 2)
        return cls(f"internal error, a mistake of ours: {type(error).__name__}: {error}", 2)

    def again(self) -> WordsightError:
        """Return it as an error to raise."""
        error: WordsightError = MissingPart(self.message, "") if self.exit_code == 3 else ArchiveError(self.message)
        return error
