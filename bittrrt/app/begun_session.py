"""The first step of a command that opens a session: which server it is, and the SYN to it.

begun_session ==SYN==> ... the command imports what it needs ... opening.py --> SessionOpener
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ..files.home import Home
from ..files.known_servers import KnownServer, KnownServers
from ..net.begun_connection import BegunConnection
from ..settings import Settings


class BegunSession(NamedTuple):
    """What is known of a session when its first packet has left."""

    settings: Settings
    server: KnownServer
    connection: BegunConnection


@contextmanager
def begun_session(settings: Settings, host: str) -> Iterator[BegunSession]:
    """Begin to connect to the server that a person calls `host`; what nobody has taken is closed at the end.

    Raises `ServerUnknown` and `SettingsError`, as `KnownServers.resolve` does.
    """
    server = KnownServers(Home(settings.home)).resolve(host)
    connection = BegunConnection(server.host, server.port)
    try:
        yield BegunSession(settings, server, connection)
    finally:
        connection.close()
