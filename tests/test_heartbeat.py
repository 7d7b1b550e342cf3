"""The heartbeat from one end to the other, as the seed has it: encryption with flags, the flags after decryption, the
server's answers with their times, `echo` counting down, and the channel in 3 bytes.

Runs alone too: `python3 tests/test_heartbeat.py`.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from unittest import TextTestRunner, main

if __name__ == "__main__":  # from a checkout, wherever it is called from
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from twisted.trial import unittest

from bittrrt import CommEncryptor, CtrlHandler, DnHandler, MsgFlags, PortHandler, UpHandler
from bittrrt.link.peer_address import Address
from bittrrt.net.clock import Clock

URGENT_HEARTBEAT = (1 << MsgFlags.URGENT.value) | (1 << MsgFlags.HEARTBEAT.value)
CLIENT_MS = 1_700_000_000_000
CLIENT = ("192.0.2.1", 5000)


def agreed_pair() -> tuple[CommEncryptor, CommEncryptor]:
    """A client's and a server's encryptor after the exchange."""
    client, server = CommEncryptor(), CommEncryptor()
    client.derive_shared_secret(server.get_public_key())
    server.derive_shared_secret(client.get_public_key())
    return client, server


class FakeTransport:
    """Keeps what was written."""

    def __init__(self) -> None:
        self.written: list[tuple[bytes, Address]] = []

    def write(self, datagram: bytes, addr: Address) -> None:
        self.written.append((datagram, addr))


class ServerPort:
    """One of the server's ports, on a fake transport and a clock that is set by hand."""

    def __init__(self, handler_class: type[PortHandler], encryptor: CommEncryptor | None) -> None:
        self.monotonic = 0.0
        self.wall_ms = CLIENT_MS + 5
        self.transport = FakeTransport()
        clock = Clock(monotonic=lambda: self.monotonic, wall_ms=lambda: self.wall_ms)
        self.handler = handler_class({}, encryptor, clock=clock)
        self.handler.transport = self.transport

    def receive(self, datagram: bytes, address: Address = CLIENT) -> list[tuple[bytes, Address]]:
        """What is written when `datagram` comes in."""
        self.transport.written.clear()
        self.handler.datagramReceived(datagram, address)
        return list(self.transport.written)


class EncryptionTests(unittest.SynchronousTestCase):
    """The heartbeat's datagram."""

    def setUp(self) -> None:
        self.client, self.server = agreed_pair()

    def test_a_heartbeat_is_encrypted_with_urgent_and_heartbeat_flags(self) -> None:
        payload = f"client_ts3={CLIENT_MS} echo=2".encode()
        encrypted = self.client.encrypt(payload, flags=URGENT_HEARTBEAT, channel=1, sequence=100, offset=0)
        self.assertEqual(URGENT_HEARTBEAT, 3)
        self.assertEqual(len(encrypted), len(payload) + 48)
        self.assertNotIn(b"client_ts3", encrypted)
        self.assertEqual(self.server.decrypt(encrypted), (3, 1, 100, 0, payload))

    def test_flags_are_checked_after_decryption(self) -> None:
        for flag in MsgFlags:
            flags = self.server.decrypt(self.client.encrypt(b"", flags=1 << flag.value))[0]
            self.assertEqual([other for other in MsgFlags if flags & (1 << other.value)], [flag])

    def test_every_3_byte_channel_survives(self) -> None:
        for channel in (0, 1, 255, 256, 65_535, 65_536, 0x123456, 16_777_215):
            self.assertEqual(self.server.decrypt(self.client.encrypt(b"", channel=channel))[1], channel)

    def test_a_channel_beyond_3_bytes_is_refused(self) -> None:
        for channel in (-1, 16_777_216, 2**32):
            with self.assertRaises(ValueError):
                self.client.encrypt(b"", channel=channel)


