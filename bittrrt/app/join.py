"""`bittrrt join`: pin the server, be let in, and see whether UDP gets through."""

from __future__ import annotations

import socket
import sys
from typing import Any, Final

import click
from twisted.internet.defer import Deferred

from ..errors import ClientRejected, InviteUsed, LinkError, ServerKeyChanged
from ..files.authorized_clients import valid_name
from ..files.home import Home
from ..files.identity import Identity, load_or_create_identity
from ..files.known_servers import KnownServer, KnownServers, key_changed_error
from ..net.client_connection import ClientConnection, HeartbeatRound
from ..net.rendezvous_client import rendezvous
from ..net.session_opener import SessionOpener
from ..net.tls import ConnectionCreator
from ..settings import Settings
from ..wire.endpoint import show_host_port
from ..wire.invite import InviteLink, parse_invite_link, prove, verifier_of
from ..wire.messages import Join, Joined
from .plain_text import plain
from .port_trouble import port_troubles
from .running import run_command

CHECK_HEARTBEAT: Final = 500  # milliseconds between the heartbeats that try the ports
CHECK_BEATS: Final = 4


@click.command("join")
@click.argument("link")
@click.pass_context
def join_command(ctx: click.Context, link: str) -> None:
    """Join a server by the LINK that its owner gave you.

    With '-' the link is read from standard input, so that nobody sees it in the list of processes.
    """
    text = sys.stdin.readline() if link == "-" else link
    invite = parse_invite_link(text.strip())
    home = Home(ctx.obj.home)
    identity, _ = load_or_create_identity(home)
    run_command(lambda reactor: join(reactor, ctx.obj, identity, KnownServers(home), invite))


async def join(reactor: Any, settings: Settings, identity: Identity, known: KnownServers, link: InviteLink) -> int:
    """Join the server that `link` names. Raises `LinkError`; the link is used up only if the server let us in."""
    where = show_host_port(link.host, link.port)
    pinned = known.lookup(link.host, link.port)
    if pinned is not None and pinned.fingerprint != link.fingerprint:
        raise key_changed_error(pinned, link.fingerprint)

    def check_key(shown: str) -> None:
        if shown != link.fingerprint:
            raise ServerKeyChanged(
                f"{where} shows another key ({shown}) than the link names: something stands in between, or the link is"
                " another server's. Nothing was sent. Ask the server's owner for a new link"
            )

    def message(exporter: bytes) -> Join:
        proof = prove(link.token, exporter, link.fingerprint, identity.fingerprint)
        return Join(verifier_of(link.token), proof, own_name())

    opener = SessionOpener(
        reactor,
        settings,
        identity,
        KnownServer(link.host, link.port, link.fingerprint, 0),
        heartbeat=CHECK_HEARTBEAT,
    )
    used: InviteUsed | None = None
    try:
        answer = await rendezvous(reactor, ConnectionCreator(identity), link.host, link.port, check_key, message)
        name = answer.message.name if isinstance(answer.message, Joined) else ""
    except InviteUsed as error:
        if pinned is not None:
            raise
        used, name = error, ""  # by us, maybe, if we were ended before we could pin: then a session opens
    if name:
        known.pin(link.host, link.port, link.fingerprint)
        click.echo(f"Joined {where}, which calls this client {plain(name)}. Trying its UDP ports ...")
    try:
        troubles, round_trip = await _try_ports(opener)
    except ClientRejected as error:
        raise used or error from None
    if not name:
        known.pin(link.host, link.port, link.fingerprint)
    for line in troubles:
        click.echo(f"Warning: {line}", err=True)
    if not troubles:
        click.echo(f"All three answer, round trip {round_trip * 1000:.2f} ms. Next: bittrrt ping {link.host}")
    return 0


def own_name() -> str:
    """What this client calls itself."""
    name = socket.gethostname().partition(".")[0]
    return name if valid_name(name) else "client"


async def _try_ports(opener: SessionOpener) -> tuple[list[str], float]:
    """What is wrong with the server's ports, and the least round trip seen."""
    trial = _PortTrial()
    connection = await opener.open(trial)
    await trial.decided
    troubles = port_troubles(connection)
    if trial.ended is not None and not trial.complete:
        troubles = troubles or [str(trial.ended)]
    minimum = min(connection.report(port_type).path.minimum or 0.0 for port_type in connection.ports)
    await connection.close()
    return troubles, minimum


class _PortTrial:
    """Watches a session until every port has answered, or has had its chances."""

    def __init__(self) -> None:
        self.decided: Deferred[None] = Deferred()
        self.complete = False
        self.ended: LinkError | None = None

    def heartbeat_finished(self, connection: ClientConnection, beat: HeartbeatRound) -> None:
        self.complete = self.complete or beat.complete
        if beat.complete or beat.number >= CHECK_BEATS:
            self._decide()

    def session_suspected(self, connection: ClientConnection) -> None:
        """Silence on all ports shows in the heartbeats that are given up."""

    def session_revived(self, connection: ClientConnection) -> None:
        """Nothing to do."""

    def session_ended(self, connection: ClientConnection, why: LinkError) -> None:
        self.ended = why
        self._decide()

    def _decide(self) -> None:
        if not self.decided.called:
            self.decided.callback(None)
