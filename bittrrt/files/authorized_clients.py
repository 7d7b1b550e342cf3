"""The clients that this server lets in, by the fingerprints of their keys.

    SHA256:<43 characters> NAME [option ...]          a key a line
    @revoked SHA256:<43 characters> NAME [...]          this key is not let in any more, whatever other lines say
    # anything                                          kept, as blank lines are

NAME is for people, and may come from the client. An option is `read`, `write` or `key=value`, see
`rights`. Those that this version does not know are kept as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from ..errors import LinkError, SettingsError
from ..wire.fingerprint import PREFIX, parse_fingerprint
from .home import Home, Signature

FILE_NAME: Final = "authorized_clients"
MAX_NAME: Final = 64  # characters: a hostile client chooses its name, and it has to fit a line of a terminal
MAX_SHOWN: Final = 8  # clients that an error message lists
BARE_OPTIONS: Final = ("read", "write")
REVOKED: Final = "@revoked"  # the mark that SSH's known_hosts has

_OUTDATED: Final[Signature] = (0, 0, 0)  # of no file, so that whatever is there, or nothing, counts as changed


@dataclass(frozen=True, slots=True)
class AuthorizedClient:
    """One client's line."""

    fingerprint: str
    """Of its key: `SHA256:...`."""
    name: str
    """For people; two clients may have the same."""
    revoked: bool = False
    """It was let in once, and is not any more."""
    options: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What else its line says; of `read` and `write`, the value is empty."""

    def __str__(self) -> str:
        options = [
            key if key in BARE_OPTIONS and not value else f"{key}={value}" for key, value in self.options.items()
        ]
        return " ".join([*([REVOKED] if self.revoked else []), self.fingerprint, self.name, *options])


def valid_name(text: str) -> bool:
    """Whether `text` can be a client's name: 1 to 64 characters, all printable and none of them white space.

    Nothing can be printable that moves the cursor or turns the direction of writing. What looks like a fingerprint is
    no name, so that one client cannot be called by the fingerprint of another.
    """
    return 0 < len(text) <= MAX_NAME and text.isprintable() and " " not in text and not text.startswith(PREFIX)


class AuthorizedClients:
    """The file `authorized_clients`, kept in memory: look-ups read no disk, and `refresh` reads it when it changed."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._signature: Signature | None = None
        self._clients: dict[str, AuthorizedClient] = {}
        self._problems: list[str] = []
        self.refresh()

    @property
    def path(self) -> Path:
        """The file's."""
        return self._home.path / FILE_NAME

    def refresh(self) -> bool:
        """Read the file if it was changed, by whomever, since the last time; True if it was.

        Raises `SettingsError` if it cannot be read: what was known stays.
        """
        signature = self._home.signature(FILE_NAME)
        if signature == self._signature:
            return False
        self._take(self._home.read_lines(FILE_NAME))
        self._signature = signature  # from before reading: a change in between is seen the next time
        return True

    def clients(self) -> list[AuthorizedClient]:
        """Every client, the revoked ones too, in the order of the file."""
        return list(self._clients.values())

    def lookup(self, fingerprint: str) -> AuthorizedClient | None:
        """The client with that key, which may be revoked; None if there is none. From memory."""
        return self._clients.get(fingerprint)

    def problems(self) -> list[str]:
        """One line for a person about every line of the file that is not used."""
        return list(self._problems)

    def authorize(self, fingerprint: str, name: str) -> AuthorizedClient:
        """Let this key in from now on. A line that it has, revoked or not, is replaced; its options stay.

        Raises `SettingsError` for a text that is no fingerprint or no name, and if the file cannot be written.
        """
        fingerprint = parse_fingerprint(fingerprint)
        if not valid_name(name):
            raise SettingsError(f"{name[:MAX_NAME]!r} is no name: it takes 1 to {MAX_NAME} characters without spaces")
        with self._home.locked():
            lines = self._reread()
            known = self.lookup(fingerprint)
            client = AuthorizedClient(fingerprint, name, options=known.options if known else {})
            self._write(lines, client)
        return client

    def revoke(self, name_or_fingerprint: str) -> AuthorizedClient:
        """Let a client in no more, and return it. Its line stays, marked; one that is revoked already stays so.

        Raises `LinkError` if none or several have that name, with what there is to choose from.
        """
        with self._home.locked():
            lines = self._reread()
            found = self._choose(name_or_fingerprint)
            client = AuthorizedClient(found.fingerprint, found.name, revoked=True, options=found.options)
            if client != found:
                self._write(lines, client)
        return client

    def _choose(self, name_or_fingerprint: str) -> AuthorizedClient:
        if name_or_fingerprint.startswith(PREFIX):
            client = self.lookup(parse_fingerprint(name_or_fingerprint))
            found = [client] if client else []
        else:
            named = [client for client in self.clients() if client.name == name_or_fingerprint]
            found = [client for client in named if not client.revoked] or named[:1]
        if len(found) == 1:
            return found[0]
        if found:
            raise LinkError(f"{len(found)} clients have that name, say which by its fingerprint: {_listed(found)}")
        unrevoked = [client for client in self.clients() if not client.revoked]
        among = f"the clients are: {_listed(unrevoked)}" if unrevoked else "no client is let in here"
        raise LinkError(f"there is no client {name_or_fingerprint[:MAX_NAME]!r}; {among}")

    def _reread(self) -> list[str]:
        lines = self._home.read_lines(FILE_NAME)
        self._take(lines)
        self._signature = _OUTDATED
        return lines

    def _write(self, lines: list[str], client: AuthorizedClient) -> None:
        """Put the client's line where its key's first line is, or at the end, and drop other lines of its key."""
        kept: list[str] = []
        placed = False
        for line in lines:
            if _fingerprint_in(line) != client.fingerprint:
                kept.append(line)
            elif not placed:
                kept.append(str(client))
                placed = True
        if not placed:
            kept.append(str(client))
        self._home.write_lines(FILE_NAME, kept)
        self._take(kept)

    def _take(self, lines: list[str]) -> None:
        """Know what the lines say. Whatever is wrong with a line, a key marked as revoked on it is revoked."""
        clients: dict[str, AuthorizedClient] = {}
        problems: list[str] = []
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            try:
                client = _parse_client(line)
            except SettingsError as error:
                problems.append(f"{self.path} line {number} is not used: {error}")
                continue
            if client.fingerprint not in clients:
                clients[client.fingerprint] = client
                continue
            counts = "counts, as it revokes" if client.revoked else "is not used"
            problems.append(f"{self.path} line {number} {counts}: an earlier line has the same key")
            if client.revoked:
                clients[client.fingerprint] = client
        self._clients, self._problems = clients, problems


