"""What people write for a file at a server, and for a rate."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import click

from ..errors import SettingsError
from ..wire.datagram import MAX_MTU, MIN_MTU

_REMOTE: Final = re.compile(r"(\[[^\]/]*\](?::[0-9]{1,5})?|[^:/\[\]]+(?::[0-9]{1,5}(?=:))?):(.*)", re.DOTALL)
_RATE: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)([KMG]?)", re.ASCII | re.IGNORECASE)
_UNITS: Final = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}  # as networks count


@dataclass(frozen=True, slots=True)
class Remote:
    """`HOST:PATH` or `HOST:PORT:PATH`."""

    host: str
    """HOST, HOST:PORT or [IPv6]:PORT."""
    path: str
    """Below what the server shows; empty for all of it. A `/` at its end says that it is a folder."""


def parse_remote(text: str) -> Remote | None:
    """The file or folder at a server that `text` names; None if it is a path here: it has no colon before a slash."""
    match = _REMOTE.fullmatch(text)
    if match is None:
        return None
    path = match[2]
    is_folder = path.endswith("/") or path in (".", "")
    absolute = path.startswith("/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if absolute:
        raise SettingsError(f"{text}: paths at a server begin below what it shares; leave the first / away")
    return Remote(match[1], "/".join(parts) + ("/" if is_folder and parts else ""))


def remote_of(text: str) -> Remote:
    """What `text` names at a server. Raises `SettingsError` if it names none."""
    remote = parse_remote(text)
    if remote is None:
        raise SettingsError(f"{text}: no HOST: before it; say which server, as in HOST:DIR")
    return remote


class Rate(click.ParamType[float]):
    """`20M`: bits a second, as bytes a second."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Bytes a second."""
        match = _RATE.fullmatch(str(value).strip())
        rate = float(match[1]) * _UNITS[match[2].upper()] / 8 if match else 0.0
        if rate < 1:
            self.fail(f"{value!r} is no rate: write bits a second as 500K, 20M or 1G", param, ctx)
        return rate


class Mtu(click.ParamType[int]):
    """`auto`, which is 0, or bytes."""

    name = "mtu"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes of UDP payload in a datagram; 0 to find out."""
        text = str(value).strip()
        if text in ("auto", "0"):
            return 0
        if not text.isascii() or not text.isdigit() or not MIN_MTU <= int(text[:6]) <= MAX_MTU:
            self.fail(f"{value!r} is no size of datagrams: auto, or {MIN_MTU} to {MAX_MTU} bytes", param, ctx)
        return int(text)
