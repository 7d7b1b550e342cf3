"""Packet conservation: for a round trip after a loss no more leaves than arrives.

    a loss ---> CONSERVING, one round ---> REPAIRING, while what was lost meanwhile is on its way again ---> free
                no more than arrives       grows back, as slow start does

So does BBR version 1, which yields to nothing else (draft-cardwell-iccrg-bbr-congestion-control-00 section 4.2.3.4, and
Linux). Where such flows share a queue, one that does without takes the path from the others: nine tenths of it, where
few datagrams fit.
"""

from __future__ import annotations

import math
from typing import Final

from .congestion import Sample

SEVERAL: Final = 3  # datagrams, and more: it takes another round to send them again


class Conservation:
    """One sender's recovery from loss."""

    __slots__ = ("_conserving_until", "_lost", "_repaired_at")

    def __init__(self) -> None:
        self._conserving_until = -1  # bytes delivered at the loss: what is sent later ends the round that follows
        self._repaired_at = -1  # the same at the last loss of that round; -1 if nothing is to be repaired
        self._lost = 0  # bytes, since the loss

    def limit(self, sample: Sample, window: int, datagram_size: int) -> float:
        """Bytes that may be in flight after `sample`, if it was `window` before; infinite without a loss."""
        conserved = sample.in_flight + sample.acknowledged
        if sample.delivered_before >= self._repaired_at:
            self._lost = sample.lost
            self._conserving_until = self._repaired_at = sample.delivered if sample.lost else -1
            return conserved if sample.lost else math.inf
        if sample.delivered_before >= self._conserving_until:
            return window - sample.lost + sample.acknowledged
        self._lost += sample.lost
        if sample.lost and self._lost > SEVERAL * datagram_size:
            self._repaired_at = sample.delivered
        return max(window - sample.lost, conserved)
