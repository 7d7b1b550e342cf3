"""`bittrrt`: the commands of both ends."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

from .. import __version__
from ..errors import LinkError
from ..files.authorized_clients import AuthorizedClients
from ..files.home import Home
from ..files.identity import load_identity, load_or_create_identity
from ..files.known_servers import KnownServers
from ..net.link_keeper import SessionOpener
from ..settings import Settings, default_home
from ..wire.endpoint import show_host_port
from ..wire.invite import parse_invite_link
from .client_tap import known_identity
from .invitation import known_endpoint, make_invitation
from .join import join
from .ls import ls_command
from .page_command import page_command
from .ping import Ping
from .put_get import get_command, put_command
from .running import run_command

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

_F = TypeVar("_F", bound=Callable[..., Any])


class Duration(click.ParamType[float]):
    """`90s`, `15m`, `1h`, `7d`: seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        match = re.fullmatch(r"([0-9]{1,9})([smhd])", str(value).strip())
        if match is None or not int(match[1]):
            self.fail(f"{value!r} is no duration, as in 90s, 15m, 1h or 7d", param, ctx)
        return float(int(match[1]) * _UNITS[match[2]])


class BittrRtGroup(click.Group):
    """A group whose commands end in one line where a `LinkError` ends them."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except LinkError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=BittrRtGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bittrrt")
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Directory of keys.  [default: $BITTRRT_HOME or ~/.bittrrt]",
)
@click.pass_context
def main(ctx: click.Context, home: Path | None) -> None:
    """An encrypted real-time link between two machines over UDP.

    A server runs 'twistd bittrrt' and hands out a link; a client runs 'bittrrt join LINK' once, and 'bittrrt ping HOST'
    from then on.
    """
    ctx.obj = Settings(home=(home or default_home()).expanduser())


main.add_command(put_command)
main.add_command(get_command)
main.add_command(ls_command)
main.add_command(page_command)


def _home(ctx: click.Context) -> Home:
    return Home(ctx.obj.home)


@main.command("join")
@click.argument("link")
@click.pass_context
def join_command(ctx: click.Context, link: str) -> None:
    """Join a server by the LINK that its owner gave you.

    With '-' the link is read from standard input, so that nobody sees it in the list of processes.
    """
    text = sys.stdin.readline() if link == "-" else link
    invite = parse_invite_link(text.strip())
    home = _home(ctx)
    identity, _ = load_or_create_identity(home)
    run_command(lambda reactor: join(reactor, ctx.obj, identity, KnownServers(home), invite))


@main.command("ping")
@click.argument("host")
@click.option("--count", "-c", type=click.IntRange(min=1), help="Stop after so many heartbeats.")
@click.option(
    "--interval", "-i", type=click.IntRange(10, 3_600_000), help="Milliseconds.  [default: as the server says]"
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a heartbeat, and one at the end.")
@click.pass_context
def ping_command(ctx: click.Context, host: str, count: int | None, interval: int | None, as_json: bool) -> None:
    """Show the three ports of the link with HOST, live.

    Times are milliseconds. 'there' and 'back' are what was lost on the way to the server and from it. 'clock' is how
    far the server's clock is from this one; within its error, asymmetry of the path cannot be seen.

    The exit status is 0 only if heartbeats came back on all three ports.
    """
    from twisted.internet import reactor  # noqa: PLC0415

    home = _home(ctx)
    server = KnownServers(home).resolve(host)
    opener = SessionOpener(reactor, ctx.obj, known_identity(home), server, heartbeat=interval)
    run_command(Ping(opener, count, json=as_json).run)


@main.command("status")
@click.pass_context
def status_command(ctx: click.Context) -> None:
    """Show this end's identity, and the servers it knows."""
    home = _home(ctx)
    identity = load_identity(home)
    click.echo(f"home      {home.path}")
    click.echo(f"identity  {identity.fingerprint if identity else 'none yet: join a server, or start one'}")
    known = KnownServers(home)
    for server in known.servers():
        click.echo(f"server    {show_host_port(server.host, server.port)} {server.fingerprint}")
    authorized = AuthorizedClients(home)
    let_in = [client for client in authorized.clients() if not client.revoked]
    if let_in:
        click.echo(f"clients   {len(let_in)} may open sessions here: bittrrt clients")
    for problem in known.problems() + authorized.problems():
        click.echo(f"Warning: {problem}", err=True)


@main.command("invite")
@click.option("--host", default="", metavar="HOST[:PORT]", help="What the link names this server.  [default: a guess]")
@click.option("--name", default="", help="What to call the client.  [default: what it calls itself]")
@click.option("--expires", type=Duration(), default="1h", show_default=True, help="As in 90s, 15m, 1h, 7d.")
@click.pass_context
def invite_command(ctx: click.Context, host: str, name: str, expires: float) -> None:
    """Print a link that lets one client in, once."""
    home = _home(ctx)
    identity = load_identity(home)
    if identity is None:
        raise click.ClickException(f"no server was started yet with {home.path}: run twistd bittrrt first")
    link, guessed = make_invitation(
        home, identity, known_endpoint(home), now=time.time(), host=host, name=name, lifetime=expires
    )
    click.echo(str(link))
    if guessed:
        click.echo(f"The link names {link.host}. If clients reach this server by another name, use --host", err=True)


@main.group("clients", invoke_without_command=True)
@click.pass_context
def clients_group(ctx: click.Context) -> None:
    """List the clients that may open sessions here, or revoke one."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_command)


@clients_group.command("list")
@click.pass_context
def list_command(ctx: click.Context) -> None:
    """List the clients that were let in."""
    authorized = AuthorizedClients(_home(ctx))
    clients = authorized.clients()
    for problem in authorized.problems():
        click.echo(f"Warning: {problem}", err=True)
    if not clients:
        click.echo("No client has joined yet: bittrrt invite", err=True)
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "key", "state"):
        table.add_column(heading, no_wrap=heading == "key")
    for client in clients:
        table.add_row(client.name, client.fingerprint, "revoked" if client.revoked else "let in")
    Console(highlight=False, markup=False).print(table)


@clients_group.command("revoke")
@click.argument("client")
@click.pass_context
def revoke_command(ctx: click.Context, client: str) -> None:
    """Let CLIENT, a name or a key's fingerprint, in no more. A running server ends its sessions at once."""
    revoked = AuthorizedClients(_home(ctx)).revoke(client)
    click.echo(f"{revoked.name} ({revoked.fingerprint}) is revoked.")
