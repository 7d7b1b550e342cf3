"""Where the page of the server that runs is, and its secret: a file by which programs of this machine find it.

HOME/admin.json, 0600     {"url": "http://127.0.0.1:6780/", "secret": "..."}     while the server runs
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import msgspec

from ..errors import SettingsError
from ..files.home import Home

ADMIN_FILE: Final = "admin.json"


@dataclass(frozen=True, slots=True)
class AdminAddress:
    """Where the page of the server that runs here is, and what opens it."""

    url: str
    secret: str = field(repr=False)

    @property
    def link(self) -> str:
        """What a person opens in a browser, to look and to act: the fragment is sent to nobody."""
        return f"{self.url}#secret={self.secret}"


def write_admin_address(home: Home, address: AdminAddress) -> None:
    """Leave it for programs of this user. Raises `SettingsError`."""
    home.write(ADMIN_FILE, msgspec.json.encode(address).decode() + "\n")


def remove_admin_address(home: Home) -> None:
    """The server is about to end."""
    with suppress(OSError):
        (home.path / ADMIN_FILE).unlink(missing_ok=True)


def admin_address(home: Home) -> AdminAddress | None:
    """What the server that runs with this home has left there; None if none does, or it has no page.

    Raises `SettingsError` for a file that cannot be read, or that others than its owner can read.
    """
    text = home.read_secret(ADMIN_FILE)
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=AdminAddress)
    except msgspec.MsgspecError as wrong:
        path = home.path / ADMIN_FILE
        raise SettingsError(f"{path}: {wrong}; delete it, and start the server again") from None


def known_page(home: Home) -> AdminAddress:
    """The page of the server that runs with `home`. Raises `SettingsError` if there is none."""
    address = admin_address(home)
    if address is None:
        raise SettingsError(f"no server with a page runs with {home.path}: start one, without --admin none")
    return address
