"""How far a rendezvous has come, told to whoever wants to explain where one ends.

HostnameEndpoint --> WatchedReactor.nameResolver --> resolved
RendezvousClient.connectionMade ------------------> connected
RendezvousClient.handshakeCompleted --------------> secured
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IHostnameResolver, IHostResolution, IReactorPluggableNameResolver
from zope.interface import implementer

from .tls import TlsTerms


class RendezvousWatcher(Protocol):
    """Who is told, in this order. What is not told did not come to pass."""

    def resolved(self, addresses: list[str]) -> None:
        """The IP addresses that the server's name stands for; none if it stands for none."""

    def connected(self, here: str, there: str) -> None:
        """TCP is up between these two IP addresses."""

    def secured(self, terms: TlsTerms, fingerprint: str) -> None:
        """TLS is up, with the holder of that key. Whether it is the right one was not looked at yet."""


@implementer(IReactorPluggableNameResolver)
class _ReactorWrapper:
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


class WatchedReactor(_ReactorWrapper):
    """A reactor whose name resolver tells what it found."""

    def __init__(self, reactor: Any, watcher: RendezvousWatcher) -> None:
        super().__init__(reactor)
        self.nameResolver = _WatchedResolver(reactor.nameResolver, watcher)


class ConnectingReactor(_ReactorWrapper):
    """A reactor that tells when the first packet of a TCP connection has left."""

    def __init__(self, reactor: Any, connecting: Callable[[], object]) -> None:
        super().__init__(reactor)
        self._connecting = connecting

    def connectTCP(self, *args: Any, **kwargs: Any) -> Any:
        """See `IReactorTCP`. The call that connects waits for its turn by now, so the one made here comes after it."""
        connector = self._reactor.connectTCP(*args, **kwargs)
        self._reactor.callLater(0, self._connecting)
        return connector


@implementer(IHostnameResolver)
class _WatchedResolver:
    def __init__(self, resolver: Any, watcher: RendezvousWatcher) -> None:
        self._resolver = resolver
        self._watcher = watcher

    def resolveHostName(self, resolutionReceiver: Any, *args: Any, **kwargs: Any) -> IHostResolution:
        resolution: IHostResolution = self._resolver.resolveHostName(
            _WatchedResolution(resolutionReceiver, self._watcher), *args, **kwargs
        )
        return resolution


class _WatchedResolution:
    """An `IResolutionReceiver` before another one."""

    def __init__(self, receiver: Any, watcher: RendezvousWatcher) -> None:
        self._receiver = receiver
        self._watcher = watcher
        self._addresses: list[str] = []

    def resolutionBegan(self, resolution: Any) -> None:
        self._receiver.resolutionBegan(resolution)

    def addressResolved(self, address: Any) -> None:
        if address.host not in self._addresses:
            self._addresses.append(address.host)
        self._receiver.addressResolved(address)

    def resolutionComplete(self) -> None:
        self._watcher.resolved(self._addresses)
        self._receiver.resolutionComplete()
