"""One picture of an archive as it was listed, and what a listing is sorted by."""

from typing import NamedTuple


class Entry(NamedTuple):
    """A picture, before anybody looked at it.

    Attributes:
        source: its own absolute path, or its address in an object store.
        size: bytes of the file or object that holds it.
        modified: when that was last written, in microseconds since 1970; None where nobody says.
        etag: what the store tells one content from another by; None where there is none.
        path: what is opened, as bytes, where `source` is not that: a row's Parquet file, a name that is no UTF-8.
        row: from 0, in a Parquet file of pictures; None for a file or object of its own.
    """

    source: str
    size: int
    modified: int | None = None
    etag: str | None = None
    path: bytes | None = None
    row: int | None = None

    @property
    def opened(self) -> str:
        """What is opened: a path or an address."""
        return self.source if self.path is None else self.path.decode("utf-8", "surrogateescape")

    @property
    def place(self) -> tuple[bytes, int]:
        """What listings are sorted by: the bytes of what is opened, then the row."""
        return self.source.encode() if self.path is None else self.path, self.row or 0

    def change(self, size: int, modified: int | None, etag: str | None) -> str | None:
        """Return how what is opened differs from what was listed: "its size was 10, is 12"; None when it does not."""
        for name, was, found in (("size", self.size, size), ("etag", self.etag, etag)):
            if was is not None and found is not None and was != found:
                return f"its {name} was {was}, is {found}"
        same = self.etag is not None and self.etag == etag  # then a later date is the same content, put there again
        if not same and self.modified is not None and modified is not None and self.modified != modified:
            return "it was written again"
        return None
