"""The page's web site on a simulated server, spoken to in HTTP, without a socket."""

from __future__ import annotations

import json
from typing import Any, Final

from twisted.internet.error import ConnectionAborted
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.static import Data

from bittrrt.app.admin_actions import Actions
from bittrrt.app.admin_feed import Feed
from bittrrt.app.admin_guard import Guard
from bittrrt.app.admin_points import Points
from bittrrt.app.admin_site import AdminRoot, AdminSite
from bittrrt.app.admin_state import StateReader
from bittrrt.app.admin_stream import Hub
from bittrrt.app.watch import Watch
from tests.net.simulated_link import SimulatedLinkTestCase

SECRET: Final = "s" * 43
HOST: Final = "127.0.0.1:6780"


class FakeTransport(StringTransport):
    """A connection whose peer reads when the test says so."""

    aborted = False
    connection: Any = None

    def abortConnection(self) -> None:
        """See `ITCPTransport`."""
        self.aborted = True
        self.connection.connectionLost(Failure(ConnectionAborted()))


class Answer:
    """What came back so far."""

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        self.status = int(status.split()[1])
        pairs = [line.partition(": ") for line in lines]
        self.headers = {name.lower(): value for name, _, value in pairs}

    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


def dechunked(body: bytes) -> bytes:
    """What a chunked body has so far."""
    out = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        out += rest[: int(size, 16)]
        body = rest[int(size, 16) + 2 :]
    return out


def events(data: bytes) -> list[tuple[str, str, Any]]:
    """Name, id and data of the server-sent events in a stream."""
    found = []
    for block in data.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        if "event" in fields:
            found.append((fields["event"], fields.get("id", ""), json.loads(fields["data"])))
    return found


class AdminHttpTestCase(SimulatedLinkTestCase):
    """A page of the simulated server, bound to loopback unless `open_to_look` is set to another."""

    open_to_look = True

    def setUp(self) -> None:
        super().setUp()
        self.serve_page()

    def serve_page(self) -> None:
        """Begin to observe the server, and answer."""
        self.watch = Watch(self.server)
        self.points = Points(self.server.clock)
        self.server.observers.append(self.points)
        self.feed = Feed(self.server, self.watch, self.points)
        self.hub = Hub(self.feed, self.network)
        actions = Actions(self.server, self.watch, self.server_home, self.server_identity, self.settings)
        state = StateReader(self.server, self.watch, self.network)
        guard = Guard(SECRET, open_to_look=self.open_to_look, port=6780)
        self.site = AdminSite(AdminRoot(guard, self.hub, state, actions, Data(b"up 1\n", "text/plain")), self.network)

    def connect(self) -> FakeTransport:
        """A connection to the page."""
        transport = FakeTransport()
        transport.connection = self.site.buildProtocol(None)
        transport.connection.makeConnection(transport)
        return transport

    def send(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> FakeTransport:
        """Ask on a connection of its own."""
        transport = self.connect()
        lines = [f"{method} {path} HTTP/1.1", *[f"{name}: {value}" for name, value in headers.items()]]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        transport.connection.dataReceived("\r\n".join([*lines, "", ""]).encode() + body)
        return transport

    def http(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """What is answered to a request; headers with `_` for `-`. `Host` is that of the page unless given."""
        named = {"Host": HOST} | {name.replace("_", "-"): value for name, value in headers.items()}
        encoded = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return Answer(self.send(method, path, named, encoded).value())

    def bearer(self, method: str, path: str, body: Any = None) -> Answer:
        """The same as a program that knows the secret."""
        return self.http(method, path, body, Authorization=f"Bearer {SECRET}")

    def cookie(self) -> str:
        """That of somebody who has shown the secret."""
        return self.bearer("POST", "/api/login").headers["set-cookie"].partition(";")[0]

    def from_page(self, path: str, body: Any, **headers: str) -> Answer:
        """A POST as the page itself makes it, with its cookie."""
        own = {"Cookie": self.cookie(), "Origin": f"http://{HOST}", "X_BittrRt": "act", "Sec_Fetch_Site": "same-origin"}
        return self.http("POST", path, body, **{name: value for name, value in (own | headers).items() if value})

    def stream(self, query: str = "", **headers: str) -> FakeTransport:
        """An open page."""
        return self.send("GET", f"/api/stream{query}", {"Host": HOST, **headers})

    def told(self, page: FakeTransport) -> list[tuple[str, str, Any]]:
        """The events that an open page has been sent."""
        return events(dechunked(Answer(page.value()).body))
