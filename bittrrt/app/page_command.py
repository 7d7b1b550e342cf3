"""`bittrrt page`: the link to the page of the server that runs here."""

from __future__ import annotations

import click

from ..files.home import Home
from .admin_file import known_page


@click.command("page")
@click.pass_context
def page_command(ctx: click.Context) -> None:
    """Print the link to the page of the server that runs here. Whoever has it can act on the server."""
    click.echo(known_page(Home(ctx.obj.home)).link)
