"""Who may look at the page, and who may act on it.

    look    the secret; without it only where the page is bound to loopback, and asked for by a loopback name: a name of
            somebody else's that resolves to 127.0.0.1 (DNS rebinding) is not one
    act     the secret, always. By cookie only from the page itself: its Origin, and a header that no form can set
    either  never for the page of another site, which the browser tells by Sec-Fetch-Site

The secret comes as `Authorization: Bearer SECRET` from programs, and as a cookie made of it from the page. Browsers
send a cookie to every port of a host, so the cookie is not the secret itself, and is worthless as a bearer's.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import ip_address
from typing import Final

from twisted.web.http_headers import Headers

from ..errors import SettingsError
from ..wire.endpoint import parse_host_port

SECRET_BYTES: Final = 32
ACT_HEADER: Final = "x-bittrrt"
"""A request with it is no simple one (Fetch, section 3.2): another origin's page cannot send it without being asked."""
ACT_VALUE: Final = "act"

_FRIENDLY_SITES: Final = (None, "same-origin", "none")
"""Of Sec-Fetch-Site: no browser, the page itself, the address bar."""
_BEARER: Final = "Bearer "


def new_secret() -> str:
    """The secret of one start of the server."""
    return secrets.token_urlsafe(SECRET_BYTES)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered."""

    status: int
    """Of HTTP."""
    line: str
    """For people: what is wrong, and what to do."""


FOREIGN: Final = Refusal(403, "this request was made by the page of another site")
NO_SECRET: Final = Refusal(401, "this needs the secret: open the link that 'bittrrt page' prints where the server runs")


@dataclass(frozen=True, slots=True)
class Guard:
    """Judges the headers of requests."""

    secret: str = field(repr=False)
    open_to_look: bool
    """Bound to loopback: whoever is on this machine may look."""
    port: int
    """Names the cookie, so that two servers on one host do not take each other's away."""

    @property
    def cookie_name(self) -> str:
        """What the cookie is called."""
        return f"bittrrt-{self.port}"

    def cookie(self) -> str:
        """What `Set-Cookie` says to who has shown the secret."""
        return f"{self.cookie_name}={self._cookie_value()}; Path=/; HttpOnly; SameSite=Strict"

    def forbids_to_look(self, headers: Headers) -> Refusal | None:
        """Why these headers do not open what can be read; None if they do."""
        if _one(headers, "sec-fetch-site") not in _FRIENDLY_SITES:
            return FOREIGN
        if self.open_to_look and is_loopback(_one(headers, "host") or ""):
            return None
        return None if self.knows_secret(headers) else NO_SECRET

    def forbids_to_act(self, headers: Headers) -> Refusal | None:
        """Why these headers do not let act; None if they do."""
        if _one(headers, "sec-fetch-site") not in _FRIENDLY_SITES:
            return FOREIGN
        host, origin = _one(headers, "host"), _one(headers, "origin")
        if origin is not None and origin.partition("://")[2] != host:
            return FOREIGN
        if self._is_bearer(headers):
            return None
        if not self._has_cookie(headers):
            return NO_SECRET
        return FOREIGN if origin is None or _one(headers, ACT_HEADER) != ACT_VALUE else None

    def knows_secret(self, headers: Headers) -> bool:
        """Whether they hold the secret, or what the page has for it."""
        return self._is_bearer(headers) or self._has_cookie(headers)

    def _is_bearer(self, headers: Headers) -> bool:
        shown = _one(headers, "authorization") or ""
        return shown.startswith(_BEARER) and _same(shown.removeprefix(_BEARER), self.secret)

    def _has_cookie(self, headers: Headers) -> bool:
        pairs = [
            pair.strip().partition("=") for line in headers.getRawHeaders("cookie", []) for pair in line.split(";")
        ]
        return any(name == self.cookie_name and _same(value, self._cookie_value()) for name, _, value in pairs)

    def _cookie_value(self) -> str:
        return hmac.new(self.secret.encode(), b"bittrrt page cookie", sha256).hexdigest()


def is_loopback(host_header: str) -> bool:
    """Whether a `Host` header names this machine, and in a way that no name server has a say in."""
    try:
        host, _ = parse_host_port(host_header)
        return host == "localhost" or ip_address(host).is_loopback
    except (SettingsError, ValueError):
        return False


def _one(headers: Headers, name: str) -> str | None:
    """The header's value; None if there is none, and an empty text, which fits nothing, if there are several."""
    values = headers.getRawHeaders(name) or []
    return (values[0] if len(values) == 1 else "") if values else None


def _same(shown: str, expected: str) -> bool:
    """Compared in a time that tells nothing."""
    return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), expected.encode())
