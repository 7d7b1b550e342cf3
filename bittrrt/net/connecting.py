"""How the TCP connection of a rendezvous comes about: by one that was begun already, or by the server's name.

BegunConnection.take --settled-----> _AdoptingConnector
                     --not settled-> HostnameEndpoint --its address--> AdoptingReactor --> _AdoptingConnector
                     --nothing-----> HostnameEndpoint

Twisted asks a socket again to connect until it has, so that it takes one over wherever it stands; what then goes wrong
is told by Twisted's own errors. `HostnameEndpoint` is imported when it is asked for: it takes 7 ms.
"""

from __future__ import annotations

from socket import socket
from typing import Any, Final

from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IHostnameResolver, IProtocolFactory, IReactorPluggableNameResolver
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from .begun_connection import Begun

CONNECT_TIME_LIMIT: Final = 10.0  # seconds: three lost SYNs


async def connect(reactor: Any, host: str, port: int, factory: IProtocolFactory, begun: Begun | None) -> Any:
    """The protocol that `factory` made of a connection to HOST:PORT. `begun`: one to that server; it is used or closed.

    Raises what `HostnameEndpoint` does.
    """
    if begun is not None and begun.settled:
        return await _adopt(reactor, begun, factory)
    from twisted.internet.endpoints import HostnameEndpoint  # noqa: PLC0415  see above

    network = AdoptingReactor(reactor, begun)
    try:
        endpoint = HostnameEndpoint(network, host.encode("idna"), port, timeout=CONNECT_TIME_LIMIT)
        return await endpoint.connect(factory)
    finally:
        network.close()


@implementer(IReactorPluggableNameResolver)
class ReactorWrapper:
    """A reactor, but for what is made otherwise."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.nameResolver: Any = reactor.nameResolver

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        """See `IReactorPluggableNameResolver`."""
        before: IHostnameResolver = self._reactor.installNameResolver(resolver)
        return before

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


class AdoptingReactor(ReactorWrapper):
    """A reactor that connects to one address by the connection there that was begun already."""

    def __init__(self, reactor: Any, begun: Begun | None) -> None:
        super().__init__(reactor)
        self._begun = begun

    def connectTCP(self, host: str, port: int, factory: Any, *args: Any, **kwargs: Any) -> Any:
        """See `IReactorTCP`."""
        begun = self._begun
        if begun is None or (host, port) != (begun.address, begun.port):
            return self._reactor.connectTCP(host, port, factory, *args, **kwargs)
        self._begun = None
        return _begin(self._reactor, begun, factory)

    def close(self) -> None:
        """Close the connection that was begun, if it is still there."""
        if self._begun is not None:
            self._begun.socket.close()


def _begin(reactor: Any, begun: Begun, factory: Any) -> _AdoptingConnector:
    connector = _AdoptingConnector(begun, factory, reactor)
    connector.connect()
    return connector


def _adopt(reactor: Any, begun: Begun, factory: IProtocolFactory) -> Deferred[Any]:
    """What `factory` makes of the connection, as soon as it is made."""

    def cancel(_: Deferred[Any]) -> None:
        connected.errback(ConnectingCancelledError(connector.getDestination()))  # type: ignore[no-untyped-call]
        connector.stopConnecting()

    connected: Deferred[Any] = Deferred(cancel)
    connector = _begin(reactor, begun, _TellingFactory(factory, connected))
    return connected


class _TellingFactory(ClientFactory):
    """Makes what another factory makes, and tells what becomes of the one attempt to connect."""

    noisy = False

    def __init__(self, factory: IProtocolFactory, connected: Deferred[Any]) -> None:
        self._factory = factory
        self._connected = connected

    def buildProtocol(self, addr: Any) -> Any:
        try:
            protocol = self._factory.buildProtocol(addr)
        except Exception:
            self._connected.errback(Failure())  # type: ignore[no-untyped-call]
            return None
        self._connected.callback(protocol)
        return protocol

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        if not self._connected.called:
            self._connected.errback(reason)


class _AdoptingConnector(tcp.Connector):
    """Connects by the socket of a connection that was begun. Tries once."""

    def __init__(self, begun: Begun, factory: Any, reactor: Any) -> None:
        super().__init__(begun.address, begun.port, factory, CONNECT_TIME_LIMIT, None, reactor)
        self._begun = begun.socket

    def _makeTransport(self) -> tcp.Client:
        return _AdoptedClient(self._begun, self)


class _AdoptedClient(tcp.Client):
    def __init__(self, begun: socket, connector: _AdoptingConnector) -> None:
        self._begun = begun
        super().__init__(connector.host, connector.port, None, connector, connector.reactor)  # type: ignore[no-untyped-call]

    def createInternetSocket(self) -> socket:
        return self._begun
