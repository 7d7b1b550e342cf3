"""`twistd bittrrt`: its options, and the service made of them."""

from __future__ import annotations

import gc
import grp
import os
import pwd
import time
from typing import Any, Final

from twisted.application.service import IService
from twisted.python import usage

from ..errors import LinkError, SettingsError
from ..files.home import Home
from ..files.identity import load_or_create_identity
from ..files.root import Root
from ..net.port_manager import parse_port_ranges
from ..settings import Settings, settings_from_options
from ..wire.datagram import PortType
from ..wire.endpoint import parse_host_port
from .admin_page import check_admin
from .descriptors import allow_many_files
from .invitation import make_invitation, remember_endpoint, server_endpoint
from .server_service import ServerService, cannot_listen
from .tcp_probe import refusal_to_listen

COLLECT: Final = (700, 10, 1000)
"""Objects made until the collector looks at the new ones, and how often at the older: at 5,000 sessions it takes 0.2 s
to look at all, in which no heartbeat is answered. What a rendezvous leaves for it to find is new.
"""


class Options(usage.Options):
    """Options of `twistd bittrrt`. Each has its key in the TOML file of --config, with the same name."""

    synopsis = "[options]"
    longdesc = (
        "Serves encrypted real-time links over UDP. The first start makes this server's key and prints the command that"
        " lets the first client in; 'bittrrt invite' makes more."
    )
    optParameters = [
        ["config", "c", None, "A TOML file with any of these options, e.g. port = 6711."],
        ["home", None, None, "Directory of keys and clients. [default: $BITTRRT_HOME or ~/.bittrrt]"],
        ["interface", "i", None, "Address to listen on, IPv4 or IPv6; '::' for all of both. [default: 0.0.0.0]"],
        ["port", "p", None, "TCP port where clients begin. [default: 6711]"],
        ["port-ranges", None, None, "UDP ports for sessions, three each. [default: 6712-6999]"],
        ["advertise", None, None, "HOST or HOST:PORT that invite links name. [default: a guess]"],
        ["root", None, None, "Folder that clients see and write to. [default: none]"],
        ["heartbeat", None, None, "Milliseconds from one heartbeat to the next. [default: 5000]"],
        ["stale-after", None, None, "Milliseconds of silence that end a session. [default: six heartbeats]"],
        ["max-sessions-per-key", None, None, "Sessions that one client may hold at a time. [default: 4]"],
        ["port-quarantine", None, None, "Milliseconds that a released UDP port rests. [default: 120000]"],
        ["history-days", None, None, "Days that the history of sessions is kept; 0 for none. [default: 30]"],
        ["admin", None, None, "Endpoint of the page, or none. [default: tcp:6780:interface=127.0.0.1]"],
    ]

    settings: Settings

    def postOptions(self) -> None:
        """Check everything before anything is done. Ends the program with one line if it does not fit."""
        named = {name.replace("-", "_"): value for name, value in self.items() if name != "config"}
        try:
            self.settings = settings_from_options(named, self["config"])
            check(self.settings)
        except LinkError as error:
            raise SystemExit(f"bittrrt: {error}") from None


def check(settings: Settings) -> None:
    """Refuse what fits its type and still makes no server. Raises `SettingsError`."""
    if parse_port_ranges(settings.port_ranges).count() < len(PortType):
        raise SettingsError(f"port-ranges: {settings.port_ranges} is fewer than the three ports of one session")
    try:
        if settings.advertise:
            parse_host_port(settings.advertise)
    except SettingsError as error:
        raise SettingsError(f"advertise: {error}") from None
    if settings.root is not None:
        Root(settings.root).close()
    if settings.stale_after is not None and settings.stale_after < 2 * settings.heartbeat:
        raise SettingsError(
            f"stale-after: {settings.stale_after} ms is less than two heartbeats of {settings.heartbeat} ms: one"
            " that is lost would end the session"
        )


def makeService(options: Options) -> IService:
    """The service. Makes the server's identity at the first start, and prints the line that lets a client in."""
    from twisted.internet import reactor  # noqa: PLC0415  twistd has chosen which by now

    settings = options.settings
    allow_many_files()
    gc.set_threshold(*COLLECT)
    check_port(settings)
    try:
        check_admin(settings)
        home = Home(settings.home)
        identity, created = load_or_create_identity(home)
        remember_endpoint(home, settings)
        if created:
            link, _ = make_invitation(home, identity, server_endpoint(settings), now=time.time())
            print(f"On the client, within an hour, run:\n\nbittrrt join {link}\n", flush=True)  # noqa: T201
        owner = _owner(options.parent or {})
        if owner is not None:
            home.give_to(*owner)
        return ServerService(settings, identity, home, reactor)
    except LinkError as error:
        raise SystemExit(f"bittrrt: {error}") from None


def check_port(settings: Settings) -> None:
    """End with one line if another program holds the port: here it still reaches the terminal, also of a daemon."""
    refusal = refusal_to_listen(settings.interface, settings.port)
    if refusal is not None:
        raise SystemExit(cannot_listen(settings, refusal))


def _owner(twistd: Any) -> tuple[int, int] | None:
    """The user and group that twistd is going to change to, which must be able to write the home directory."""
    uid, gid = twistd.get("uid"), twistd.get("gid")
    if uid is None and gid is None:
        return None
    uid = os.getuid() if uid is None else uid if isinstance(uid, int) else pwd.getpwnam(uid).pw_uid
    gid = os.getgid() if gid is None else gid if isinstance(gid, int) else grp.getgrnam(gid).gr_gid
    return uid, gid
