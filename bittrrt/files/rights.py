"""What one client may do with files, and how much it may store.

    read write folder=alice quota=10G       in the client's line of `authorized_clients`

As with SSH, a line without options allows everything, and options narrow it: naming `read` or `write` allows only what
is named, `folder` makes one folder below the server's root all that the client sees, `quota` bounds what is in it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ..errors import NameRefused, PermissionRefused, SettingsError
from .names import parse_name_untrusted

_SIZE: Final = re.compile(r"([0-9]{1,15})([KMGT]?)", re.ASCII)
_UNITS: Final = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}  # as `du -h` and `quota` have them


@dataclass(frozen=True, slots=True)
class Rights:
    """What a client may do."""

    read: bool = True
    """List and get files."""
    write: bool = True
    """Put files and make folders."""
    folder: str = ""
    """The folder below the root that the client sees; empty for the root itself."""
    quota: int | None = None
    """Bytes that there may be in the folder; None without bound."""

    def require_read(self) -> None:
        """Raise `PermissionRefused` for a client that may not read."""
        if not self.read:
            raise PermissionRefused("this client may not read files here; ask the server's owner for the right 'read'")

    def require_write(self) -> None:
        """Raise `PermissionRefused` for a client that may not write."""
        if not self.write:
            raise PermissionRefused(
                "this client may not write files here; ask the server's owner for the right 'write'"
            )


def parse_rights(options: Mapping[str, str]) -> Rights:
    """The rights that the options of a client's line make, values by name; `read` and `write` have the value "".

    Raises `SettingsError` for any other option: a mistyped quota is no quota.
    """
    for name, value in options.items():
        if name not in ("read", "write", "folder", "quota") or bool(value) != (name in ("folder", "quota")):
            raise SettingsError(f"no right: {name}={value}; there are read, write, folder=NAME and quota=SIZE")
    everything = "read" not in options and "write" not in options
    folder = options.get("folder", "")
    if folder:
        try:
            parse_name_untrusted(folder)
        except NameRefused as error:
            raise SettingsError(f"folder={folder!r} is not a folder below the root: {error}") from None
    quota = parse_size(options["quota"]) if "quota" in options else None
    return Rights(everything or "read" in options, everything or "write" in options, folder, quota)


def parse_size(text: str) -> int:
    """Bytes in `500`, `64K`, `100M`, `10G` or `1T`, units of 1024. Raises `SettingsError` for any other text."""
    match = _SIZE.fullmatch(text.upper())
    if not match:
        raise SettingsError(f"no size: {text!r}; write bytes as 500, 64K, 100M, 10G or 1T")
    return int(match[1]) * _UNITS[match[2]]


class Quota:
    """The bytes that may be, and are, in one folder; shared by all sessions that write there, and their threads.

    A file counts in full from the moment that it is offered, so a thousand offers cannot reserve more than there is.
    """

    __slots__ = ("_lock", "limit", "used")

    def __init__(self, limit: int | None, used: int = 0) -> None:
        self._lock = threading.Lock()
        self.limit = limit
        """Bytes, or None without bound."""
        self.used = used
        """Bytes: at first what `tree.measure` found."""

    @property
    def free(self) -> int | None:
        """Bytes that may still be taken, or None without bound."""
        return None if self.limit is None else max(0, self.limit - self.used)

    def take(self, size: int) -> bool:
        """Count `size` bytes more, or fewer if it is negative; False, and nothing counted, if they are too many."""
        with self._lock:
            if size > 0 and self.limit is not None and self.used + size > self.limit:
                return False
            self.used += size
            return True

    def give(self, size: int) -> None:
        """Count `size` bytes no longer."""
        with self._lock:
            self.used = max(0, self.used - size)
