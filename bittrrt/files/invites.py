"""The links that this server gave out. Each lets in one client, once, until it expires.

    VERIFIER expires=<seconds since 1970> name=<NAME>              the owner's name for who will come, may be empty
    @used VERIFIER expires=<seconds since 1970> name=<NAME>

VERIFIER is the public key of the link's token (see `bittrrt.wire.invite`): the token itself is nowhere on the disk.
A line is kept for a day after its end, so that who comes late is told why. Lines that are no invite are kept too.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ..errors import InviteExpired, InviteRejected, InviteUsed, SettingsError
from ..wire.invite import new_token, verifier_of
from .authorized_clients import valid_name
from .home import Home

FILE_NAME: Final = "invites"
MAX_OPEN: Final = 1000  # each is a way in: nobody can watch over more
MAX_LIFETIME: Final = 366 * 86_400.0  # seconds
KEPT_AFTER_END: Final = 86_400  # seconds

_LINE: Final = re.compile(r"(@used )?([A-Za-z0-9_-]{43}) expires=([0-9]{1,15}) name=(\S*)")


@dataclass(frozen=True, slots=True)
class _Invite:
    verifier: str
    expires: int
    name: str
    used: bool

    def __str__(self) -> str:
        return f"{'@used ' if self.used else ''}{self.verifier} expires={self.expires} name={self.name}"

    def is_open(self, now: float) -> bool:
        return not self.used and now < self.expires


class Invites:
    """The file `invites`. Every `now` is wall-clock time, seconds since 1970: a link outlives the server's process."""

    def __init__(self, home: Home) -> None:
        self._home = home

    @property
    def path(self) -> Path:
        """The file's."""
        return self._home.path / FILE_NAME

    def make(self, name: str, lifetime: float, now: float, random_bytes: Callable[[int], bytes] = os.urandom) -> bytes:
        """The token of a new link that works for `lifetime` seconds. `name` is for its client, empty to leave it open.

        Raises `SettingsError` for a name or lifetime that cannot be, if too many links are open, and if the file cannot
        be written.
        """
        if name and not valid_name(name):
            raise SettingsError(f"{name[:64]!r} is no name: it takes 1 to 64 characters without spaces")
        if not 0 < lifetime <= MAX_LIFETIME:
            raise SettingsError(f"a link cannot live {lifetime:g} s: more than 0, and at most {MAX_LIFETIME:.0f}")
        token = new_token(random_bytes)
        made = _Invite(verifier_of(token), math.ceil(now + lifetime), name, used=False)
        with self._home.locked():
            lines = [line for line in self._home.read_lines(FILE_NAME) if not _is_long_over(line, now)]
            if sum(invite.is_open(now) for invite in map(_parse_invite, lines) if invite) >= MAX_OPEN:
                raise SettingsError(
                    f"{MAX_OPEN} links are open: wait until some expire, or delete lines in {self.path}"
                )
            self._home.write_lines(FILE_NAME, [*lines, str(made)])
        return token

    def redeem(self, verifier: str, now: float, let_in: Callable[[str], object]) -> str:
        """Use the link up whose token makes `verifier`, and return the name that the owner gave it, empty if none.

        `let_in` is told that name, and writes down who came, in the same home: both are on disk on return, or neither.
        The caller has checked the proof. Raises `InviteUsed`, `InviteExpired`, or `InviteRejected` for one that is not
        known, and `SettingsError` if one of the files cannot be written: it is not used then.
        """
        with self._home.together():
            lines = self._home.read_lines(FILE_NAME)
            invites = list(map(_parse_invite, lines))
            found = [invite for invite in invites if invite and invite.verifier == verifier]
            if not found:
                raise InviteRejected(
                    "this server does not know this link: ask its owner for a new one (bittrrt invite)"
                )
            if any(invite.used for invite in found):
                raise InviteUsed("this link was used already: ask for a new one (bittrrt invite), each works once")
            invite = found[0]
            if not invite.is_open(now):
                raise InviteExpired("this link has expired: ask for a new one (bittrrt invite)")
            lines[invites.index(invite)] = str(replace(invite, used=True))
            self._home.write_lines(FILE_NAME, lines)  # first: a kill in between spends it, and lets nobody in
            let_in(invite.name)
        return invite.name


def _parse_invite(line: str) -> _Invite | None:
    """The invite on a line of the file; None if it is none, which lets nobody in."""
    match = _LINE.fullmatch(line)
    return _Invite(match[2], int(match[3]), match[4], used=bool(match[1])) if match else None


def _is_long_over(line: str, now: float) -> bool:
    invite = _parse_invite(line)
    return invite is not None and now > invite.expires + KEPT_AFTER_END
