"""The handlers alone: with a transport and an encryptor, and nothing else of BittrRt."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, product
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.encryptor import CommEncryptor
from bittrrt.link.link import Link
from bittrrt.link.peer_address import AMPLIFICATION_LIMIT, Address
from bittrrt.net.clock import Clock
from bittrrt.net.handlers import ClientPortHandler, CtrlHandler, DnHandler, PortHandler, UpHandler
from bittrrt.settings import Settings
from bittrrt.wire.datagram import BINARY, DATA, HEARTBEAT_FLAGS, OVERHEAD, Opened, PortType, Run
from bittrrt.wire.heartbeat import Heartbeat

from .fake_transport import FakeTransport

CLIENT = ("198.51.100.7", 40_001)
ELSEWHERE = ("203.0.113.5", 50_001)
SERVER_MS = 1_700_000_000_123


class FakeListener:
    """A session that keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[Opened] = []
        self.plain: list[tuple[bytes, Address]] = []
        self.found: list[Address | None] = []
        self.answers: list[tuple[int, float]] = []

    def message_received(self, handler: PortHandler, opened: Opened) -> None:
        self.messages.append(opened)

    def burst_received(self, handler: PortHandler, runs: list[Run], now: float) -> None:
        self.runs = runs

    def plain_received(self, handler: PortHandler, datagram: bytes, address: Address) -> None:
        self.plain.append((datagram, address))

    def peer_found(self, handler: PortHandler) -> None:
        self.found.append(handler.peer.address)

    def heartbeat_answered(self, handler: ClientPortHandler, heartbeat: Heartbeat, round_trip: float) -> None:
        self.answers.append((heartbeat.echo, round_trip))


def agreed_pair() -> tuple[CommEncryptor, CommEncryptor]:
    """Two encryptors that have swapped their keys."""
    one, other = CommEncryptor(), CommEncryptor()
    one.derive_shared_secret(other.get_public_key())
    other.derive_shared_secret(one.get_public_key())
    return one, other


class HandlerTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.client, server = agreed_pair()
        self.now = 100.0
        self.clock = Clock(lambda: self.now, lambda: SERVER_MS)
        self.listener = FakeListener()
        self.handler: PortHandler = UpHandler({}, server, listener=self.listener, clock=self.clock)
        self.transport = self.handler.transport = FakeTransport()
        self.sequences: Iterator[int] = count()

    def seal(self, payload: bytes, flags: int = HEARTBEAT_FLAGS, channel: int = 0) -> bytes:
        return self.client.encrypt(payload, b"", flags, channel, next(self.sequences))

    def receive(self, payload: bytes, addr: Address = CLIENT, flags: int = HEARTBEAT_FLAGS, channel: int = 0) -> None:
        self.handler.datagramReceived(self.seal(payload, flags, channel), addr)

    def answer(self) -> tuple[int, int, bytes, Address]:
        """Flags, channel, payload and destination of the one thing that was written since the last call."""
        ((datagram, addr),) = self.transport.written
        self.transport.written.clear()
        flags, channel, _, _, payload = self.client.decrypt(datagram)
        return flags, channel, payload, addr

    def counted(self) -> dict[str, int]:
        """Every counter that is not 0."""
        return {name: number for name, number in self.handler.counters.as_dict().items() if number}


