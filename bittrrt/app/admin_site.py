"""The page's web site: which URL answers what, to whom, and under which headers.

    GET  /  /static/...     the page itself, which holds nothing of the server's: to everybody
    POST /api/login         a cookie, for the secret
    GET  /api/access        {"look": ..., "act": ...}: what this browser may do
    GET  /api/state         everything in full, see `admin_state`          who may look, see `admin_guard`
    GET  /api/stream        server-sent events, ?watch=LINK,...&after=ID   who may look
    GET  /metrics           for Prometheus, where there is a source        who may look
    POST /api/end, /api/revoke, /api/invite   see `admin_actions`          who may act

Errors are {"error": LINE}.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from ..errors import LinkError
from .admin_actions import Actions
from .admin_guard import Guard, Refusal
from .admin_state import StateReader
from .admin_stream import Hub, parse_watched_untrusted

STATIC: Final = Path(__file__).parent / "static"
MAX_BODY: Final = 4096  # bytes
MAX_CONNECTIONS: Final = 512  # to the page: a descriptor each
IDLE_TIME: Final = 30  # seconds without a request

_TYPES: Final = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
_JSON: Final = b"application/json"

SECURITY_HEADERS: Final = {
    b"content-security-policy": (
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"
        b" base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
    b"server": b"bittrrt",
}

NO_SUCH: Final = Refusal(404, "there is no such page here")
NO_METHOD: Final = Refusal(405, "this cannot be done with that method")
TOO_LONG: Final = Refusal(413, f"a request's body has at most {MAX_BODY} bytes")
NO_LINKS: Final = Refusal(400, "watch= names links, at most four, with commas between")
TOO_MANY: Final = Refusal(503, "too many pages are open: close one, and load this again")

_Answer = Callable[["PageRequest"], Any]


class PageRequest(Request):
    """A request whose body is bounded in memory, whatever its length says."""

    too_long = False
    content: io.BytesIO

    def gotLength(self, length: int | None) -> None:
        """See `Request`: the body, if there will be one, is short."""
        self.content = io.BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        """See `Request`: what is too long is read, and forgotten."""
        if self.too_long or self.content.tell() + len(data) > MAX_BODY:
            self.too_long = True
        else:
            self.content.write(data)


class PageChannel(HTTPChannel):
    """A connection that its site counts."""

    site: AdminSite

    def connectionMade(self) -> None:
        """See `Protocol`."""
        self.site.connections += 1
        super().connectionMade()

    def connectionLost(self, reason: Any = None) -> None:
        """See `Protocol`."""
        self.site.connections -= 1
        super().connectionLost(reason)


class AdminSite(Site):
    """Lets connections in, within limits. Requests are not logged."""

    noisy = False
    protocol: Any = PageChannel

    def __init__(self, resource: Resource, reactor: Any) -> None:
        super().__init__(resource, PageRequest, timeout=IDLE_TIME, reactor=reactor, parsePOSTFormSubmission=False)
        self.connections = 0
        """That are open."""

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A channel, or None: then the reactor closes the connection."""
        return super().buildProtocol(addr) if self.connections < MAX_CONNECTIONS else None

    def log(self, request: Any) -> None:
        """See `Site`: who looks at the page is not written down."""


class AdminRoot(Resource):
    """Every URL of the site."""

    isLeaf = True
    log = Logger()

    def __init__(
        self,
        guard: Guard,
        hub: Hub,
        state: StateReader,
        actions: Actions,
        metrics: Resource | None = None,
    ) -> None:
        """`metrics` is served at /metrics."""
        super().__init__()
        self._guard = guard
        self._hub = hub
        self._state = state
        self._files = load_static_files()
        self._looks: dict[str, _Answer] = {"/api/state": self._send_state, "/api/stream": self._stream}
        if metrics is not None:
            self._looks["/metrics"] = metrics.render
        self._acts = {"/api/end": actions.end, "/api/revoke": actions.revoke, "/api/invite": actions.invite}

    def render(self, request: Any) -> Any:
        """See `IResource`."""
        for name, value in SECURITY_HEADERS.items():
            request.setHeader(name, value)
        path, method = request.path.decode("latin-1"), request.method
        if request.too_long:
            return _refuse(request, TOO_LONG)
        if path in self._files or path == "/api/access":
            return self._send_open(request, path) if method in (b"GET", b"HEAD") else _refuse(request, NO_METHOD)
        if path in self._looks:
            refusal = self._guard.forbids_to_look(request.requestHeaders) if method == b"GET" else NO_METHOD
            return self._looks[path](request) if refusal is None else _refuse(request, refusal)
        if path in self._acts or path == "/api/login":
            refusal = self._guard.forbids_to_act(request.requestHeaders) if method == b"POST" else NO_METHOD
            return self._act(request, path) if refusal is None else _refuse(request, refusal)
        return _refuse(request, NO_SUCH)

    def _send_open(self, request: PageRequest, path: str) -> bytes:
        if path in self._files:
            content_type, content = self._files[path]
            request.setHeader(b"content-type", content_type)
            return content
        headers = request.requestHeaders
        may_look = self._guard.forbids_to_look(headers) is None
        return _send_json(request, {"look": may_look, "act": may_look and self._guard.knows_secret(headers)})

    def _send_state(self, request: PageRequest) -> Any:
        def send(state: bytes) -> None:
            if not request._disconnected:
                request.setHeader(b"content-length", b"%d" % len(state))
                request.write(state)
                request.finish()

        request.setHeader(b"content-type", _JSON)
        self._state.read().addCallback(send)
        return NOT_DONE_YET

    def _stream(self, request: PageRequest) -> Any:
        watched = parse_watched_untrusted(request.args.get(b"watch", []))
        if watched is None:
            return _refuse(request, NO_LINKS)
        told = request.getHeader("last-event-id") or request.args.get(b"after", [b""])[0].decode("latin-1")
        return _refuse(request, TOO_MANY) if self._hub.open(request, watched, told) is None else NOT_DONE_YET

    def _act(self, request: PageRequest, path: str) -> bytes:
        if path == "/api/login":
            request.responseHeaders.addRawHeader("set-cookie", self._guard.cookie())
            return _send_json(request, {"act": True})
        try:
            return _send_json(request, self._acts[path](request.content.read()))
        except LinkError as error:
            return _refuse(request, Refusal(400, str(error)))


def load_static_files() -> dict[str, tuple[bytes, bytes]]:
    """Content type and content by URL path. There are no others, whatever a request names."""
    files = {
        f"/static/{path.relative_to(STATIC).as_posix()}": (_TYPES[path.suffix], path.read_bytes())
        for path in STATIC.rglob("*")
        if path.suffix in _TYPES
    }
    files["/"] = files.pop("/static/index.html")
    return files


def _send_json(request: PageRequest, value: object) -> bytes:
    request.setHeader(b"content-type", _JSON)
    return msgspec.json.encode(value)


def _refuse(request: PageRequest, refusal: Refusal) -> bytes:
    request.setResponseCode(refusal.status)
    return _send_json(request, {"error": refusal.line})
