"""A network in memory on a fake clock: rate, delay, queue, loss, and everything else that a path does to datagrams.

Chance comes from one seed. Whoever builds a `Network` prints that seed when its test fails.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from random import Random


@dataclass(frozen=True, kw_only=True)
class PathSettings:
    """One direction of a path. Chances are from 0 to 1."""

    rate: float = 0.0
    """Bits a second through the queue; 0: no limit."""
    delay: float = 0.0
    """Seconds, after the queue."""
    queue: int = 0
    """Bytes that wait for the rate at most; 0: no limit."""
    loss: float = 0.0
    """At the entry, before the queue."""
    jitter: float = 0.0
    """Seconds added at most, evenly; the order is kept."""
    reordering: float = 0.0
    """To overtake those that are up to `overtaking` ahead."""
    overtaking: float = 0.002
    """Seconds."""
    duplication: float = 0.0
    corruption: float = 0.0
    """To have one bit turned."""
    truncation: float = 0.0
    """To lose some bytes at the end."""
    blackouts: tuple[tuple[float, float], ...] = ()
    """Times from, to, in which nothing gets in."""
    largest: int = 65_535
    """Bytes of a datagram; larger ones vanish."""


class Network:
    """The clock, and what is to happen."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._order = count()

    def at(self, time: float, action: Callable[..., None], *arguments: object) -> None:
        """Call `action` at `time`."""
        heapq.heappush(self._events, (max(time, self.now), next(self._order), action, arguments))

    def run(self, until: float, stop: Callable[[], bool] = lambda: False) -> None:
        """Let time pass, to `until` seconds or the moment when `stop()`."""
        events = self._events
        while events and events[0][0] <= until:
            if stop():
                return
            self.now, _, action, arguments = heapq.heappop(events)
            action(*arguments)
        self.now = max(self.now, until) if not stop() else self.now


class Path:
    """One direction. Several senders may share it: they share its queue."""

    def __init__(self, network: Network, settings: PathSettings) -> None:
        self.settings = settings
        self.lost = 0
        self.overflowed = 0
        self.delivered = 0
        self._network = network
        self._random = network.random.random
        self._free_at = 0.0  # when the queue will be empty
        self._last_due = 0.0

    @property
    def queue_delay(self) -> float:
        """Seconds that something would wait if it came now."""
        return max(self._free_at - self._network.now, 0.0)

    def send(self, datagram: bytes, size: int, arrive: Callable[[bytes], None]) -> None:
        """`datagram` enters, and takes `size` bytes of the link; `arrive` is called with it once, twice or never."""
        settings, random, now = self.settings, self._random, self._network.now
        if size > settings.largest or any(begin <= now < end for begin, end in settings.blackouts):
            self.lost += 1
            return
        if settings.loss and random() < settings.loss:
            self.lost += 1
            return
        done = now
        if settings.rate:
            free_at = max(self._free_at, now)
            if settings.queue and (free_at - now) * settings.rate / 8 + size > settings.queue:
                self.overflowed += 1
                return
            done = self._free_at = free_at + size * 8 / settings.rate
        due = done + settings.delay
        if settings.jitter:
            due += random() * settings.jitter
        if settings.reordering and random() < settings.reordering:
            due = max(due - settings.overtaking, done)
        else:
            due = self._last_due = max(due, self._last_due)
        self.delivered += 1
        if settings.corruption and random() < settings.corruption:
            at = int(random() * len(datagram))
            datagram = datagram[:at] + bytes([datagram[at] ^ 1 << int(random() * 8)]) + datagram[at + 1 :]
        if settings.truncation and random() < settings.truncation:
            datagram = datagram[: int(random() * len(datagram))]
        self._network.at(due, arrive, datagram)
        if settings.duplication and random() < settings.duplication:
            self._network.at(due + random() * 0.01, arrive, datagram)
