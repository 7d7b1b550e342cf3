"""How fast the path delivers: a sample a burst, after draft-cheng-iccrg-delivery-rate-estimation.

A sample's rate is what was delivered between the sending of a burst and its acknowledgement, over the longer of two
times: the one that the acknowledgements took, and the one that the sending took. So neither acknowledgements that come
in clumps nor a write of many datagrams at once make the path look faster than it is.
"""

from __future__ import annotations

from .in_flight import SentBurst


class DeliveryRate:
    """The delivery of one sender, in bytes of whole datagrams."""

    __slots__ = ("_first_sent_at", "_limited_until", "delivered", "delivered_at")

    def __init__(self, now: float) -> None:
        self.delivered = 0
        """Bytes ever acknowledged."""
        self.delivered_at = now
        """When the last of them were."""
        self._first_sent_at = now
        self._limited_until = 0  # what is delivered up to here was sent while there was too little to send

    def sending(self, burst: SentBurst, in_flight: int) -> None:
        """`burst` is leaving, with `in_flight` bytes before it."""
        if not in_flight:
            self._first_sent_at = self.delivered_at = burst.at
        burst.delivered = self.delivered
        burst.delivered_at = self.delivered_at
        burst.first_sent_at = self._first_sent_at
        burst.application_limited = self.application_limited

    @property
    def application_limited(self) -> bool:
        """Whether what leaves now tells less than what the path could do."""
        return self.delivered < self._limited_until

    def application_is_limited(self, in_flight: int) -> None:
        """There is less to send than is allowed: until what is in flight has arrived, samples tell too little."""
        self._limited_until = self.delivered + max(in_flight, 1)

    def acknowledged(self, size: int, newest: SentBurst, now: float, shortest: float) -> float:
        """`size` bytes more have arrived, `newest` the last sent among them. Returns the rate, 0 if unknown.

        `shortest`: seconds; a sample over a shorter time than the path's minimum round trip tells nothing.
        """
        self.delivered += size
        self.delivered_at = now
        self._first_sent_at = max(self._first_sent_at, newest.at)
        elapsed = max(now - newest.delivered_at, newest.at - newest.first_sent_at)
        if elapsed < shortest or elapsed <= 0:
            return 0.0
        return (self.delivered - newest.delivered) / elapsed
