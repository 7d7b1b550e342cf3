"""A TCP connection that is begun before there is anything to use it: its SYN travels while the rest is imported.

BegunConnection --look-up in a thread, if it is a name--> connect ==SYN==> ... imports ... take --> connecting.py

Nothing of Twisted is imported here: that alone takes longer than most round trips.
"""

from __future__ import annotations

import errno
import socket
import threading
from typing import Any, Final, NamedTuple

from .clock import SYSTEM_CLOCK, Clock

HELD_FOR: Final = 2.0  # seconds; a server ends what says nothing for 5, and there is TLS to come

_ON_THE_WAY: Final = frozenset({0, errno.EINPROGRESS})  # what connect_ex says of an attempt that may succeed
_NOTHING_YET: Final = frozenset({errno.EAGAIN, errno.ENOTCONN})  # what recv says then; Linux the one, BSD the other


class Begun(NamedTuple):
    """A connection that goes to its new owner, who closes its socket."""

    socket: socket.socket
    address: str
    """The server's IP address."""
    port: int
    settled: bool
    """Whether no other address is worth a try: it is connected, or the only one."""


class BegunConnection:
    """One attempt to connect. What goes wrong is no error here: who finds nothing connects anew, and is told."""

    def __init__(self, host: str, port: int, clock: Clock = SYSTEM_CLOCK) -> None:
        """`host`: a name or an address, as `parse_host_port` gives it.

        A look-up may take seconds, and cannot be stopped: its thread is left to itself, and begins nothing then.
        """
        self._clock = clock
        self._began = clock.monotonic()
        self._lock = threading.Lock()
        self._begun: Begun | None = None
        self._over = False
        name = host.encode("ascii")  # as bytes: a str would import a codec first, 3 ms
        try:
            self._connect(_look_up(name, port, socket.AI_NUMERICHOST))
        except OSError:
            threading.Thread(target=self._connect_by_name, args=(name, port), daemon=True).start()

    def _connect_by_name(self, name: bytes, port: int) -> None:
        try:
            found = _look_up(name, port)
        except OSError:
            return
        with self._lock:
            if not self._over:
                self._connect(found)

    def _connect(self, found: list[Any]) -> None:
        """Begin with the first address that there is a way to."""
        for family, kind, protocol, _, address in found:
            try:
                attempt = socket.socket(family, kind, protocol)
            except OSError:  # no IPv6 here, or no descriptor left
                continue
            attempt.setblocking(False)
            if attempt.connect_ex(address) in _ON_THE_WAY:  # the SYN has left
                self._begun = Begun(attempt, address[0], address[1], len(found) == 1)
                return
            attempt.close()

    def take(self) -> Begun | None:
        """The connection, if there is one that has neither failed nor grown old. It is given away once."""
        with self._lock:
            self._over = True
            begun, self._begun = self._begun, None
        if begun is None:
            return None
        if self._clock.monotonic() - self._began > HELD_FOR or _has_ended(begun.socket):
            begun.socket.close()
            return None
        return begun._replace(settled=begun.settled or _is_connected(begun.socket))

    def close(self) -> None:
        """Give it up, if nobody took it."""
        begun = self.take()
        if begun is not None:
            begun.socket.close()


def _look_up(name: bytes, port: int, flags: int = 0) -> list[Any]:
    """What `getaddrinfo` finds for TCP, each once: a name may stand in a hosts file twice."""
    return list(dict.fromkeys(socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=flags)))


def _has_ended(attempt: socket.socket) -> bool:
    """Whether it was refused, reset, or closed by the server, which says nothing before it is spoken to."""
    try:
        return not attempt.recv(1, socket.MSG_PEEK)
    except OSError as error:
        return error.errno not in _NOTHING_YET


def _is_connected(attempt: socket.socket) -> bool:
    try:
        attempt.getpeername()
    except OSError:
        return False
    return True
