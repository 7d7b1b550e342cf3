"""What a client's program needs to open sessions: its own key, and the server's."""

from __future__ import annotations

from ..errors import SettingsError
from ..files.home import Home
from ..files.identity import Identity, load_identity
from ..net.session_opener import SessionOpener
from .begun_session import BegunSession


def known_identity(home: Home) -> Identity:
    """This end's identity. Raises `SettingsError` if it has none: then it has joined nothing yet."""
    identity = load_identity(home)
    if identity is None:
        raise SettingsError(
            f"this end has no key yet in {home.path}: ask a server's owner for a link, then run: bittrrt join LINK"
        )
    return identity


def session_opener(begun: BegunSession, *, heartbeat: int | None = None) -> SessionOpener:
    """Opens sessions with a server, the first by the connection to it that has begun.

    `heartbeat` in milliseconds; None for the server's.
    """
    from twisted.internet import reactor  # noqa: PLC0415  not before there is use for it

    identity = known_identity(Home(begun.settings.home))
    return SessionOpener(reactor, begun.settings, identity, begun.server, heartbeat=heartbeat, begun=begun.connection)
