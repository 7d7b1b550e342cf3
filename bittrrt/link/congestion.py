"""How much may be in flight, and how fast it may leave: the small interface of everything that decides it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Final, NamedTuple

INITIAL_DATAGRAMS: Final = 32  # three times RFC 6928's ten: they leave paced over a round trip that heartbeats measured
MIN_DATAGRAMS: Final = 4  # RFC 9002 section 7.2 has two; four keep acknowledgements coming when one is lost


class Sample(NamedTuple):
    """What one acknowledgement, or one look at the clock, told about the path. Bytes count whole datagrams."""

    now: float
    """Seconds."""
    acknowledged: int
    """Bytes newly acknowledged."""
    lost: int
    """Bytes newly taken for lost."""
    in_flight: int
    """Bytes in flight after both."""
    delivered: int
    """Bytes ever acknowledged."""
    delivered_before: int
    """`delivered` at the time when the newest of the acknowledged was sent; -1 if none was."""
    rate: float
    """Bytes a second that the path delivered while the newest of the acknowledged was on its way; 0 if unknown."""
    application_limited: bool
    """Whether the sender had less to send than it was allowed at that time: the path may do better than `rate`."""
    round_trip: float
    """Seconds, of the newest of the acknowledged; 0 if there is none."""


class Congestion(ABC):
    """Decides for one sender. Sizes are bytes, rates bytes a second."""

    name: ClassVar[str]
    window: int
    """Bytes that may be in flight."""
    pacing_rate: float
    """Bytes a second at which they may leave."""
    burst: int = 0
    """Bytes that leave at once, at least, as far as the window lets them; 0: as few as pacing likes."""

    @abstractmethod
    def update(self, sample: Sample) -> None:
        """Take in a sample; `window` and `pacing_rate` follow."""

    @abstractmethod
    def loss_was_false(self) -> None:
        """Something that was reported as lost has arrived after all."""

    @abstractmethod
    def persistent_trouble(self) -> None:
        """Something got through again after several probe timeouts: the path may have become another one."""

    @abstractmethod
    def set_datagram_size(self, size: int) -> None:
        """The path takes datagrams of `size` bytes from now on."""
