"""`bittrrt status --json`: this end, whom it knows, and the server that runs here, as one object."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from ..errors import LinkError
from ..files.authorized_clients import AuthorizedClients
from ..files.home import Home
from ..files.identity import load_identity
from ..files.known_servers import KnownServers
from .admin_client import AdminClient, ServerState
from .admin_file import admin_address
from .running import run_command
from .views import ServerView, SessionView


class ServerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A server that this end has joined."""

    host: str
    port: int
    fingerprint: str


class ClientStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A client that was let in."""

    name: str
    fingerprint: str
    revoked: bool


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What `bittrrt status --json` prints."""

    home: str
    identity: str | None
    """This end's fingerprint; null before it has a key."""
    servers: list[ServerStatus]
    clients: list[ClientStatus]
    problems: list[str]
    """Lines of files that are not used, and why the server was not asked."""
    server: ServerView | None
    """The server that runs here; null if none does, or it has no page."""
    sessions: list[SessionView]
    """Its live ones."""


def status_of(home: Home, state: ServerState | None = None, trouble: str = "") -> Status:
    """The status of the end with this home, with what its server says, or why it says nothing."""
    identity, known, authorized = load_identity(home), KnownServers(home), AuthorizedClients(home)
    return Status(
        home=_said(str(home.path)),
        identity=None if identity is None else identity.fingerprint,
        servers=[
            ServerStatus(host=server.host, port=server.port, fingerprint=server.fingerprint)
            for server in known.servers()
        ],
        clients=[
            ClientStatus(name=client.name, fingerprint=client.fingerprint, revoked=client.revoked)
            for client in authorized.clients()
        ],
        problems=[_said(line) for line in (*known.problems(), *authorized.problems(), trouble) if line],
        server=None if state is None else state.server,
        sessions=[] if state is None else state.sessions,
    )


def print_status(home: Home) -> None:
    """Print the object; a server that has left its address here is asked, and need not answer."""
    if admin_address(home) is None:
        _print(status_of(home))
        return

    async def ask(reactor: Any) -> int:
        client = AdminClient(home, reactor)
        try:
            status = status_of(home, await client.state())
        except LinkError as error:
            status = status_of(home, trouble=str(error))
        finally:
            await client.close()
        _print(status)
        return 0

    run_command(ask)


def _print(status: Status) -> None:
    click.echo(msgspec.json.encode(status).decode())


def _said(text: str) -> str:
    """What can be said in JSON: there may be a path in it that is not UTF-8."""
    return text.encode(errors="backslashreplace").decode()
