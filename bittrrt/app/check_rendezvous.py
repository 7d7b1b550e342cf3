"""The first steps of a check: those of the one rendezvous that a session needs, each told when it is taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from ..errors import LinkError, ServerKeyChanged, ServerUnknown, Unreachable
from ..files.identity import Identity
from ..net.client_connection import ClientConnection, SessionObserver
from ..net.clock import Clock
from ..net.rendezvous_client import rendezvous
from ..net.rendezvous_watcher import RendezvousWatcher
from ..net.tls import ConnectionCreator, TlsTerms
from ..wire.datagram import PortType
from ..wire.endpoint import show_host_port
from ..wire.messages import Open
from .check_display import CheckDisplay
from .check_verdicts import Finding, judge_name, judge_tls
from .plain_text import plain

BEFORE: Final = ("name", "tcp", "tls", "key", "authorisation")
"""Steps of the rendezvous, in their order."""
AFTER: Final = (
    *[port_type.value for port_type in PortType],
    *("path-mtu", "round-trip", "jitter", "loss", "clock", "nat"),
)
"""Steps that need a session."""


class Opener(Protocol):
    """Opens one session and tells how far it has come, as `SessionOpener` does."""

    async def open(self, observer: SessionObserver) -> ClientConnection:
        """A session, with its heart beating. Raises `LinkError`."""


MakeOpener = Callable[[RendezvousWatcher], Opener]


class StrangerOpener:
    """Goes as far as one can with a server that was never joined: until it has shown its key."""

    def __init__(self, reactor: Any, identity: Identity, host: str, port: int, watcher: RendezvousWatcher) -> None:
        self._reactor = reactor
        self._creator = ConnectionCreator(identity)
        self._host, self._port = host, port
        self._watcher = watcher

    async def open(self, observer: SessionObserver) -> ClientConnection:
        """See `Opener`: raises a `LinkError`, `ServerUnknown` if all else works."""

        def check_key(shown: str) -> None:
            where = show_host_port(self._host, self._port)
            raise ServerUnknown(
                f"{where} shows {shown}, and was never joined from here: ask its owner for a link (bittrrt invite),"
                " then run: bittrrt join LINK"
            )

        await rendezvous(
            self._reactor, self._creator, self._host, self._port, check_key, _say_nothing, watcher=self._watcher
        )
        raise ServerUnknown(f"{self._host} was never joined")


def _say_nothing(_: bytes) -> Open:
    raise ServerUnknown("nothing is said to a server that was never joined")


class WatchedRendezvous:
    """Watches the rendezvous, and makes findings of it."""

    def __init__(self, host: str, port: int, clock: Clock, display: CheckDisplay) -> None:
        self._host, self._port = host, port
        self._clock = clock
        self._display = display
        self._began = clock.monotonic()
        self.reached = 0
        """How many of `BEFORE` are well."""
        self._fingerprint = ""
        self.own_host = ""
        """This machine's address on the way there."""

    def _well(self, finding: Finding) -> None:
        self.reached += 1
        self._display.tell(finding)

    # --- RendezvousWatcher ---

    def resolved(self, addresses: list[str]) -> None:
        """See `RendezvousWatcher`."""
        self._began = self._clock.monotonic()
        if addresses:
            self._well(judge_name(self._host, addresses))

    def connected(self, here: str, there: str) -> None:
        """See `RendezvousWatcher`."""
        self.own_host = here
        took = self._clock.monotonic() - self._began
        where = show_host_port(there, self._port)
        self._well(
            Finding(
                step="tcp",
                verdict="ok",
                text=f"{where} answers in {took * 1000:.2f} ms",
                values={"address": there, "port": self._port, "connect_ms": round(took * 1000, 3)},
            )
        )

    def secured(self, terms: TlsTerms, fingerprint: str) -> None:
        """See `RendezvousWatcher`."""
        self._fingerprint = fingerprint
        self._well(judge_tls(terms))

    # --- how it ended ---

    def _key_is_right(self) -> None:
        text = f"{self._fingerprint}, the one that is pinned"
        self._well(Finding(step="key", verdict="ok", text=text, values={"fingerprint": self._fingerprint}))

    def let_in(self) -> None:
        """There is a session."""
        self._key_is_right()
        self._well(Finding(step="authorisation", verdict="ok", text="this client is let in"))

    def failed(self, error: LinkError) -> None:
        """Tell where it ended."""
        text = plain(str(error))  # there may be words of the server's in it
        if self.reached == 3 and not isinstance(error, ServerKeyChanged | ServerUnknown):
            self._key_is_right()
        if self.reached == 2 and isinstance(error, Unreachable):
            where = show_host_port(self._host, self._port)
            text = (
                f"{where} takes the connection and then ends it, or says nothing: no BittrRt server listens there, or"
                " one that is overloaded; check the port"
            )
        step = BEFORE[self.reached]
        self._display.tell(Finding(step=step, verdict="bad", text=text))
        self._display.skip((*BEFORE[self.reached + 1 :], *AFTER), f"{step} failed")
