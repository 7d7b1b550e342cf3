"""The servers that this end has joined, and the one key that it takes each of them by.

    HOST:PORT SHA256:<43 characters>        a server a line; an IPv6 address in brackets
    # anything                              kept, as blank lines are

If a server stands there twice, its first line counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import ServerKeyChanged, ServerUnknown, SettingsError
from ..settings import DEFAULT_PORT
from ..wire.endpoint import parse_host_port, show_host_port
from ..wire.fingerprint import parse_fingerprint
from .home import Home

FILE_NAME: Final = "known_servers"


@dataclass(frozen=True, slots=True)
class KnownServer:
    """One server's pin."""

    host: str
    """Name in lower case, or address, an IPv6 address without brackets."""
    port: int
    """TCP port of its rendezvous."""
    fingerprint: str
    """Of its key: `SHA256:...`."""
    line: int
    """Where it is pinned: a line of the file, from 1."""
    path: Path = Path(FILE_NAME)
    """The file."""

    def __str__(self) -> str:
        return f"{show_host_port(self.host, self.port)} {self.fingerprint}"


def key_changed_error(server: KnownServer, shown: str) -> ServerKeyChanged:
    """The error for a server that showed a key whose fingerprint is `shown`, and not the one pinned for it."""
    return ServerKeyChanged(
        f"the key of {show_host_port(server.host, server.port)} ({shown}) is not the one pinned in {server.path} "
        f"line {server.line}: this can be an attack, or the server was set up anew; ask its owner, and only if they "
        "confirm it delete that line and join with a new link"
    )


class KnownServers:
    """The file `known_servers`. It is read anew at every call: a client looks a server up once a connection."""

    def __init__(self, home: Home) -> None:
        self._home = home

    @property
    def path(self) -> Path:
        """The file's."""
        return self._home.path / FILE_NAME

    def servers(self) -> list[KnownServer]:
        """Every pin, in the order of the file. Lines that cannot be read are left out: see `problems`."""
        return self._parse(self._home.read_lines(FILE_NAME))[0]

    def problems(self) -> list[str]:
        """One line for a person about every line of the file that cannot be read."""
        return self._parse(self._home.read_lines(FILE_NAME))[1]

    def lookup(self, host: str, port: int) -> KnownServer | None:
        """The pin of that server, None if it was never joined. Raises `SettingsError` if `host` is no host."""
        return _find(self.servers(), _host(host), port)

    def resolve(self, text: str) -> KnownServer:
        """The server that a person means by HOST, HOST:PORT, [IPv6]:PORT or an IPv6 address.

        Without a port it is the one on the default port, or else the only one of that host. Raises `ServerUnknown` if
        there is none, or more than one, and `SettingsError` if the text is none of these.
        """
        host, port = parse_host_port(text)
        of_host = [server for server in self.servers() if server.host == host]
        server = _find(of_host, host, DEFAULT_PORT if port is None else port)
        if server is not None:
            return server
        ports = sorted({server.port for server in of_host})
        if port is None and len(ports) == 1:
            return of_host[0]
        if port is None and ports:
            examples = ", ".join([show_host_port(host, port) for port in ports])
            raise ServerUnknown(f"{host} is known here on {len(ports)} ports: say which, as one of {examples}")
        raise ServerUnknown(
            f"{text} is not known here: ask its owner for a link (bittrrt invite), then run: bittrrt join LINK"
        )

    def pin(self, host: str, port: int, fingerprint: str) -> None:
        """Take this server by this key from now on; the same pin again changes nothing.

        Raises `ServerKeyChanged` if it is pinned by another key, and `SettingsError` if the file cannot be written.
        """
        host, fingerprint = _host(host), parse_fingerprint(fingerprint)
        with self._home.locked():
            lines = self._home.read_lines(FILE_NAME)
            pinned = _find(self._parse(lines)[0], host, port)
            if pinned is None:
                self._home.write_lines(FILE_NAME, [*lines, f"{show_host_port(host, port)} {fingerprint}"])
            elif pinned.fingerprint != fingerprint:
                raise key_changed_error(pinned, fingerprint)

    def _parse(self, lines: list[str]) -> tuple[list[KnownServer], list[str]]:
        servers: list[KnownServer] = []
        problems: list[str] = []
        for number, line in enumerate(lines, 1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            try:
                if len(words) != 2:
                    raise SettingsError("not HOST:PORT and a fingerprint")
                host, port = parse_host_port(words[0])
                if port is None:
                    raise SettingsError("it names no port")
                servers.append(KnownServer(host, port, parse_fingerprint(words[1]), number, self.path))
            except SettingsError as error:
                problems.append(f"{self.path} line {number} is not used: {error}")
        return servers, problems


def _host(text: str) -> str:
    host, port = parse_host_port(text)
    if port is not None:
        raise SettingsError(f"{text!r} is a host and a port, not a host")
    return host


def _find(servers: list[KnownServer], host: str, port: int) -> KnownServer | None:
    return next((server for server in servers if (server.host, server.port) == (host, port)), None)
