"""`--mtu` and `--congestion`: the client says how the server is to send what it fetches."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.errors import MalformedMessage
from bittrrt.net.data_plane import DataPlane
from bittrrt.wire.datagram import MAX_MTU, MIN_MTU
from bittrrt.wire.transfer_messages import (
    Fetch,
    encode_transfer_message,
    parse_transfer_message_untrusted,
)

from .simulated_network import SERVER_HOST
from .simulated_transfers import SimulatedTransfersTestCase

SIZE = 2_000_000  # bytes


class ChoiceTests(SimulatedTransfersTestCase):
    def fetch(self, name: str, **link: Any) -> tuple[str, int]:
        """What the server sent a file by: its congestion control, and its largest datagram in bytes."""
        (self.there / name).write_bytes(bytes(SIZE))
        self.network.sent.clear()
        done = self.begin(self.get(name), **link)
        self.network.run_until((self.here / name).exists, within=30)
        plane: DataPlane | None = self.session.conn.data_plane
        assert plane is not None
        congestion = plane._sending._sender.congestion.name
        self.network.run_until(lambda: done.called, within=30)
        return congestion, max(len(sent.data) for sent in self.network.sent if sent.source[0] == SERVER_HOST)

    def test_the_server_sends_as_the_client_says(self) -> None:
        self.assertEqual(self.fetch("a", congestion="cubic", mtu=1300), ("cubic", 1300))

    def test_it_decides_by_itself_if_the_client_says_nothing(self) -> None:
        self.network.largest = 1452
        self.assertEqual(self.fetch("a")[0], "model")
        self.assertGreaterEqual(self.fetch("b")[1], 1452)

    def test_what_is_being_sent_stays_as_it_is(self) -> None:
        (self.there / "a").write_bytes(bytes(SIZE))
        self.begin(self.get("a"), congestion="cubic", mtu=1300)
        self.network.run_until(lambda: self.server.sessions and self.session.conn.data_plane, within=5)
        plane = self.session.conn.data_plane
        assert plane is not None
        self.network.run_until(lambda: plane._sending.streams, within=5)
        plane.choose_sending("model", 1400)
        self.assertEqual(plane._sending._sender.path_mtu.size, 1300)
        self.network.run_until(lambda: not plane._sending.streams, within=30)
        plane.choose_sending("model", 1400)
        self.assertEqual(plane.max_message, 1400 - 48)


class FetchTests(SynchronousTestCase):
    @given(st.integers())
    def test_a_size_of_datagrams_has_bounds(self, mtu: int) -> None:
        data = encode_transfer_message(Fetch(1, "a", mtu=MIN_MTU)).replace(b"1200", b"%d" % mtu)
        if MIN_MTU <= mtu <= MAX_MTU:
            self.assertEqual(parse_transfer_message_untrusted(data), Fetch(1, "a", mtu=mtu))
        else:
            self.assertRaises(MalformedMessage, parse_transfer_message_untrusted, data)

    def test_a_congestion_control_that_there_is_none_of_is_malformed(self) -> None:
        data = encode_transfer_message(Fetch(1, "a")).replace(b"model", b"rocket")
        self.assertRaises(MalformedMessage, parse_transfer_message_untrusted, data)