class CountdownTests(HandlerTestCase):
    """The seed's heartbeat, byte for byte."""

    def test_the_countdown(self) -> None:
        self.receive(b"client_ts3=1700000000000 echo=2")
        first = b"client_ts3=1700000000000 echo=1 server_ts2=1700000000123"
        self.assertEqual(self.answer(), (3, 0, first, CLIENT))
        self.receive(first)
        second = b"client_ts3=1700000000000 echo=0 server_ts2=1700000000123 server_ts1=1700000000123"
        self.assertEqual(self.answer(), (3, 0, second, CLIENT))

    def test_it_is_the_same_on_all_three_ports_and_for_every_kind_of_configuration(self) -> None:
        kinds: tuple[type[CtrlHandler | UpHandler | DnHandler], ...] = (CtrlHandler, UpHandler, DnHandler)
        for make, config in product(kinds, ({}, {"other": 1}, None, Settings())):
            self.client, server = agreed_pair()
            handler = make(config, server)
            handler.transport = self.transport
            handler.datagramReceived(self.seal(b"client_ts3=1 echo=2"), CLIENT)
            flags, _, payload, _ = self.answer()
            self.assertEqual(flags, 3)
            self.assertRegex(payload, rb"^client_ts3=1 echo=1 server_ts2=1[0-9]{12}$")

    def test_the_three_handlers_are_of_three_ports(self) -> None:
        self.assertEqual([h({}).port_type for h in (CtrlHandler, UpHandler, DnHandler)], list(PortType))

    def test_the_answer_comes_on_the_channel_of_the_question(self) -> None:
        self.receive(b"client_ts3=1 echo=2", channel=0xABCDEF)
        self.assertEqual(self.answer()[1], 0xABCDEF)

    def test_echo_0_is_not_answered(self) -> None:
        self.receive(b"client_ts3=1 echo=0 server_ts2=2 server_ts1=3")
        self.assertEqual(self.transport.written, [])
        self.assertEqual(self.handler.counters.malformed, 0)

    def test_echo_3_is_not_answered_and_counted(self) -> None:
        self.receive(b"client_ts3=1 echo=3")
        self.assertEqual(self.transport.written, [])
        self.assertEqual(self.handler.counters.malformed, 1)

    def test_what_is_malformed_is_counted_and_not_answered(self) -> None:
        texts = [b"", b"echo=2", b"client_ts3=1", b"client_ts3=x echo=2", b"client_ts3=1 echo=-1", b"\xff\x00"]
        texts += [b"client_ts3=1 echo=2 echo=2", b"client_ts3=1 echo=2\n", b"client_ts3=1  echo=2", b"x" * 513]
        for text in texts:
            self.receive(text)
        self.assertEqual(self.transport.written, [])
        self.assertEqual(self.handler.counters.malformed, len(texts))

    def test_other_peoples_pairs_are_carried_back_unchanged_and_in_their_order(self) -> None:
        self.receive(b"zz=1,2;3 client_ts3=7 my_key=~!x echo=2 last=.")
        self.assertEqual(self.answer()[2], b"zz=1,2;3 client_ts3=7 my_key=~!x echo=1 last=. server_ts2=1700000000123")

    def test_a_direct_call_is_answered_to_the_address_that_it_names(self) -> None:
        for addr in (CLIENT, ELSEWHERE, CLIENT):
            self.handler.handle_heartbeat(b"client_ts3=1 echo=2", addr, 3, 5, 0, 0)
            self.assertEqual(self.answer(), (3, 5, b"client_ts3=1 echo=1 server_ts2=1700000000123", addr))

    def test_the_returned_heartbeat_is_the_servers_round_trip(self) -> None:
        self.receive(b"client_ts3=1 echo=2")
        self.now += 0.25
        self.receive(self.answer()[2])
        report = self.handler.path.report(self.now)
        self.assertEqual((report.last, report.answered, report.silent), (0.25, 1, 0.0))

    def test_a_countdown_that_the_client_made_up_measures_nothing(self) -> None:
        self.receive(b"client_ts3=1 echo=1 server_ts2=5")
        self.assertEqual(self.answer()[2], b"client_ts3=1 echo=0 server_ts2=5 server_ts1=1700000000123")
        self.assertIsNone(self.handler.path.report(self.now).last)
        self.receive(b"client_ts3=2 echo=2")
        self.receive(b"client_ts3=2 echo=1 server_ts2=9999999999999999")
        self.assertIsNone(self.handler.path.report(self.now).last)

    def test_returns_that_never_come_are_counted_as_lost(self) -> None:
        for _ in range(5):
            self.receive(b"client_ts3=%d echo=2" % self.now)
            self.now += 10
        self.assertEqual(self.handler.path.lost, 4)