def _parse_client(line: str) -> AuthorizedClient:
    words = line.split()
    revoked = words[0] == REVOKED
    words = words[1:] if revoked else words
    fingerprint = parse_fingerprint(words[0]) if words else ""
    name = words[1] if len(words) > 1 else ""
    pairs = [word.partition("=") for word in words[2:]]
    options = {key: value for key, equals, value in pairs if key and (equals or key in BARE_OPTIONS)}
    if not fingerprint:
        raise SettingsError("it names no key")
    if not revoked and not valid_name(name):
        raise SettingsError("the key has no name after it")
    if not revoked and len(options) != len(pairs):
        raise SettingsError("what follows the name is not read, write or key=value, each once")
    return AuthorizedClient(fingerprint, name if valid_name(name) else "?", revoked, MappingProxyType(options))


def _fingerprint_in(line: str) -> str | None:
    """The key that a line is about, also of a line that is not used; None if it names none."""
    words = line.split()
    at = 1 if words[:1] == [REVOKED] else 0
    try:
        return parse_fingerprint(words[at])
    except (IndexError, SettingsError):
        return None


def _listed(clients: list[AuthorizedClient]) -> str:
    shown = ", ".join([f"{client.name} {client.fingerprint}" for client in clients[:MAX_SHOWN]])
    return f"{shown} and {len(clients) - MAX_SHOWN} more" if len(clients) > MAX_SHOWN else shown
