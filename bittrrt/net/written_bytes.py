"""What was written to a stream of no known size, until the peer has acknowledged it: a stretch that moves along."""

from __future__ import annotations


class WrittenBytes:
    """The bytes from `begin` to `end` of a stream, all that may have to be sent again. It is the stream's source."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self.begin = 0
        """The offset of what is kept."""

    @property
    def end(self) -> int:
        """The offset of what is written next."""
        return self.begin + len(self._kept)

    def append(self, data: bytes) -> None:
        """Write more."""
        self._kept += data

    def read(self, offset: int, length: int) -> bytes:
        """See `StreamSource`."""
        at = offset - self.begin
        return bytes(self._kept[at : at + length])

    def forget_before(self, offset: int) -> None:
        """Everything before `offset` is acknowledged."""
        del self._kept[: offset - self.begin]
        self.begin = offset

    def clear(self) -> None:
        """Forget all of it: nothing is going to be sent any more."""
        self._kept.clear()
