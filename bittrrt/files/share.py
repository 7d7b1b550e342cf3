"""What the clients of a server may see and store: its root, and each client's part of it.

--root DIR                         Shares: one a server
  alice/   folder=alice quota=10G    Share: one a session, opened when it is first used
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import FileError, PermissionRefused, SettingsError
from .rights import Quota, Rights, parse_rights
from .root import Root
from .tree import measure


@dataclass(slots=True)
class _Measured:
    """A folder's quota, and how many sessions use it."""

    quota: Quota
    users: int = 0


class Shares:
    """All that a server shares."""

    def __init__(self, path: Path | None) -> None:
        """`path`: the folder; None, and nothing is shared."""
        self.path = path
        self._lock = threading.Lock()
        self._measured: dict[tuple[str, int], _Measured] = {}

    def of(self, options: Mapping[str, str]) -> Share:
        """What a client may see and store whose line has these options."""
        try:
            return Share(self, parse_rights(options))
        except SettingsError:
            text = "the server cannot read this client's rights; ask its owner to look at authorized_clients"
            return Share(self, Rights(), PermissionRefused(text))

    def take_quota(self, rights: Rights, root: Root) -> Quota:
        """The quota of a folder, the same for all who share it. What is in it is counted first. May block."""
        if rights.quota is None:
            return Quota(None)
        with self._lock:
            key = rights.folder, rights.quota
            if key not in self._measured:
                self._measured[key] = _Measured(Quota(rights.quota, measure(root)))
            self._measured[key].users += 1
            return self._measured[key].quota

    def leave_quota(self, rights: Rights) -> None:
        """A session needs its quota no longer; after the last one, what is in the folder is counted anew."""
        if rights.quota is None:
            return
        with self._lock:
            key = rights.folder, rights.quota
            self._measured[key].users -= 1
            if not self._measured[key].users:
                del self._measured[key]


class Share:
    """One session's part. Any thread may use it."""

    def __init__(self, shares: Shares, rights: Rights, refused: FileError | None = None) -> None:
        """`refused`: why nothing at all is allowed."""
        self.rights = rights
        self._shares = shares
        self._refused = refused
        self._lock = threading.Lock()
        self._opened: tuple[Root, Quota] | None = None
        self._closed = False

    def require_any(self) -> None:
        """Raise `PermissionRefused` if nothing is shared with this client."""
        if self._refused is not None:
            raise self._refused
        if self._shares.path is None:
            raise PermissionRefused("the server shares no files; its owner has to start it with --root DIR")

    def require_read(self) -> None:
        """Raise `PermissionRefused` if this client may not read."""
        self.require_any()
        self.rights.require_read()

    def require_write(self) -> None:
        """Raise `PermissionRefused` if this client may not write."""
        self.require_any()
        self.rights.require_write()

    def root(self) -> Root:
        """The folder that the client sees. May block. Raises a `FileError`."""
        return self._open()[0]

    def quota(self) -> Quota:
        """What it may store there. May block. Raises a `FileError`."""
        return self._open()[1]

    def close(self) -> None:
        """Let it go; again does nothing. May block while it is being opened."""
        with self._lock:
            self._closed = True
            if self._opened is not None:
                self._opened[0].close()
                self._shares.leave_quota(self.rights)
                self._opened = None

    def _open(self) -> tuple[Root, Quota]:
        self.require_any()
        path = self._shares.path
        with self._lock:
            if self._closed or path is None:
                raise PermissionRefused("the session is over")
            if self._opened is None:
                try:
                    root = self._open_folder(path)
                except FileError as error:  # names a path that is the owner's business
                    raise type(error)("the server cannot open its shared folder; ask its owner to look") from None
                self._opened = root, self._shares.take_quota(self.rights, root)
            return self._opened

    def _open_folder(self, path: Path) -> Root:
        with Root(path) as root:
            parts = self.rights.folder.split("/") if self.rights.folder else []
            for depth in range(len(parts)):
                root.make_folder_untrusted("/".join(parts[: depth + 1]))
            return root.locate_folder_untrusted(self.rights.folder)