class LegacyTests(HandlerTestCase):
    """Without an encryptor: the seed's behaviour of before it had one."""

    def test_datagrams_are_counted_and_handed_on_and_never_answered(self) -> None:
        for make in (CtrlHandler, UpHandler, DnHandler):
            listener = FakeListener()
            handler = make({}, None, listener=listener)
            handler.transport = self.transport
            for datagram in (b"", b"client_ts3=1 echo=2", b"x" * 2000):
                handler.datagramReceived(datagram, CLIENT)
            handler.handle_heartbeat(b"client_ts3=1 echo=2", CLIENT, 3, 0, 0, 0)
            self.assertFalse(handler.send(b"x", 3))
            self.assertEqual([datagram for datagram, _ in listener.plain], [b"", b"client_ts3=1 echo=2", b"x" * 2000])
            self.assertEqual((handler.counters.received, handler.counters.bytes_received), (3, 2019))
        self.assertEqual(self.transport.written, [])

    def test_nobody_has_to_listen(self) -> None:
        handler = CtrlHandler({})
        handler.datagramReceived(b"x", CLIENT)
        self.assertEqual(handler.counters.received, 1)


class DropTests(HandlerTestCase):
    """Every drop has its name: nothing of it is answered, counted as life or believed."""

    def assert_dropped(self, datagram: bytes, **counters: int) -> None:
        before = self.handler.counters.as_dict()
        self.now += 1
        heard = self.handler.path.last_heard
        self.handler.datagramReceived(datagram, ELSEWHERE)
        after = self.handler.counters.as_dict()
        self.assertEqual({name: after[name] - before[name] for name in after if after[name] != before[name]}, counters)
        self.assertEqual(self.handler.path.last_heard, heard)
        self.assertNotEqual(self.handler.peer.address, ELSEWHERE)
        self.assertEqual(self.transport.written, [])
        self.assertEqual(self.listener.messages, [])

    def test_too_short(self) -> None:
        for length in (0, 1, OVERHEAD - 1):
            self.assert_dropped(bytes(length), too_short=1)

    def test_epoch_not_accepted(self) -> None:
        datagram = self.seal(b"client_ts3=1 echo=2")
        for epoch in (2, 3, 2**32 - 1):
            self.assert_dropped(epoch.to_bytes(4, "big") + datagram[4:], epoch_not_accepted=1)

    def test_not_authentic(self) -> None:
        datagram = self.seal(b"client_ts3=1 echo=2")
        for at in (4, 11, 12, 31, 40, len(datagram) - 1):
            changed = bytearray(datagram)
            changed[at] ^= 1
            self.assert_dropped(bytes(changed), not_authentic=1)
        self.assert_dropped(datagram[:-1], not_authentic=1)
        self.assert_dropped(datagram + b"x", not_authentic=1)
        self.assert_dropped(b"\0\0\0\1" + datagram[4:], not_authentic=1)

    def test_its_own_datagram_sent_back_is_not_authentic(self) -> None:
        self.receive(b"client_ts3=1 echo=2")
        ((own, _),) = self.transport.written
        self.transport.written.clear()
        self.assert_dropped(own, not_authentic=1)

    def test_replayed(self) -> None:
        datagram = self.seal(b"client_ts3=1 echo=2")
        self.handler.datagramReceived(datagram, CLIENT)
        self.transport.written.clear()
        for _ in range(3):
            self.assert_dropped(datagram, replayed=1)

    def test_taken_on_one_port_it_is_replayed_on_another_of_the_session(self) -> None:
        assert self.handler.link is not None
        other = DnHandler({}, self.handler.comm_encryptor, link=self.handler.link)
        datagram = self.seal(b"client_ts3=1 echo=2")
        self.handler.datagramReceived(datagram, CLIENT)
        other.datagramReceived(datagram, CLIENT)
        self.assertEqual((other.counters.replayed, other.counters.received), (1, 0))

    def test_malformed(self) -> None:
        self.receive(b"nonsense")
        self.assertEqual(self.counted(), {"received": 1, "bytes_received": len(b"nonsense") + OVERHEAD, "malformed": 1})

    def test_unexpected_where_nobody_listens(self) -> None:
        self.handler.listener = None
        self.receive(b"bytes", flags=DATA | BINARY)
        self.assertEqual((self.handler.counters.received, self.handler.counters.unexpected), (1, 1))
        self.assertEqual(self.transport.written, [])

    def test_unsent(self) -> None:
        self.transport.full = True
        self.receive(b"client_ts3=1 echo=2")
        self.assertEqual((self.handler.counters.unsent, self.handler.counters.sent), (1, 0))
        self.transport.full = False
        self.receive(b"client_ts3=2 echo=2")
        self.assertEqual((self.handler.counters.unsent, self.handler.counters.sent), (1, 1))

    def test_withheld(self) -> None:
        self.receive(b"client_ts3=1 echo=2")
        for _ in range(10):
            self.handler.send(b"x" * 100, HEARTBEAT_FLAGS)
        written = sum(len(datagram) for datagram, _ in self.transport.written)
        heard = self.handler.counters.bytes_received
        self.assertLessEqual(written, AMPLIFICATION_LIMIT * heard)
        self.assertGreater(written, 0)
        self.assertGreater(self.handler.counters.withheld, 5)
        self.assertEqual(written, self.handler.counters.bytes_sent)

    def test_nothing_is_sent_before_a_transport_or_an_address_is_there(self) -> None:
        self.assertFalse(self.handler.send(b"x", 3))
        self.handler.transport = None
        self.receive(b"client_ts3=1 echo=2")
        self.assertEqual(self.handler.counters.sent, 0)

    def test_another_flag_than_the_heartbeats_is_handed_on(self) -> None:
        self.receive(b"bytes", flags=DATA | BINARY, channel=7)
        ((flags, channel, sequence, offset, payload),) = self.listener.messages
        self.assertEqual((flags, channel, sequence, offset, payload), (DATA | BINARY, 7, 0, 0, b"bytes"))
        self.assertEqual(self.transport.written, [])


