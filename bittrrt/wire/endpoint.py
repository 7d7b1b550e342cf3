"""Hosts and ports as people write them: `HOST`, `HOST:PORT`, `[IPv6]:PORT`."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Final

from ..errors import SettingsError

MAX_HOST_NAME: Final = 253  # characters, RFC 1035, section 2.3.4: 255 bytes on the wire

_HOST_PORT: Final = re.compile(r"(?:\[([^\]]*)\]|([^:\[\]]*))(?::([0-9]{1,5}))?")
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})"  # a name beyond ASCII has its xn-- form (RFC 5891)
_HOST_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")


def parse_host_port(text: str) -> tuple[str, int | None]:
    """Host and port of `HOST`, `HOST:PORT`, `[IPv6]:PORT`, `[IPv6]` or a bare IPv6 address; None if no port is named.

    The host comes back in the one form in which hosts are compared: a name in lower case, an IPv6 address compressed
    and without brackets. Raises `SettingsError` for any other text.
    """
    try:
        return _ipv6(text), None
    except ValueError:
        match = _HOST_PORT.fullmatch(text)
    try:
        if not match:
            raise ValueError("neither a host nor a port")
        host = _ipv6(match[1]) if match[1] is not None else _host_name(match[2])
        return host, _port(match[3]) if match[3] is not None else None
    except ValueError:
        raise SettingsError(f"{text[:80]!r} is not HOST, HOST:PORT or [IPv6]:PORT") from None


def show_host_port(host: str, port: int) -> str:
    """`HOST:PORT`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _ipv6(text: str) -> str:
    address = IPv6Address(text)
    if address.scope_id is not None:
        raise ValueError("a zone is a name on one machine only: it cannot be passed on")
    return address.compressed


def _host_name(text: str) -> str:
    if len(text) > MAX_HOST_NAME or not _HOST_NAME.fullmatch(text):
        raise ValueError("no host name")
    return text.lower()


def _port(digits: str) -> int:
    port = int(digits)
    if not 0 < port <= 65535:
        raise ValueError("no port")
    return port
