"""`bittrrt put`, `get`, `ls` and `ping`: what they are asked, and the first packet to the server.

Each imports the rest of itself, with Twisted and TLS, while that packet is on its way: 100 ms, a round trip or more.
What the arguments alone show to be wrong is told before it leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ..errors import SettingsError
from ..settings import Settings
from .begun_session import begun_session
from .remote import Mtu, Rate, parse_remote, remote_of

# ruff: noqa: PLC0415  see above

_F = TypeVar("_F", bound=Callable[..., Any])


def _transfer_options(command: _F) -> _F:
    """The options that put and get share."""
    options = [
        click.option("-r", "--recursive", is_flag=True, help="Folders too, with all that is in them."),
        click.option("--limit", type=Rate(), metavar="RATE", help="Bits a second at most, as in 500K, 20M, 1G."),
        click.option(
            "--mtu", type=Mtu(), metavar="N|auto", default="auto", show_default=True, help="Bytes of a datagram."
        ),
        click.option(
            "--congestion",
            type=click.Choice(["model", "cubic"]),
            default="model",
            show_default=True,
            help="What decides how much may be on its way.",
        ),
        click.option("--checksum", is_flag=True, help="Skip files that are there already by digest."),
        click.option("--overwrite", is_flag=True, help="Replace other files of the same names."),
        click.option("-q", "--quiet", is_flag=True, help="Only errors."),
        click.option("--json", "as_json", is_flag=True, help="One JSON object an event, and one at the end."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command("put")
@click.argument("sources", nargs=-1, required=True, metavar="FILE|DIR...")
@click.argument("target", metavar="HOST:[DIR]")
@_transfer_options
@click.pass_obj
def put_command(settings: Settings, /, sources: tuple[str, ...], target: str, **options: Any) -> None:
    """Send files to DIR at the server HOST.

    What is interrupted goes on at the next call where it was. Every file arrives whole, by its digest, or not at all.
    """
    remote = remote_of(target)
    _check_style(**options)
    with begun_session(settings, remote.host) as begun:
        from .put_get import run_put

        run_put(begun, [Path(source) for source in sources], remote.path, **options)


@click.command("get")
@click.argument("sources", nargs=-1, required=True, metavar="HOST:PATH... [DIR]")
@_transfer_options
@click.pass_obj
def get_command(settings: Settings, /, sources: tuple[str, ...], **options: Any) -> None:
    """Get files from the server HOST, into DIR or here.

    What is interrupted goes on at the next call where it was. Every file arrives whole, by its digest, or not at all.
    """
    target = "."
    if len(sources) > 1 and parse_remote(sources[-1]) is None:
        *rest, target = sources
        sources = tuple(rest)
    remotes = [remote_of(source) for source in sources]
    if len({remote.host for remote in remotes}) > 1:
        raise SettingsError("the files are at different servers: get them one server at a time")
    _check_style(**options)
    from .get_target import get_target

    root, name = get_target(
        Path(target), alone=len(remotes) == 1, whole=not remotes[0].path, trailing=target.endswith("/")
    )
    with begun_session(settings, remotes[0].host) as begun:
        from .put_get import run_get

        run_get(begun, [remote.path for remote in remotes], root, name, **options)


def _check_style(*, quiet: bool, as_json: bool, **_: Any) -> None:
    if quiet and as_json:
        raise SettingsError("--quiet and --json exclude each other")


@click.command("ls")
@click.argument("target", metavar="HOST:[PATH]")
@click.option("-l", "--long", "as_long", is_flag=True, help="Modes, sizes and times too.")
@click.pass_obj
def ls_command(settings: Settings, /, target: str, as_long: bool) -> None:
    """List what the server HOST shows."""
    remote = remote_of(target)
    with begun_session(settings, remote.host) as begun:
        from .ls import run_ls

        run_ls(begun, remote.path.rstrip("/"), as_long=as_long)


@click.command("ping")
@click.argument("host")
@click.option("--count", "-c", type=click.IntRange(min=1), help="Stop after so many heartbeats.")
@click.option(
    "--interval", "-i", type=click.IntRange(10, 3_600_000), help="Milliseconds.  [default: as the server says]"
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a heartbeat, and one at the end.")
@click.option("--no-history", is_flag=True, help="Do not record it for bittrrt history.")
@click.pass_obj
def ping_command(settings: Settings, /, host: str, **options: Any) -> None:
    """Show the three ports of the link with HOST, live.

    Times are milliseconds. 'there' and 'back' are what was lost on the way to the server and from it. 'clock' is how
    far the server's clock is from this one; within its error, asymmetry of the path cannot be seen.

    The exit status is 0 only if heartbeats came back on all three ports.
    """
    with begun_session(settings, host) as begun:
        from .ping import run_ping

        run_ping(begun, **options)
