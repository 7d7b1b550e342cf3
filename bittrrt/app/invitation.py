"""Making a link that lets a client in, and finding out what it should name this server."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Final

import msgspec

from ..errors import SettingsError
from ..files.home import Home
from ..files.identity import Identity
from ..files.invites import Invites
from ..settings import DEFAULT_PORT, Settings
from ..wire.endpoint import parse_host_port
from ..wire.invite import InviteLink

DEFAULT_LIFETIME: Final = 3600.0  # seconds
SERVER_FILE: Final = "server.json"
"""What the server that ran here last was set to, so that `bittrrt invite` knows where clients reach it."""

_DOCUMENTATION_ADDRESS: Final = ("192.0.2.1", 9)  # RFC 5737: nobody's; nothing is sent there


class ServerEndpoint(msgspec.Struct, frozen=True):
    """Where clients reach the server."""

    interface: str = "0.0.0.0"  # noqa: S104
    port: int = DEFAULT_PORT
    advertise: str = ""


def server_endpoint(settings: Settings) -> ServerEndpoint:
    """Where clients reach a server with these settings."""
    return ServerEndpoint(settings.interface, settings.port, settings.advertise)


def remember_endpoint(home: Home, settings: Settings) -> None:
    """Write down where clients reach the server that starts now."""
    home.write(SERVER_FILE, msgspec.json.encode(server_endpoint(settings)).decode() + "\n")


def known_endpoint(home: Home) -> ServerEndpoint:
    """Where clients reach the server that ran here last; the defaults, if none has."""
    text = home.read(SERVER_FILE)
    try:
        return msgspec.json.decode(text, type=ServerEndpoint) if text else ServerEndpoint()
    except msgspec.MsgspecError as error:
        raise SettingsError(f"{home.path / SERVER_FILE}: {error}; delete it, and start the server again") from None


def make_invitation(
    home: Home,
    identity: Identity,
    endpoint: ServerEndpoint,
    *,
    now: float,
    host: str = "",
    name: str = "",
    lifetime: float = DEFAULT_LIFETIME,
) -> tuple[InviteLink, bool]:
    """A new link, and whether its host is only a guess. `host` is HOST or HOST:PORT; empty for the server's own.

    Raises `SettingsError`.
    """
    told = host or endpoint.advertise
    if told:
        link_host, port = parse_host_port(told)
    else:
        link_host, port = own_address(endpoint.interface), None
    token = Invites(home).make(name, lifetime, now)
    guessed = not told and ip_address_is_wildcard(endpoint.interface)
    return InviteLink(link_host, port or endpoint.port, identity.fingerprint, token), guessed


def ip_address_is_wildcard(interface: str) -> bool:
    """Whether a server that listens there listens on every address."""
    try:
        return not interface or ip_address(interface).is_unspecified
    except ValueError:
        return False


def own_address(interface: str) -> str:
    """The address of a server that listens on `interface`: of the route to everywhere, if that is every address."""
    if not ip_address_is_wildcard(interface):
        return interface
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_DOCUMENTATION_ADDRESS)
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()
