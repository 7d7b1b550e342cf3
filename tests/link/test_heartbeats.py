"""The countdown at both ends, and the round trips that it shows."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.heartbeats import MAX_AWAITED, ClientCountdown, RoundTripSample, ServerCountdown
from bittrrt.wire.heartbeat import answer_heartbeat, first_heartbeat, parse_heartbeat_untrusted

MS = 1_700_000_000_000


def begin(client: ClientCountdown, client_ms: int, now: float) -> bytes:
    client.begun(client_ms, now)
    return first_heartbeat(client_ms)


def answer(server: ServerCountdown, text: bytes, server_ms: int, now: float) -> tuple[bytes, RoundTripSample | None]:
    """What the server's port does with a heartbeat."""
    heartbeat = parse_heartbeat_untrusted(text)
    sample = server.returned(heartbeat, now) if heartbeat.echo == 1 else None
    if heartbeat.echo == 2:
        server.answered(heartbeat.client_ts3, server_ms, now)
    return answer_heartbeat(heartbeat, server_ms), sample


def hear(client: ClientCountdown, text: bytes, now: float) -> RoundTripSample | None:
    """What the client's port does with an answer."""
    heartbeat = parse_heartbeat_untrusted(text)
    sample = client.answered(heartbeat, now)
    if sample is not None and heartbeat.echo == 1:
        client.returned(heartbeat.client_ts3, now)
    return sample


class CountdownTests(SynchronousTestCase):
    """A client and a server, 10 ms apart one way and 20 the other."""

    def setUp(self) -> None:
        self.client = ClientCountdown()
        self.server = ServerCountdown()

    def test_one_heartbeat_shows_two_round_trips_to_the_client_and_one_to_the_server(self) -> None:
        text = begin(self.client, MS, 1.0)
        self.assertEqual(text, b"client_ts3=1700000000000 echo=2")
        text, sample = answer(self.server, text, MS + 10, 51.0)
        self.assertEqual(text, b"client_ts3=1700000000000 echo=1 server_ts2=1700000000010")
        self.assertIsNone(sample)
        self.assertEqual(hear(self.client, text, 1.03), (1.0, 1.03 - 1.0))
        text, sample = answer(self.server, text, MS + 40, 51.03)  # returned as it is
        self.assertEqual(text, b"client_ts3=1700000000000 echo=0 server_ts2=1700000000010 server_ts1=1700000000040")
        self.assertEqual(sample, RoundTripSample(51.0, 51.03 - 51.0))
        self.assertEqual(hear(self.client, text, 1.06), (1.03, 1.06 - 1.03))

    def test_an_answer_counts_once(self) -> None:
        text, _ = answer(self.server, begin(self.client, MS, 0.0), MS, 0.0)
        self.assertIsNotNone(hear(self.client, text, 0.1))
        self.assertIsNone(hear(self.client, text, 0.2))
        last, sample = answer(self.server, text, MS, 0.2)
        self.assertIsNotNone(sample)
        self.assertIsNone(answer(self.server, text, MS, 0.3)[1])
        self.assertIsNotNone(hear(self.client, last, 0.3))
        self.assertIsNone(hear(self.client, last, 0.4))

    def test_an_answer_that_was_not_asked_for_shows_nothing(self) -> None:
        begin(self.client, MS, 0.0)
        for text in (
            b"client_ts3=1 echo=1 server_ts2=1",
            b"client_ts3=%d echo=0 server_ts2=1 server_ts1=1" % MS,  # the first answer has not come
            b"client_ts3=%d echo=2" % MS,
        ):
            self.assertIsNone(hear(self.client, text, 0.1))

    def test_a_return_of_what_the_server_did_not_answer_shows_nothing(self) -> None:
        answer(self.server, begin(self.client, MS, 0.0), MS + 10, 0.0)
        for text in (
            b"client_ts3=%d echo=1 server_ts2=%d" % (MS + 1, MS + 10),
            b"client_ts3=%d echo=1 server_ts2=%d" % (MS, MS + 11),  # another time than the server's own
            b"client_ts3=%d echo=1" % MS,
        ):
            self.assertIsNone(answer(self.server, text, MS + 20, 0.1)[1])

    def test_a_heartbeat_that_the_client_forgot_is_not_awaited(self) -> None:
        text, _ = answer(self.server, begin(self.client, MS, 0.0), MS, 0.0)
        self.client.forget(MS)
        self.assertIsNone(hear(self.client, text, 0.1))
        text, _ = answer(self.server, begin(self.client, MS + 1, 0.0), MS, 0.0)
        hear(self.client, text, 0.1)
        last, _ = answer(self.server, text, MS, 0.1)
        self.client.forget(MS + 1)
        self.assertIsNone(hear(self.client, last, 0.2))
        self.client.forget(MS + 2)  # never begun

    def test_many_under_way_at_once_are_told_apart(self) -> None:
        texts = [begin(self.client, MS + number, float(number)) for number in range(MAX_AWAITED)]
        for number, text in reversed(list(enumerate(texts))):
            answered, _ = answer(self.server, text, MS, 100.0)
            self.assertEqual(hear(self.client, answered, 100.0), (number, 100.0 - number))


class BoundTests(SynchronousTestCase):
    def test_the_oldest_is_given_up_when_there_are_too_many(self) -> None:
        client, server = ClientCountdown(), ServerCountdown()
        texts = [begin(client, MS + number, 0.0) for number in range(MAX_AWAITED + 1)]
        answers = [answer(server, text, MS, 0.0)[0] for text in texts]
        self.assertIsNone(hear(client, answers[0], 1.0))
        self.assertIsNone(answer(server, answers[0], MS, 1.0)[1])
        for answered in answers[1:]:
            self.assertIsNotNone(hear(client, answered, 1.0))
            self.assertIsNotNone(answer(server, answered, MS, 1.0)[1])

    def test_one_that_is_sent_again_is_the_newest(self) -> None:
        client, server = ClientCountdown(), ServerCountdown()
        for number in range(MAX_AWAITED):
            begin(client, MS + number, float(number))
        text = begin(client, MS, 100.0)
        begin(client, MS + MAX_AWAITED, 101.0)  # the oldest goes: that is the second by now
        answered, _ = answer(server, text, MS, 0.0)
        self.assertEqual(hear(client, answered, 102.0), (100.0, 2.0))

    def test_a_hostile_client_cannot_make_the_server_remember_more(self) -> None:
        server = ServerCountdown()
        for number in range(10_000):
            answer(server, b"client_ts3=%d echo=2" % number, MS, 0.0)
        self.assertEqual(server.give_up(1.0), MAX_AWAITED)

    def test_what_did_not_come_back_in_time_is_counted_and_forgotten(self) -> None:
        server = ServerCountdown()
        for number in range(5):
            answer(server, b"client_ts3=%d echo=2" % number, MS, float(number))
        self.assertEqual(server.give_up(0.0), 0)
        self.assertEqual(server.give_up(3.0), 3)
        self.assertEqual(server.give_up(3.0), 0)
        self.assertIsNone(answer(server, b"client_ts3=2 echo=1 server_ts2=%d" % MS, MS, 5.0)[1])
        self.assertIsNotNone(answer(server, b"client_ts3=3 echo=1 server_ts2=%d" % MS, MS, 5.0)[1])

    def test_one_that_is_answered_again_does_not_keep_older_ones_alive(self) -> None:
        server = ServerCountdown()
        for number, now in ((0, 0.0), (1, 1.0), (2, 2.0), (0, 9.0)):
            answer(server, b"client_ts3=%d echo=2" % number, MS, now)
        self.assertEqual(server.give_up(5.0), 2)
