"""One end of one session: what seals, opens and counts the datagrams of its three ports.

datagram -> length -> epoch -> tag -> replay filter -> believed
"""

from __future__ import annotations

from ..errors import DatagramTooShort, EpochNotAccepted, NotAuthentic
from ..wire.datagram import Opened
from .counters import Counters
from .encryptor import CommEncryptor
from .replay import ReplayFilter


class Link:
    """The state that the three ports of one end share: one encryptor, one sequence space a direction."""

    __slots__ = ("encryptor", "next_sequence", "replay")

    def __init__(self, encryptor: CommEncryptor) -> None:
        self.encryptor = encryptor
        self.replay = ReplayFilter()
        self.next_sequence = 0

    def seal(self, payload: bytes, flags: int, channel: int = 0, offset: int = 0) -> bytes:
        """The datagram that carries `payload`, with the next sequence."""
        sequence = self.next_sequence
        self.next_sequence = sequence + 1
        return self.encryptor.encrypt(payload, b"", flags, channel, sequence, offset)

    def open_untrusted(self, datagram: bytes, counters: Counters) -> Opened | None:
        """What an authentic and new datagram says; None, and one drop counted, for any other."""
        try:
            opened = self.encryptor.open_untrusted(datagram)
        except NotAuthentic:
            counters.not_authentic += 1
            return None
        except EpochNotAccepted:
            counters.epoch_not_accepted += 1
            return None
        except DatagramTooShort:
            counters.too_short += 1
            return None
        if not self.replay.accept(opened.sequence):
            counters.replayed += 1
            return None
        counters.received += 1
        counters.bytes_received += len(datagram)
        return opened
