"""What a client's program needs to open sessions: its own key, and the server's."""

from __future__ import annotations

import click

from ..errors import SettingsError
from ..files.home import Home
from ..files.identity import Identity, load_identity
from ..files.known_servers import KnownServers
from ..net.session_opener import SessionOpener


def known_identity(home: Home) -> Identity:
    """This end's identity. Raises `SettingsError` if it has none: then it has joined nothing yet."""
    identity = load_identity(home)
    if identity is None:
        raise SettingsError(
            f"this end has no key yet in {home.path}: ask a server's owner for a link, then run: bittrrt join LINK"
        )
    return identity


def session_opener(ctx: click.Context, host: str, *, heartbeat: int | None = None) -> SessionOpener:
    """Opens sessions with the server that a person calls `host`. `heartbeat` in milliseconds; None for the server's."""
    from twisted.internet import reactor  # noqa: PLC0415  not before there is use for it

    home = Home(ctx.obj.home)
    server = KnownServers(home).resolve(host)
    return SessionOpener(reactor, ctx.obj, known_identity(home), server, heartbeat=heartbeat)
