"""A server that listens on the simulated network, and clients that ask it by TLS."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from bittrrt.errors import (
    LinkError,
)
from bittrrt.net.rendezvous_client import Answer, rendezvous
from bittrrt.net.session_opener import check_against
from bittrrt.net.tls import ConnectionCreator
from bittrrt.wire.messages import (
    Open,
)

from .simulated_link import SimulatedLinkTestCase

OPEN = Open(bytes(range(32)))


class RendezvousTestCase(SimulatedLinkTestCase):
    def set_up_network(self, seed: int) -> None:
        super().set_up_network(seed)
        self.factory = self.listen_for_clients()

    def ask_by_tls(self, message: Any = OPEN, **changes: Any) -> Deferred[Answer]:
        """A client's rendezvous; `changes` of its arguments."""
        arguments: dict[str, Any] = {
            "creator": ConnectionCreator(self.client_identity),
            "host": "server.example",
            "port": self.settings.port,
            "check_key": check_against(self.opener().server),
            "make_message": lambda exporter: message,
        }
        return Deferred.fromCoroutine(rendezvous(self.network, **(arguments | changes)))

    def error(self, within: float = 1, **changes: Any) -> LinkError:
        """What a client's rendezvous ends with. Nothing may be left of it."""
        asked = self.ask_by_tls(**changes)
        self.network.run_until(lambda: asked.called, within)
        error = self.failureResultOf(asked).value
        assert isinstance(error, LinkError), repr(error)
        self.assertNotIn("\n", str(error))
        self.network.run_for(1)
        self.assert_nothing_open()
        return error

    def assert_nothing_open(self) -> None:
        self.assertEqual(self.network.streams, set())
        self.assertEqual(self.factory._open.total(), 0)
        self.assertEqual(len(self.network.getDelayedCalls()), 1)  # the server's sweep
        self.assertEqual(self.flushLoggedErrors(), [])

    def server_says(self, answer: object) -> None:
        """Let the server give that answer to whatever it is asked."""
        self.patch(self.server, "open", lambda *_: answer)
        self.patch(self.server, "join", lambda *_: answer)
