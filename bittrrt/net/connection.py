"""The server's end of one session: three handlers on three ports of the pool."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError

from ..errors import MalformedMessage, PeerMisbehaved, PortsExhausted, ServerBusy
from ..link.encryptor import CommEncryptor
from ..link.link import Link
from ..link.peer_address import Address
from ..settings import Settings, as_settings
from ..wire.datagram import LINK_CHANNEL, LINK_MESSAGE_FLAGS, Opened, PortType
from ..wire.messages import Close, CloseReason, LinkMessage, Observed, encode_message, parse_link_message_untrusted
from .clock import SYSTEM_CLOCK, Clock
from .data_plane_owner import DataPlaneOwner
from .handlers import CtrlHandler, DnHandler, PortHandler, UpHandler, last_heard
from .port import LinkPort
from .port_manager import PortManager
from .streams import DataPlaneListener


class ConnectionListener(Protocol):
    """Who is told what happens to a session: the server's record of the client."""

    def connection_closed_by_peer(self, reason: CloseReason) -> None:
        """The client said goodbye."""

    def data_wanted(self) -> DataPlaneListener | None:
        """The client begins to send control messages; who takes them, if anybody does."""

    def connection_misused(self, why: PeerMisbehaved) -> None:
        """The client has broken the rules: the session is to be closed."""

    def connection_moved(self, port_type: PortType, before: Address, after: Address) -> None:
        """The client has proved that it is at another address now."""


def send_link_message(handler: PortHandler, message: LinkMessage) -> bool:
    """Say something about the link itself, once and without a guarantee."""
    return handler.send(encode_message(message), LINK_MESSAGE_FLAGS, LINK_CHANNEL) is not None


def shown_host(host: str) -> str:
    """An address as its owner knows it: an IPv4 one that came to an IPv6 socket is an IPv4 one still (RFC 4291)."""
    return host.removeprefix("::ffff:") if "." in host else host


def read_link_message(handler: PortHandler, opened: Opened) -> LinkMessage | None:
    """The message in an authentic datagram; None, counted by the handler, if it is none."""
    if opened.flags != LINK_MESSAGE_FLAGS or opened.channel != LINK_CHANNEL:
        handler.counters.unexpected += 1
        return None
    try:
        return parse_link_message_untrusted(opened.payload)
    except MalformedMessage:
        handler.counters.malformed += 1
        return None


