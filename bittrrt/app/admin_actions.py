"""What a person does from the page: end a session, revoke a client, make an invite.

    POST /api/end       {"link": LINK}                                    {"ended": true}
    POST /api/revoke    {"fingerprint": "SHA256:..."}                     {"revoked": NAME}
    POST /api/invite    {"name": NAME, "host": HOST, "lifetime": S}       {"link": LINK, "qr": URL, "guessed": false}

All of an invite may be left out. `guessed` tells that the link's host is only a guess.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar

import msgspec
import segno
from msgspec import Meta, Struct

from ..errors import ActionRefused
from ..files.home import Home
from ..files.identity import Identity
from ..net.server import Server
from ..settings import Settings
from .invitation import DEFAULT_LIFETIME, make_invitation, server_endpoint
from .watch import Watch

MAX_TEXT: Final = 300  # characters: of a host name with its port, which is the longest
QR_SCALE: Final = 4  # pixels a module, where the picture is shown in its own size

_Text = Annotated[str, Meta(max_length=MAX_TEXT)]
_Body = TypeVar("_Body")


class EndBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Which session is to end."""

    link: _Text


class RevokeBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Which key is let in no more."""

    fingerprint: _Text


class InviteBody(Struct, frozen=True, forbid_unknown_fields=True):
    """For whom a link is, and how long it works."""

    name: _Text = ""
    host: _Text = ""
    lifetime: float = DEFAULT_LIFETIME
    """Seconds."""


class Actions:
    """Each takes the body of its request and returns what is answered; all raise `LinkError` with a line for people."""

    def __init__(self, server: Server, watch: Watch, home: Home, identity: Identity, settings: Settings) -> None:
        self._server = server
        self._watch = watch
        self._home = home
        self._identity = identity
        self._endpoint = server_endpoint(settings)

    def end(self, body: bytes) -> dict[str, Any]:
        """End a session."""
        if not self._watch.end_session(_parse_body_untrusted(body, EndBody).link):
            raise ActionRefused("that session is over already")
        return {"ended": True}

    def revoke(self, body: bytes) -> dict[str, Any]:
        """Let a client in no more, and end its sessions now."""
        fingerprint = _parse_body_untrusted(body, RevokeBody).fingerprint
        revoked = self._server.authorized.revoke(fingerprint)
        self._server.sweep()
        return {"revoked": revoked.name}

    def invite(self, body: bytes) -> dict[str, Any]:
        """Make a link that lets one client in, with its picture."""
        wanted = _parse_body_untrusted(body, InviteBody)
        link, guessed = make_invitation(
            self._home,
            self._identity,
            self._endpoint,
            now=self._server.clock.wall_ms() / 1000,
            host=wanted.host.strip(),
            name=wanted.name.strip(),
            lifetime=wanted.lifetime,
        )
        return {"link": str(link), "qr": qr_code(str(link)), "guessed": guessed}


def qr_code(text: str) -> str:
    """A QR code as an SVG in a `data:` URL: the page shows it as a picture, which can do nothing else."""
    picture = segno.make(text, error="m", micro=False)
    quiet_zone = 4  # modules, ISO/IEC 18004 section 9.1
    return str(picture.svg_data_uri(scale=QR_SCALE, border=quiet_zone, dark="#000", light="#fff"))


def _parse_body_untrusted(body: bytes, kind: type[_Body]) -> _Body:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise ActionRefused(f"the request cannot be used: {error}") from None
