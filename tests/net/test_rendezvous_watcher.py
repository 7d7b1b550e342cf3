"""How far a rendezvous has come, as it is told to who watches it."""

from __future__ import annotations

from typing import Any

from bittrrt.net.session_opener import check_against
from bittrrt.net.tls import TlsTerms

from .simulated_network import CLIENT_HOST, SERVER_HOST
from .simulated_rendezvous import RendezvousTestCase


class RecordingWatcher:
    """Keeps what it is told, with when."""

    def __init__(self, seconds: Any) -> None:
        self._seconds = seconds
        self.told: list[tuple[Any, ...]] = []
        self.times: list[float] = []

    def resolved(self, addresses: list[str]) -> None:
        self.told.append(("resolved", addresses))
        self.times.append(self._seconds())

    def connected(self, here: str, there: str) -> None:
        self.told.append(("connected", here, there))
        self.times.append(self._seconds())

    def secured(self, terms: TlsTerms, fingerprint: str) -> None:
        self.told.append(("secured", terms.version, terms.protocol, fingerprint))
        self.times.append(self._seconds())


class WatcherTests(RendezvousTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.watcher = RecordingWatcher(self.network.seconds)

    def test_one_that_works_is_told_step_by_step(self) -> None:
        asked = self.ask_by_tls(watcher=self.watcher)
        self.network.run_for(1)
        self.successResultOf(asked)
        self.assertEqual(
            self.watcher.told,
            [
                ("resolved", [SERVER_HOST]),
                ("connected", CLIENT_HOST, SERVER_HOST),
                ("secured", "TLSv1.3", "bittrrt/1", self.server_identity.fingerprint),
            ],
        )
        self.assertAlmostEqual(self.watcher.times[1] - self.watcher.times[0], 0.02)

    def test_a_name_without_an_address_is_told_and_nothing_else(self) -> None:
        self.error(host="nowhere.example", watcher=self.watcher)
        self.assertEqual(self.watcher.told, [("resolved", [])])

    def test_a_port_where_nobody_listens_has_an_address_only(self) -> None:
        self.error(port=6000, watcher=self.watcher)
        self.assertEqual(self.watcher.told, [("resolved", [SERVER_HOST])])

    def test_the_key_that_is_refused_is_told_before(self) -> None:
        check_key = check_against(self.opener(pinned=self.client_identity).server)
        self.error(check_key=check_key, watcher=self.watcher)
        self.assertEqual(self.watcher.told[-1][-1], self.server_identity.fingerprint)