class AddressTests(HandlerTestCase):
    """Where answers go."""

    def prove_address(self, addr: Address = CLIENT) -> None:
        self.receive(b"client_ts3=%d echo=2" % (self.now * 1000), addr)
        self.receive(self.answer()[2], addr)
        self.transport.written.clear()

    def test_an_answer_goes_to_the_peers_address_only(self) -> None:
        old, new = self.seal(b"client_ts3=1 echo=2"), self.seal(b"client_ts3=2 echo=2")
        self.handler.datagramReceived(new, CLIENT)
        self.answer()
        self.handler.datagramReceived(old, ELSEWHERE)
        self.assertEqual(self.answer()[3], CLIENT)

    def test_a_new_address_is_found_when_it_has_returned_an_answer(self) -> None:
        self.prove_address(CLIENT)
        self.now += 1
        self.receive(b"client_ts3=9 echo=2", ELSEWHERE)
        answer = self.answer()
        self.assertEqual((answer[3], self.listener.found), (ELSEWHERE, [CLIENT]))
        self.receive(answer[2], ELSEWHERE)
        self.assertEqual(self.listener.found, [CLIENT, ELSEWHERE])

    def test_what_went_to_the_old_address_proves_nothing_of_the_new_one(self) -> None:
        self.prove_address(CLIENT)
        self.receive(b"client_ts3=9 echo=2", CLIENT)
        answer = self.answer()[2]
        self.now += 1
        self.receive(answer, ELSEWHERE)
        self.assertEqual(self.listener.found, [CLIENT])
        self.assertFalse(self.handler.peer.validated)


def begin(port: ClientPortHandler, client_ms: int) -> None:
    sealed = port.seal_heartbeat(client_ms)
    if sealed is not None:
        port.begin_heartbeat(client_ms, sealed)


