"""What a server tells of itself, to whom looks at it: metrics, history, the page.

Server, its sessions --tell: one method of each observer--> ServerObserver
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ..errors import FileError
from ..link.peer_address import Address
from ..wire.datagram import PortType
from ..wire.messages import CloseReason, RefusalReason
from .tally import FileProgress

if TYPE_CHECKING:
    from .client import Client

Direction = Literal["put", "get"]
"""What the client does with a file: it puts it here, or gets it from here."""


class ServerObserver:
    """Is told what happens; override what you need. What it raises is logged, and hurts nobody else.

    Heartbeats come often: at 5,000 sessions, three thousand a second. Whoever needs time takes it elsewhere.
    """

    def client_joined(self, name: str, fingerprint: str) -> None:
        """A client was let in by an invite."""

    def client_refused(self, reason: RefusalReason, fingerprint: str, name: str) -> None:
        """A client was refused, in the rendezvous. `name` is what it is called here; empty if it is not known."""

    def session_opened(self, client: Client) -> None:
        """A session began; its ports listen."""

    def session_ended(self, client: Client, reason: CloseReason) -> None:
        """A session is about to close; its ports, paths, counters and files can be read one last time."""

    def session_moved(self, client: Client, port_type: PortType, before: Address, after: Address) -> None:
        """A client has proved that it is at another address now, on one port."""

    def heartbeat_measured(self, client: Client, port_type: PortType, round_trip: float) -> None:
        """A heartbeat's answer came back. `round_trip`: seconds."""

    def heartbeats_lost(self, client: Client, port_type: PortType, count: int) -> None:
        """So many answers to heartbeats did not come back."""

    def file_begun(self, client: Client, direction: Direction, progress: FileProgress) -> None:
        """A file is on its way; `progress.already` bytes of it are there from an earlier call."""

    def file_done(self, client: Client, direction: Direction, progress: FileProgress) -> None:
        """A file arrived whole, and was checked; of one that was there already nothing had begun."""

    def file_failed(self, client: Client, direction: Direction, error: FileError) -> None:
        """A file, or another thing that was asked for, did not arrive."""
