"""How far a rendezvous has come, told to whoever wants to explain where one ends.

HostnameEndpoint --> WatchedReactor.nameResolver --> resolved
RendezvousClient.connectionMade ------------------> connected
RendezvousClient.handshakeCompleted --------------> secured
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.interfaces import IHostnameResolver, IHostResolution
from zope.interface import implementer

from .connecting import ReactorWrapper
from .tls import TlsTerms


class RendezvousWatcher(Protocol):
    """Who is told, in this order. What is not told did not come to pass."""

    def resolved(self, addresses: list[str]) -> None:
        """The IP addresses that the server's name stands for; none if it stands for none."""

    def connected(self, here: str, there: str) -> None:
        """TCP is up between these two IP addresses."""

    def secured(self, terms: TlsTerms, fingerprint: str) -> None:
        """TLS is up, with the holder of that key. Whether it is the right one was not looked at yet."""


class WatchedReactor(ReactorWrapper):
    """A reactor whose name resolver tells what it found."""

    def __init__(self, reactor: Any, watcher: RendezvousWatcher) -> None:
        super().__init__(reactor)
        self.nameResolver = _WatchedResolver(reactor.nameResolver, watcher)


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
