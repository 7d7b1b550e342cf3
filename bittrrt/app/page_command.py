"""`bittrrt page`: the link to the page of the server that runs here."""

from __future__ import annotations

import click

from ..files.home import Home


@click.command("page")
@click.pass_context
def page_command(ctx: click.Context) -> None:
    """Print the link to the page of the server that runs here. Whoever has it can act on the server."""
    from .admin_page import known_page  # noqa: PLC0415  it imports a web server

    click.echo(known_page(Home(ctx.obj.home)).link)
