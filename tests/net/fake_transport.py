"""What a handler needs of its port, and nothing else."""

from __future__ import annotations

from bittrrt.link.peer_address import Address


class FakeTransport:
    """Keeps what is written to it."""

    def __init__(self) -> None:
        self.written: list[tuple[bytes, Address]] = []
        self.full = False
        """Whether it takes nothing, as a port does when the kernel refuses."""

    def write(self, datagram: bytes, addr: Address) -> bool:
        if self.full:
            return False
        self.written.append((datagram, addr))
        return True