class AnswerTests(unittest.SynchronousTestCase):
    """The server's answers, from the handlers of all three ports."""

    def setUp(self) -> None:
        self.client, self.server = agreed_pair()
        self.sequence = 0

    def seal(self, text: bytes, flags: int = URGENT_HEARTBEAT, channel: int = 1) -> bytes:
        self.sequence += 1
        return self.client.encrypt(text, flags=flags, channel=channel, sequence=self.sequence)

    def test_the_countdown_is_byte_for_byte_the_seeds_on_every_port(self) -> None:
        for handler_class in (CtrlHandler, UpHandler, DnHandler):
            self.setUp()
            port = ServerPort(handler_class, self.server)
            ((answer, address),) = port.receive(self.seal(b"client_ts3=%d echo=2" % CLIENT_MS))
            flags, channel, _, _, text = self.client.decrypt(answer)
            self.assertEqual((flags, channel, address), (3, 1, CLIENT))
            self.assertEqual(text, b"client_ts3=1700000000000 echo=1 server_ts2=1700000000005")
            port.wall_ms += 40
            port.monotonic += 0.04
            ((answer, _),) = port.receive(self.seal(text))
            flags, channel, _, _, text = self.client.decrypt(answer)
            self.assertEqual((flags, channel), (3, 1))
            self.assertEqual(text, b"client_ts3=1700000000000 echo=0 server_ts2=1700000000005 server_ts1=1700000000045")
            self.assertEqual(port.receive(self.seal(text)), [])  # echo=0 is never answered
            self.assertAlmostEqual(port.handler.path.report(port.monotonic).last or 0, 0.04)

    def test_answers_have_their_own_ascending_sequences(self) -> None:
        port = ServerPort(CtrlHandler, self.server)
        sequences = []
        for number in range(5):
            ((answer, _),) = port.receive(self.seal(b"client_ts3=%d echo=2" % number))
            sequences.append(self.client.decrypt(answer)[2])
        self.assertEqual(sequences, list(range(5)))

    def test_pairs_that_the_server_does_not_know_come_back(self) -> None:
        ((answer, _),) = ServerPort(UpHandler, self.server).receive(self.seal(b"client_ts3=7 mode=fast echo=2"))
        text = self.client.decrypt(answer)[4]
        self.assertEqual(text, b"client_ts3=7 mode=fast echo=1 server_ts2=1700000000005")

    def test_a_malformed_text_is_counted_and_not_answered(self) -> None:
        port = ServerPort(CtrlHandler, self.server)
        for text in (b"", b"echo=2", b"client_ts3=x echo=2", b"client_ts3=7 echo=3", b"\xff" * 100):
            self.assertEqual(port.receive(self.seal(text)), [])
        self.assertEqual(port.handler.counters.malformed, 5)

    def test_what_is_not_authentic_is_never_answered(self) -> None:
        port = ServerPort(CtrlHandler, self.server)
        heartbeat = self.seal(b"client_ts3=7 echo=2")
        stranger = agreed_pair()[0].encrypt(b"client_ts3=7 echo=2", flags=3)
        for datagram in (b"", b"client_ts3=7 echo=2", heartbeat[:-1], struct.pack(">I", 9) + heartbeat[4:], stranger):
            self.assertEqual(port.receive(datagram), [])
        self.assertEqual(port.handler.counters.dropped, 5)
        self.assertIsNone(port.handler.path.last_heard)
        self.assertEqual(len(port.receive(heartbeat)), 1)
        self.assertEqual(port.receive(heartbeat), [])  # replayed
        self.assertEqual(port.handler.counters.replayed, 1)

    def test_without_the_heartbeat_flag_it_is_no_heartbeat(self) -> None:
        port = ServerPort(CtrlHandler, self.server)
        self.assertEqual(port.receive(self.seal(b"client_ts3=7 echo=2", flags=1 << MsgFlags.URGENT.value)), [])
        self.assertEqual(port.handler.counters.unexpected, 1)

    def test_a_program_that_decrypts_by_itself_may_hand_the_heartbeat_in(self) -> None:
        port = ServerPort(CtrlHandler, self.server)
        flags, channel, sequence, offset, payload = self.server.decrypt(self.seal(b"client_ts3=7 echo=2"))
        port.handler.handle_heartbeat(payload, CLIENT, flags, channel, sequence, offset)
        ((answer, address),) = port.transport.written
        self.assertEqual(address, CLIENT)
        self.assertEqual(self.client.decrypt(answer)[4], b"client_ts3=7 echo=1 server_ts2=1700000000005")

    def test_without_an_encryptor_datagrams_are_counted_and_never_answered(self) -> None:
        port = ServerPort(CtrlHandler, None)
        self.assertEqual(port.receive(b"client_ts3=7 echo=2"), [])
        port.handler.handle_heartbeat(b"client_ts3=7 echo=2", CLIENT, 3, 0, 0, 0)
        self.assertEqual(port.transport.written, [])
        self.assertEqual(port.handler.counters.received, 1)


if __name__ == "__main__":
    main(testRunner=TextTestRunner(descriptions=False, verbosity=2))
