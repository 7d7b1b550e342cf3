"""Whether a TCP port can be listened on, found out while there is still a terminal to say it on."""

from __future__ import annotations

import errno
import socket


def refusal_to_listen(interface: str, number: int) -> OSError | None:
    """Why nobody can listen there; None if we can, or only lack the rights, which may come later (`twistd --uid`)."""
    family = socket.AF_INET6 if ":" in interface else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((interface, number))
            probe.listen(1)
        except OSError as error:
            return None if error.errno == errno.EACCES else error
    return None
