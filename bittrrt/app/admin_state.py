"""`GET /api/state`: everything, in full, for programs. Read in slices, so that no heartbeat waits for it."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from twisted.internet.defer import Deferred

from ..net.server import Server
from .watch import Watch

SLICE: Final = 20  # sessions that are read in one turn of the reactor: about 2 ms
FRESH: Final = 1.0  # seconds for which a state that was read is given to who else asks


class StateReader:
    """Reads the whole state at most once at a time, and at most once a second."""

    def __init__(self, server: Server, watch: Watch, reactor: Any) -> None:
        self._server = server
        self._watch = watch
        self._reactor = reactor
        self._waiting: list[Deferred[bytes]] = []
        self._state = b""
        self._read_at = 0.0

    def read(self) -> Deferred[bytes]:
        """Fires with an object of `server`, `sessions`, `closed` and `events`, as JSON; see `bittrrt.app.views`."""
        wanted: Deferred[bytes] = Deferred()
        if self._state and self._server.clock.monotonic() - self._read_at < FRESH:
            wanted.callback(self._state)
            return wanted
        self._waiting.append(wanted)
        if len(self._waiting) == 1:
            self._read_slice(list(self._server.sessions), [])
        return wanted

    def _read_slice(self, links: list[str], slices: list[bytes]) -> None:
        now, later = links[:SLICE], links[SLICE:]
        views = [view for link in now if (view := self._watch.session(link)) is not None and view.closed_ms is None]
        slices.append(msgspec.json.encode(views)[1:-1])
        if later:
            self._reactor.callLater(0, self._read_slice, later, slices)
            return
        rest = {
            "server": self._watch.server(),
            "closed": self._watch.closed_sessions(),
            "events": list(self._watch.events),
        }
        sessions = b",".join(filter(None, slices))
        self._state = b'{"sessions":[' + sessions + b"]," + msgspec.json.encode(rest)[1:]
        self._read_at = self._server.clock.monotonic()
        waiting, self._waiting = self._waiting, []
        for wanted in waiting:
            wanted.callback(self._state)
