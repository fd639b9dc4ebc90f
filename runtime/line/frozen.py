"""Pictures that do not change in a single bit: a camera or encoder that hangs, for a sensor's noise never repeats."""

import hashlib

from wordsight.runtime.sources.frame import Image

_STEP = 16  # rows and columns of the first look


class FrozenWatch:
    """Tells when a live source shows the same picture for too long."""

    def __init__(self, limit_s: float) -> None:
        """Begin with nothing seen.

        Args:
            limit_s: so long the same picture may be shown; 0 or less: for ever.
        """
        self._limit_s = limit_s
        self._sparse = b""
        self._whole: bytes | None = None
        self._since_s = 0.0

    def holds_back(self, image: Image, now_s: float) -> bool:
        """Return whether this picture has been the same, bit for bit, for the limit or longer.

        Args:
            image: uint8 BGR (H, W, 3).
            now_s: monotonic clock at which it was read.
        """
        if self._limit_s <= 0:
            return False
        # One pixel in 256 first: a picture that lives differs there, and the whole of it need not be looked at.
        sparse = repr(image.shape).encode() + image[::_STEP, ::_STEP].tobytes()
        whole = hashlib.blake2b(image.tobytes(), digest_size=16).digest() if sparse == self._sparse else None
        same = whole is not None and whole == self._whole  # the first whole look is nothing to compare with yet
        if not same:
            self._since_s = now_s
        self._sparse, self._whole = sparse, whole
        return same and now_s - self._since_s >= self._limit_s