class ClientHandlerTests(HandlerTestCase):
    """The client's counterpart."""

    server_address = ("192.0.2.1", 6712)

    def setUp(self) -> None:
        super().setUp()
        own, self.client = agreed_pair()  # `client` is the other end of what is tested: here that is the server
        self.handler = self.port = ClientPortHandler(
            {}, own, PortType.DN, self.server_address, link=Link(own), listener=self.listener, clock=self.clock
        )
        self.port.transport = self.transport

    def test_it_begins_and_returns_and_measures(self) -> None:
        begin(self.port, 77)
        self.assertEqual(self.answer(), (3, 0, b"client_ts3=77 echo=2", self.server_address))
        self.now += 0.5
        first = b"client_ts3=77 echo=1 server_ts2=5"
        self.receive(first, self.server_address)
        self.assertEqual(self.answer(), (3, 0, first, self.server_address))
        self.now += 0.25
        self.receive(b"client_ts3=77 echo=0 server_ts2=5 server_ts1=6", self.server_address)
        self.assertEqual(self.transport.written, [])
        self.assertEqual(self.listener.answers, [(1, 0.5), (0, 0.25)])
        self.assertEqual(self.counted()["received"], 2)

    def test_unmatched(self) -> None:
        begin(self.port, 77)
        begin(self.port, 78)
        self.port.forget_heartbeat(78)
        self.transport.written.clear()
        texts = [b"client_ts3=77 echo=2", b"client_ts3=77 echo=0 server_ts2=5 server_ts1=6"]
        texts += [b"client_ts3=76 echo=1 server_ts2=5", b"client_ts3=78 echo=1 server_ts2=5"]
        for text in texts:
            self.receive(text, self.server_address)
        self.assertEqual(self.port.counters.unmatched, len(texts))
        self.assertEqual((self.transport.written, self.listener.answers), ([], []))

    def test_a_second_answer_is_returned_once(self) -> None:
        begin(self.port, 77)
        self.transport.written.clear()
        for _ in range(3):
            self.receive(b"client_ts3=77 echo=1 server_ts2=5", self.server_address)
        self.assertEqual(len(self.transport.written), 1)
        self.assertEqual(self.port.counters.unmatched, 2)

    def test_malformed(self) -> None:
        self.receive(b"nonsense", self.server_address)
        self.assertEqual(self.port.counters.malformed, 1)

    def test_the_server_does_not_move(self) -> None:
        begin(self.port, 77)
        self.transport.written.clear()
        self.receive(b"client_ts3=77 echo=1 server_ts2=5", ELSEWHERE)
        self.assertEqual(self.answer()[3], self.server_address)


class JunkTests(HandlerTestCase):
    """A hundred thousand datagrams of every wrong kind, at a live session."""

    def test_junk_changes_nothing_but_counters_and_is_never_answered(self) -> None:
        random = Random(20)
        self.receive(b"client_ts3=1 echo=2")
        own = self.transport.written[0][0]
        self.receive(self.answer()[2])
        self.transport.written.clear()
        valid = self.seal(b"client_ts3=2 echo=2")
        self.handler.datagramReceived(valid, CLIENT)
        awaited = self.answer()[2]
        heard, peer = self.handler.path.last_heard, self.handler.peer
        state = (peer.address, peer.validated, self.handler.path.report(self.now), self.counted())
        noise = random.randbytes(4096)
        each = 20_000
        for number in range(each):
            at = number % 2000
            self.handler.datagramReceived(noise[at : at + 60 + at % 1400], ELSEWHERE)
            self.handler.datagramReceived(valid[: number % len(valid)], ELSEWHERE)
            self.handler.datagramReceived(valid, ELSEWHERE)
            self.handler.datagramReceived(own, ELSEWHERE)
            self.handler.datagramReceived((number + 2).to_bytes(4, "big") + valid[4:], ELSEWHERE)
        self.assertEqual(self.transport.written, [])
        self.assertEqual(self.listener.messages, [])
        self.assertEqual(self.handler.path.last_heard, heard)
        counters = self.handler.counters
        self.assertEqual(counters.dropped, 5 * each)
        self.assertEqual(counters.replayed, each)
        for name in ("too_short", "epoch_not_accepted", "not_authentic"):
            self.assertGreater(getattr(counters, name), each // 4)
        for name in ("too_short", "epoch_not_accepted", "not_authentic", "replayed"):
            setattr(counters, name, 0)
        self.assertEqual((peer.address, peer.validated, self.handler.path.report(self.now), self.counted()), state)
        self.now += 0.5
        self.receive(awaited)
        self.assertEqual(self.answer()[3], CLIENT)
        self.assertEqual(self.handler.path.report(self.now).last, 0.5)
        self.assertEqual(len(self.handler.link.replay.received.get_spans()), 1)  # type: ignore[union-attr]
