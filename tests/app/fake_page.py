"""A server's page, as far as local programs ask it: `/api/state`, for whoever has the secret. `main` serves one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Site

from bittrrt.app.admin_client import ServerState
from bittrrt.app.admin_file import ADMIN_FILE
from bittrrt.app.views import Event, PortView, ServerView, SessionView, TransferView
from bittrrt.files.home import Home

SECRET = "q2T5HrEcqJN2fhwL5BLp9MEEd9bD2st6M4SnXHEbrSc"
FINGERPRINT = "SHA256:" + "A" * 43
NOW_MS = 1_700_000_600_000


def port_view(name: str, **changes: Any) -> PortView:
    """A port on which nothing is wrong, but for `changes`."""
    number = 6712 + ["ctrl", "up", "dn"].index(name)
    values: dict[str, Any] = {
        "port": name, "number": number, "address": f"192.0.2.9:{40_000 + number}", "state": "alive", "last_ms": 20.1,
        "smoothed_ms": 20.3, "minimum_ms": 20.0, "jitter_ms": 0.1, "answered": 10, "lost": 0, "loss": 0.0,
        "clock_offset_ms": -0.3, "clock_error_ms": 11.0, "silent_s": 0.4, "received": 20, "bytes_received": 2000,
        "sent": 20, "bytes_sent": 2000, "dropped": 0,
    }  # fmt: skip
    return PortView(**(values | changes))


def session_view(number: int = 1, name: str = "anna", **changes: Any) -> SessionView:
    """A session that is live; `number` makes its id."""
    ports = [port_view(port) for port in ("ctrl", "up", "dn")]
    values: dict[str, Any] = {
        "link": f"{number:032x}", "name": name, "fingerprint": FINGERPRINT, "opened_ms": NOW_MS - 125_000,
        "closed_ms": None, "why": None, "ports": ports, "transfers": [],
    }  # fmt: skip
    return SessionView(**(values | changes))


def transfer_view(name: str = "video.mkv", **changes: Any) -> TransferView:
    """A file, half of which has come."""
    values: dict[str, Any] = {
        "id": "1", "direction": "put", "name": name, "size": 1000, "moved": 500, "already": 0, "rate": 12_500_000,
        "in_flight": None, "window": None, "round_trip_ms": None, "retransmitted": None, "path_mtu": None,
        "limited_by": None,
    }  # fmt: skip
    return TransferView(**(values | changes))


def event(number: int, text: str = "anna has joined") -> Event:
    """Something that happened."""
    return Event(number=number, at_ms=NOW_MS + number, kind="joined", link="", name="anna", text=text)


def server_state(*sessions: SessionView, events: list[Event] | None = None) -> ServerState:
    """A server with these sessions."""
    server = ServerView(
        fingerprint=FINGERPRINT, version="0.6.0", started_ms=NOW_MS - 3_725_000, heartbeat_ms=5000,
        sessions=len(sessions), ports_free=288 - 3 * len(sessions), ports_used=3 * len(sessions), ports_resting=0,
        refusals={"unknown-client": 2},
    )  # fmt: skip
    return ServerState(server=server, sessions=list(sessions), closed=[], events=events or [])


class FakePage(Resource):
    """Answers with `body` and `status`, and counts."""

    isLeaf = True

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.body = body
        self.status = 200
        self.asked = 0

    def render_GET(self, request: Any) -> bytes:
        self.asked += 1
        if request.path != b"/api/state":
            request.setResponseCode(404)
        elif request.getHeader("authorization") != f"Bearer {SECRET}":
            request.setResponseCode(401)
        else:
            request.setResponseCode(self.status)
            return self.body
        return b"{}"


def leave_address(home: Home, port: int, secret: str = SECRET) -> None:
    """What a server writes for local programs when it starts."""
    home.write(ADMIN_FILE, msgspec.json.encode({"url": f"http://127.0.0.1:{port}/", "secret": secret}).decode())


def main(home: str) -> None:
    """Serve a state with one session until killed."""
    here: Any = reactor
    state = server_state(session_view(transfers=[transfer_view()]), events=[event(1)])
    port = here.listenTCP(0, Site(FakePage(msgspec.json.encode(state))), interface="127.0.0.1")
    leave_address(Home(Path(home)), port.getHost().port)
    sys.stdout.write("the page is up\n")
    sys.stdout.flush()
    here.run()
