"""The live stream of the page: server-sent events, for many pages at a time.

    Feed --twenty times a second: sweep--> --once a second: tick--> Hub: the last ticks
                                                                      |  each page at its own twentieth of a second
                                                                      v
                             Page: snapshot, delta, delta, ... and a look at each session that it watches

A delta is made once and the same bytes go to every page. A page that does not read is not written to; what it misses
it is sent when it reads again, from the last ticks, and one that misses them all is dropped. So it costs what the
transport keeps, which is less than two pieces, and no page waits for another.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.web.server import Request
from zope.interface import implementer

from ..net.looping import keep_looping
from ..wire.datagram import PortType
from .admin_feed import ROWS_A_SECOND, ROWS_AT_ONCE, Feed

SLOTS: Final = 20  # a second: what one turn of the reactor does for pages takes less than a millisecond
KEPT_TICKS: Final = 10  # seconds that a page may sleep, or be away, and still be sent only what it missed
MAX_PAGES: Final = 256
MAX_WATCHED: Final = 4  # sessions a page
PIECE: Final = 64 * 1024  # bytes written at a time: what Twisted's transports buffer before they say stop
RETRY: Final = b"retry: 1000\n\n"  # milliseconds until a browser asks again, by itself

_LINK: Final = re.compile(r"[0-9a-f]{1,128}")
_EVENT_ID: Final = re.compile(r"([0-9a-f]{1,16})-([0-9]{1,15})", re.ASCII)


class Hub:
    """All pages that are open."""

    log = Logger()

    def __init__(self, feed: Feed, reactor: Any) -> None:
        self.feed = feed
        self.dropped = 0
        """Pages that stopped reading."""
        self.deltas: deque[tuple[int, bytes]] = deque(maxlen=KEPT_TICKS)
        """Of the last ticks, with their numbers, as they go on the wire."""
        self._pages: list[set[Page]] = [set() for _ in range(SLOTS)]
        self._slot = 0
        self._next_slot = 0
        self._to_catch_up = 0  # sessions that were not read since somebody looks again
        self._early: list[tuple[Page, str]] = []  # that wait for these, with what they have already
        self._looks: dict[tuple[str, tuple[int, ...]], tuple[bytes, tuple[int, ...], bool]] = {}
        self._snapshot: tuple[int, list[bytes]] = (-1, [])
        self._turning = LoopingCall(self._turn)
        self._turning.clock = reactor

    @property
    def pages(self) -> int:
        """How many are open."""
        return sum(map(len, self._pages)) + len(self._early)

    def open(self, request: Request, watched: list[str], after: str) -> Page | None:
        """Stream to `request` from now on; None if too many pages are open.

        `after` is the id of the last event that the page has, from a stream before; empty if there was none.
        """
        if self.pages >= MAX_PAGES:
            return None
        if not self._turning.running:
            self.feed.wake()
            self._to_catch_up = max(len(self.feed) - ROWS_AT_ONCE, 0)
            self.deltas.clear()
            what = "the pages could not be written to"
            keep_looping(self._turning, 1 / SLOTS, self.log, what, lambda: self.pages > 0, now=False)
        self._next_slot = (self._next_slot + 7) % SLOTS  # 7 has no factor of 20: neighbours are far apart
        page = Page(self, request, self._next_slot, watched)
        self._early.append((page, after))
        self._start_early()
        return page

    def close(self) -> None:
        """End every stream: the server stops."""
        for page in [page for pages in self._pages for page in pages] + [page for page, _ in self._early]:
            page.drop()

    def forget(self, page: Page) -> None:
        """A page is gone."""
        self._pages[page.slot].discard(page)
        self._early = [each for each in self._early if each[0] is not page]
        if not self.pages and self._turning.running:
            self._turning.stop()
            self.feed.rest()

    def _start_early(self) -> None:
        """Begin with the pages that wait, unless there are sessions yet to be read: they would miss them."""
        while self._early and not self._to_catch_up:
            page, after = self._early.pop(0)
            self._pages[page.slot].add(page)
            page.start(self._missed_since(after))

    def snapshot(self) -> tuple[int, list[bytes]]:
        """Its tick, and everything in pieces that all pages share."""
        if self._snapshot[0] != self.feed.tick:
            data = event_bytes("snapshot", self.feed.snapshot(), f"{self.feed.run}-{self.feed.tick}")
            self._snapshot = self.feed.tick, [data[at : at + PIECE] for at in range(0, len(data), PIECE)]
        return self._snapshot

    def look(self, link: str, seen: tuple[int, ...]) -> tuple[bytes, tuple[int, ...], bool]:
        """See `Feed.look`; made once in a tick for all pages that have seen the same."""
        key = link, seen
        if key not in self._looks:
            data, totals, last = self.feed.look(link, seen)
            self._looks[key] = event_bytes("look", data), totals, last
        return self._looks[key]

    def _missed_since(self, after: str) -> int | None:
        """The tick after which a page has missed all, if what came since is still here."""
        match = _EVENT_ID.fullmatch(after)
        if not match or match[1] != self.feed.run or not self.deltas:
            return None
        tick = int(match[2])
        return tick if self.deltas[0][0] - 1 <= tick <= self.feed.tick else None

    def _turn(self) -> None:
        self._slot = (self._slot + 1) % SLOTS
        if self._to_catch_up:
            count = min(self._to_catch_up, ROWS_AT_ONCE // 2)
            self._to_catch_up -= count
        else:
            count = ROWS_A_SECOND // SLOTS
        self.feed.sweep(count)
        self._start_early()
        if self._slot == 0:
            data = self.feed.close_tick()
            self.deltas.append((self.feed.tick, event_bytes("delta", data, f"{self.feed.run}-{self.feed.tick}")))
            self._looks.clear()
        for page in list(self._pages[self._slot]):
            page.flush()


@implementer(IPushProducer)
class Page:
    """One open page's stream."""

    def __init__(self, hub: Hub, request: Request, slot: int, watched: list[str]) -> None:
        self.slot = slot
        """Its part of the second."""
        self._hub = hub
        self._request = request
        self._seen = {link: (0,) * len(PortType) for link in watched}
        self._tick = 0
        self._pieces: Iterator[bytes] = iter(())
        self._paused = False
        self._gone = False
        request.notifyFinish().addBoth(self._finished)

    def start(self, missed_since: int | None) -> None:
        """Send what the page has to know first: what it has missed since a tick, or everything."""
        request = self._request
        request.setHeader("content-type", "text/event-stream")
        request.registerProducer(self, True)
        pieces: list[bytes] = []
        if missed_since is None:
            self._tick, pieces = self._hub.snapshot()
        else:
            self._tick = missed_since
        self._pieces = iter([RETRY, *pieces])
        self.flush()

    def flush(self) -> None:
        """Send what is new, as far as the page reads."""
        deltas = self._hub.deltas
        if self._paused and deltas and self._tick < deltas[0][0] - 1:
            self._hub.dropped += 1
            self.drop()
        for piece in self._fresh():
            self._request.write(piece)
            if self._paused or self._gone:
                return

    def _fresh(self) -> Iterator[bytes]:
        """What is new, in pieces; what was not asked for is there the next time."""
        if self._paused or self._gone:
            return
        yield from self._pieces
        for tick, data in list(self._hub.deltas):
            if tick > self._tick:
                self._tick = tick
                yield data
        for link, seen in list(self._seen.items()):
            data, self._seen[link], last = self._hub.look(link, seen)
            if last:
                del self._seen[link]
            yield data

    def drop(self) -> None:
        """Close its connection at once, whatever it has not read."""
        transport: Any = self._request.transport
        transport.abortConnection()

    def _finished(self, _: object) -> None:
        self._gone = True
        self._hub.forget(self)

    def pauseProducing(self) -> None:
        """See `IPushProducer`: the page does not read as fast as it is written to."""
        self._paused = True

    def resumeProducing(self) -> None:
        """See `IPushProducer`."""
        self._paused = False
        self.flush()

    def stopProducing(self) -> None:
        """See `IPushProducer`: the connection is gone."""
        self._gone = True


def event_bytes(name: str, data: bytes, event_id: str = "") -> bytes:
    """One event as it goes on the wire; `data` is JSON and so has no newline."""
    head = f"event: {name}\n" + (f"id: {event_id}\n" if event_id else "")
    return b"%sdata: %s\n\n" % (head.encode(), data)


def parse_watched_untrusted(values: list[bytes]) -> list[str] | None:
    """The links that `?watch=LINK,LINK` names; None if it names too many, or what is none."""
    links = [link for value in values for link in value.decode("latin-1").split(",") if link]
    fits = len(links) <= MAX_WATCHED and all(_LINK.fullmatch(link) for link in links)
    return list(dict.fromkeys(links)) if fits else None
