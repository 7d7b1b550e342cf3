"""Where the peer is reached on one port, and when that is believed to have changed (roaming).

The address follows the newest authentic datagram: the one with the highest sequence so far on that port. So a datagram
that was held back or recorded and is sent again from elsewhere moves nothing. An attacker who forwards a *new* datagram
from a false address can point us there for one heartbeat, so until the new address has answered a challenge it is sent
no more than three times what it sent, as RFC 9000 section 8 has it; the challenge is the heartbeat's answer.
"""

from __future__ import annotations

import math
from typing import Any, Final

AMPLIFICATION_LIMIT: Final = 3  # RFC 9000 section 8.1

Address = tuple[Any, ...]
"""What a socket gave as the sender: `(host, port)`, for IPv6 with flow and scope."""


class PeerAddress:
    """The address of the peer on one port."""

    __slots__ = ("_heard_bytes", "_highest", "_sent_bytes", "address", "moved_at", "validated")

    def __init__(self, address: Address | None = None) -> None:
        """`address` is given where it is known beforehand, as the client knows the server's: it is believed at once."""
        self.address = address
        self.validated = address is not None
        self._highest = -1
        self.moved_at = 0.0
        """When the address became what it is."""
        self._heard_bytes = 0
        self._sent_bytes = 0

    def heard(self, address: Address, sequence: int, size: int, now: float) -> None:
        """An authentic datagram of `size` bytes came from `address`."""
        if sequence > self._highest:
            self._highest = sequence
            if address != self.address:
                self.address = address
                self.validated = False
                self.moved_at = now
                self._heard_bytes = self._sent_bytes = 0
        if not self.validated and address == self.address:
            self._heard_bytes += size

    def answered(self, address: Address, sent_at: float) -> bool:
        """`address` returned what was sent at `sent_at`. If that went there and nowhere else, the peer is proved to be
        there; True when this is news."""
        if self.validated or address != self.address or sent_at < self.moved_at:
            return False
        self.validated = True
        return True

    @property
    def room(self) -> float:
        """Bytes that may go to the address now; infinite once it has proved itself."""
        return math.inf if self.validated else AMPLIFICATION_LIMIT * self._heard_bytes - self._sent_bytes

    def may_send(self, size: int) -> bool:
        """Whether `size` bytes may go to the address now; if so they are counted as sent."""
        if self.validated:
            return True
        if self._sent_bytes + size > AMPLIFICATION_LIMIT * self._heard_bytes:
            return False
        self._sent_bytes += size
        return True
