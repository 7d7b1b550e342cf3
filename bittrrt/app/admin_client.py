"""How local programs ask the server that runs here: by its page's address and secret, which it leaves in its home.

admin.json, 0600 --> GET URL/api/state, Authorization: Bearer SECRET --> ServerState
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urljoin

import msgspec
from twisted.internet import defer, error
from twisted.web.client import Agent, HTTPConnectionPool, ResponseFailed, readBody
from twisted.web.http_headers import Headers

from ..errors import LinkError, NotBittrRt, Unreachable
from ..files.home import Home
from .admin_file import ADMIN_FILE, AdminAddress, admin_address
from .views import Event, ServerView, SessionView

TIME_LIMIT: Final = 10.0  # seconds for an answer; a server with a thousand sessions takes a tenth of one

_OK: Final = 200


class ServerState(msgspec.Struct, frozen=True, kw_only=True):
    """What `/api/state` says: a server at one moment. Names in it are what their owners chose."""

    server: ServerView
    sessions: list[SessionView]
    """Live ones."""
    closed: list[SessionView]
    """Those that ended a short time ago."""
    events: list[Event]
    """The last ones, oldest first."""


class AdminClient:
    """Asks the server that runs with one home. A server that was started again is found by itself.

    All questions go over one connection.
    """

    def __init__(self, home: Home, reactor: Any) -> None:
        self._home = home
        self._reactor = reactor
        self._pool: Any = HTTPConnectionPool(reactor)  # type: ignore[no-untyped-call]
        self._agent: Any = Agent(reactor, connectTimeout=TIME_LIMIT, pool=self._pool)  # type: ignore[no-untyped-call]

    async def state(self) -> ServerState:
        """The server now. Raises `Unreachable` if none runs, and another `LinkError` for an answer that is none."""
        address = admin_address(self._home)
        if address is None:
            raise Unreachable(
                f"no server with a page runs here with {self._home.path}: start one with twistd bittrrt, without"
                " --admin none; for a link of your own say its HOST"
            )
        try:
            status, body = await self._get(address).addTimeout(TIME_LIMIT, self._reactor)
        except (error.ConnectError, ResponseFailed, defer.TimeoutError, error.ConnectionClosed, OSError):
            raise Unreachable(
                f"the server of {self._home.path} does not answer at {address.url}: start it with twistd bittrrt"
            ) from None
        if status != _OK:
            raise _refused(address, status)
        try:
            return msgspec.json.decode(body, type=ServerState)
        except msgspec.MsgspecError as wrong:
            raise NotBittrRt(f"{address.url} answers what makes no sense here: {wrong}") from None

    def _get(self, address: AdminAddress) -> defer.Deferred[tuple[int, bytes]]:
        async def get() -> tuple[int, bytes]:
            headers = Headers({"Authorization": [f"Bearer {address.secret}"], "Accept": ["application/json"]})
            response = await self._agent.request(b"GET", urljoin(address.url, "/api/state").encode("ascii"), headers)
            return response.code, await readBody(response)

        return defer.Deferred.fromCoroutine(get())

    async def close(self) -> None:
        """End the connection."""
        await self._pool.closeCachedConnections()


def _refused(address: AdminAddress, status: int) -> LinkError:
    if status in (401, 403):
        return NotBittrRt(f"{address.url} does not take the secret of {ADMIN_FILE}: start the server again")
    return NotBittrRt(f"{address.url} answers with HTTP status {status}: is it BittrRt's page, and of this version?")
