"""What happened to the datagrams of one port, by name. Whole numbers that only grow."""

from __future__ import annotations


class Counters:
    """One port's datagrams. A datagram that came is in `received` or in exactly one of the drops."""

    __slots__ = (
        "bytes_received",
        "bytes_sent",
        "epoch_not_accepted",
        "malformed",
        "not_authentic",
        "received",
        "replayed",
        "sent",
        "too_short",
        "unexpected",
        "unmatched",
        "unsent",
        "withheld",
    )

    received: int
    """Authentic, and new."""
    bytes_received: int
    sent: int
    bytes_sent: int

    too_short: int
    """Dropped: shorter than the overhead."""
    epoch_not_accepted: int
    """Dropped: a key epoch that this end does not hold."""
    not_authentic: int
    """Dropped: the tag does not fit."""
    replayed: int
    """Dropped: taken before, or too old to tell."""
    malformed: int
    """Received, but the text is no heartbeat or message."""
    unexpected: int
    """Received, but of a kind that this port has no use for."""
    unmatched: int
    """Received, an answer to no heartbeat that is still awaited."""
    unsent: int
    """Refused by the kernel when sent: a firewall, no route, no room."""
    withheld: int
    """Not sent, since an address that has not proved itself had its share."""

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)

    def as_dict(self) -> dict[str, int]:
        """Every counter by its name."""
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def dropped(self) -> int:
        """Datagrams that came and were not believed."""
        return self.too_short + self.epoch_not_accepted + self.not_authentic + self.replayed
