"""`bittrrt`: the group of its commands, each of which is imported when it runs."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

from .. import __version__
from ..errors import LinkError
from ..settings import Settings, default_home

_MODULES: Final = {
    "check": "check",
    "clients": "key_commands",
    "get": "session_commands",
    "history": "history",
    "invite": "key_commands",
    "join": "join",
    "ls": "session_commands",
    "page": "page_command",
    "ping": "session_commands",
    "put": "session_commands",
    "status": "key_commands",
    "top": "top",
}
"""Where the commands are; only that of the one that runs is imported, as each takes its time to."""


class BittrRtGroup(click.Group):
    """A group whose commands end in one line where a `LinkError` ends them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the alphabet."""
        return sorted(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in _MODULES:
            return None
        command: click.Command = getattr(import_module(f".{_MODULES[cmd_name]}", __package__), f"{cmd_name}_command")
        return command

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
