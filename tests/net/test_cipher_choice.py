"""Which cipher a session has: both ends say what they prefer, and the server decides."""

from __future__ import annotations

from typing import Any, get_args

from twisted.internet.defer import Deferred

from bittrrt.link.encryptor import CommEncryptor
from bittrrt.net import server as server_module
from bittrrt.net import session_opener
from bittrrt.wire.messages import CipherName, Open, Welcome

from ..nonce_recorder import RecordedAead
from .simulated_link import EXPORTER, SimulatedLinkTestCase

CIPHERS: tuple[CipherName, ...] = get_args(CipherName)


class CipherChoiceTests(SimulatedLinkTestCase):
    def prefer(self, server: CipherName, client: CipherName) -> None:
        """Start anew, on machines that are good at these."""
        self.patch(server_module, "preferred_cipher", lambda _: server)
        self.patch(session_opener, "preferred_cipher", lambda _: client)
        self.set_up_network(0)

    def close_all(self) -> None:
        closed: Deferred[Any] = self.server.close()
        self.network.run_for(0.1)
        self.successResultOf(closed)
        self.assert_nothing_left()

    def test_aes_is_for_ends_that_both_prefer_it(self) -> None:
        found: dict[tuple[CipherName, CipherName], CipherName] = {}
        for own in CIPHERS:
            for other in CIPHERS:
                self.prefer(own, other)
                message = Open(CommEncryptor().get_public_key(), cipher=other)
                answer = self.server.open(message, self.client_identity.fingerprint, EXPORTER)
                assert isinstance(answer, Welcome)
                found[own, other] = answer.cipher
                self.close_all()
        aes = [ends for ends, cipher in found.items() if cipher == "aes-256-gcm"]
        self.assertEqual(aes, [("aes-256-gcm", "aes-256-gcm")])

    def test_both_ends_seal_with_what_the_server_said(self) -> None:
        for prefers in CIPHERS:
            self.prefer("aes-256-gcm", prefers)
            self.listen_for_clients()
            opening = Deferred.fromCoroutine(self.opener().open(self.observer))
            self.network.run_for(5)
            connection = self.successResultOf(opening)
            self.assertTrue(self.observer.beats[-1].complete)
            for encryptor in (connection.encryptor, *[session.ce for session in self.server.sessions.values()]):
                key: Any = encryptor._send_key
                assert isinstance(key, RecordedAead)
                self.assertEqual(key.name, prefers)
            connection.close()
            self.network.run_for(0.1)
            self.close_all()
