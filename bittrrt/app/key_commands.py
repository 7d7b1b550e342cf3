"""`bittrrt status`, `invite` and `clients`: who this end is, and whom it lets in."""

from __future__ import annotations

import time

import click

from ..files.authorized_clients import AuthorizedClients
from ..files.home import Home
from ..files.identity import load_identity
from ..files.known_servers import KnownServers
from ..wire.endpoint import show_host_port
from .duration import Duration
from .invitation import known_endpoint, make_invitation


def _home(ctx: click.Context) -> Home:
    return Home(ctx.obj.home)


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with the server that runs here.")
@click.pass_context
def status_command(ctx: click.Context, as_json: bool) -> None:
    """Show this end's identity, and the servers it knows."""
    home = _home(ctx)
    if as_json:
        from .status import print_status  # noqa: PLC0415  twisted.web takes its time to import

        print_status(home)
        return
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


@click.command("invite")
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


@click.group("clients", invoke_without_command=True)
@click.pass_context
def clients_command(ctx: click.Context) -> None:
    """List the clients that may open sessions here, or revoke one."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_command)


@clients_command.command("list")
@click.pass_context
def list_command(ctx: click.Context) -> None:
    """List the clients that were let in."""
    from rich.console import Console  # noqa: PLC0415  40 ms, which only what draws with it should take
    from rich.table import Table  # noqa: PLC0415

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


@clients_command.command("revoke")
@click.argument("client")
@click.pass_context
def revoke_command(ctx: click.Context, client: str) -> None:
    """Let CLIENT, a name or a key's fingerprint, in no more. A running server ends its sessions at once."""
    revoked = AuthorizedClients(_home(ctx)).revoke(client)
    click.echo(f"{revoked.name} ({revoked.fingerprint}) is revoked.")