class CommConnection(DataPlaneOwner):
    """Three handlers that share one encryptor, and the ports they listen on."""

    is_server = True

    def __init__(
        self,
        config: Settings | Mapping[str, Any] | None,
        port_manager: PortManager,
        comm_encryptor: CommEncryptor | None = None,
        *,
        listener: ConnectionListener | None = None,
        reactor: Any = None,
        clock: Clock = SYSTEM_CLOCK,
        port_class: type[LinkPort] = LinkPort,
    ) -> None:
        """Nothing is opened until `listen`."""
        self.config = as_settings(config)
        self.port_manager = port_manager
        self.comm_encryptor = comm_encryptor
        self.listener = listener
        self.clock = clock
        self._reactor = reactor
        self._port_class = port_class
        self.link = Link(comm_encryptor) if comm_encryptor is not None else None
        self.ctrl_handler = CtrlHandler(self.config, comm_encryptor, link=self.link, listener=self, clock=clock)
        self.up_handler = UpHandler(self.config, comm_encryptor, link=self.link, listener=self, clock=clock)
        self.dn_handler = DnHandler(self.config, comm_encryptor, link=self.link, listener=self, clock=clock)
        self.handlers: tuple[PortHandler, ...] = (self.ctrl_handler, self.up_handler, self.dn_handler)
        self.ports: dict[PortType, int] = {}
        self._sockets: list[LinkPort] = []
        self._found: dict[PortType, Address] = {}
        self._opened_at = clock.monotonic()

    def listen(self) -> None:
        """Take three ports and listen on them.

        A port that another program holds is set aside and the next one taken. Raises `PortsExhausted` if there are not
        three, `ServerBusy` if the process has no descriptors left; nothing is held then.
        """
        for handler in self.handlers:
            while True:
                number = self.port_manager.get_next_port()
                if number is None:
                    self.stop_listening()
                    raise PortsExhausted("no three UDP ports are free in the server's ranges (--port-ranges)")
                socket = self._port_class(number, handler, self.config.interface, reactor=self._reactor)
                try:
                    socket.startListening()
                except CannotListenError as error:
                    if error.socketError.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                        self.port_manager.set_aside(number)
                        continue
                    self.port_manager.release_port(number)
                    self.stop_listening()
                    raise ServerBusy("the server has no file descriptors left (ulimit -n)") from None
                self._sockets.append(socket)
                self.ports[handler.port_type] = number
                break

    def take_over(self, before: CommConnection) -> None:
        """Go on on the ports of the connection that this one replaces; that one is over."""
        before.close_data_plane()
        self._sockets, before._sockets = before._sockets, []
        self.ports, before.ports = before.ports, {}
        for handler, socket in zip(self.handlers, self._sockets, strict=True):
            socket.protocol = handler
            handler.makeConnection(socket)
        before._let_go()

    def stop_listening(self) -> Deferred[Any]:
        """Close the ports and give them back. Fires when the sockets are closed."""
        self.close_data_plane()
        sockets, self._sockets = self._sockets, []
        ports, self.ports = self.ports, {}
        closing = DeferredList([maybeDeferred(socket.stopListening) for socket in sockets])

        def give_back(_: Any) -> None:
            for number in ports.values():
                self.port_manager.release_port(number)
            self._let_go()

        return closing.addBoth(give_back)

    def close(self, reason: CloseReason) -> Deferred[Any]:
        """Say goodbye on every port, since any one of the three may get through, and stop listening."""
        for handler in self.handlers:
            send_link_message(handler, Close(reason))
        return self.stop_listening()

    def _let_go(self) -> None:
        """Break the circles, so that the memory is free at once: at 5,000 sessions, a collection takes 0.2 s."""
        self.listener = None
        for handler in self.handlers:
            handler.listener = None
            handler.watcher = None

    def last_heard(self) -> float:
        """When anything authentic was heard last, on any port; before that, when the connection was made."""
        heard = last_heard(self.handlers)
        return self._opened_at if heard is None else heard

    @property
    def sockets(self) -> list[LinkPort]:
        """The ports that listen, in the order of `handlers`; a connection that takes over counts on with them."""
        return self._sockets

    @property
    def handlers_by_type(self) -> dict[PortType, PortHandler]:
        return {handler.port_type: handler for handler in self.handlers}

    @property
    def reactor(self) -> Any:
        return self._sockets[0].reactor  # which they chose if none was given

    def _wanted_by(self) -> DataPlaneListener | None:
        if self.listener is None or not self._sockets:  # it was closed, and this came in one burst with the goodbye
            return None
        return self.listener.data_wanted()

    def peer_misbehaved(self, why: PeerMisbehaved) -> None:
        if self.listener is not None:
            self.listener.connection_misused(why)

    def _link_message_received(self, handler: PortHandler, opened: Opened) -> None:
        message = read_link_message(handler, opened)
        if isinstance(message, Close):
            if self.listener is not None:
                self.listener.connection_closed_by_peer(message.reason)
        elif message is not None:
            handler.counters.unexpected += 1

    def plain_received(self, handler: PortHandler, datagram: bytes, address: Address) -> None:
        """See `PortListener`: without an encryptor nothing is believed, and nothing answered."""

    def peer_found(self, handler: PortHandler) -> None:
        """See `PortListener`: tell the client how it is seen."""
        after = handler.peer.address
        if after is None:
            return
        before = self._found.get(handler.port_type)
        self._found[handler.port_type] = after
        for any_handler in self.handlers:  # one of three gets through
            send_link_message(any_handler, Observed(handler.port_type, shown_host(after[0]), int(after[1])))
        if before is not None and before != after and self.listener is not None:
            self.listener.connection_moved(handler.port_type, before, after)
