"""What leaves in one turn."""

from __future__ import annotations

from typing import NamedTuple

from .full_burst import full_burst


class Burst(NamedTuple):
    """Bytes of one channel to send in this turn: `chunk_size` bytes in each datagram, the last may have less.

    It is cut in as many writes as it takes: the work for a burst, here and when it is acknowledged, is as much for four
    writes as for one.
    """

    channel: int
    offset: int
    """Where in the channel's stream the bytes begin."""
    length: int
    """Bytes in all; 0 for one empty datagram, which asks for an acknowledgement with new credit."""
    chunk_size: int
    retransmission: bool

    @property
    def datagrams(self) -> int:
        """How many datagrams, and sequences, the burst takes."""
        return -(-self.length // self.chunk_size) or 1

    @property
    def writes(self) -> int:
        """How many writes it takes, all of them full but the last."""
        return -(-self.datagrams // full_burst(self.chunk_size))
