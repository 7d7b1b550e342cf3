"""The countdown at both ends, and the round trips that it shows."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.heartbeats import MAX_AWAITED, ClientCountdown, RoundTripSample, ServerCountdown
from bittrrt.wire.heartbeat import Heartbeat, parse_heartbeat_untrusted

MS = 1_700_000_000_000


def read(text: bytes) -> Heartbeat:
    return parse_heartbeat_untrusted(text)


class CountdownTests(SynchronousTestCase):
    """A client and a server, 10 ms apart one way and 20 the other."""

    def setUp(self) -> None:
        self.client = ClientCountdown()
        self.server = ServerCountdown()

    def test_one_heartbeat_shows_two_round_trips_to_the_client_and_one_to_the_server(self) -> None:
        text = self.client.begin(MS, 1.0)
        self.assertEqual(text, b"client_ts3=1700000000000 echo=2")
        text, sample = self.server.answer(read(text), MS + 10, 51.0)
        self.assertEqual(text, b"client_ts3=1700000000000 echo=1 server_ts2=1700000000010")
        self.assertIsNone(sample)
        self.assertEqual(self.client.answered(read(text), 1.03), (1.0, 1.03 - 1.0))
        text, sample = self.server.answer(read(text), MS + 40, 51.03)  # returned as it is
        self.assertEqual(text, b"client_ts3=1700000000000 echo=0 server_ts2=1700000000010 server_ts1=1700000000040")
        self.assertEqual(sample, RoundTripSample(51.0, 51.03 - 51.0))
        self.assertEqual(self.client.answered(read(text), 1.06), (1.03, 1.06 - 1.03))

    def test_an_answer_counts_once(self) -> None:
        text, _ = self.server.answer(read(self.client.begin(MS, 0.0)), MS, 0.0)
        self.assertIsNotNone(self.client.answered(read(text), 0.1))
        self.assertIsNone(self.client.answered(read(text), 0.2))
        last, sample = self.server.answer(read(text), MS, 0.2)
        self.assertIsNotNone(sample)
        self.assertIsNone(self.server.answer(read(text), MS, 0.3)[1])
        self.assertIsNotNone(self.client.answered(read(last), 0.3))
        self.assertIsNone(self.client.answered(read(last), 0.4))

    def test_an_answer_that_was_not_asked_for_shows_nothing(self) -> None:
        self.client.begin(MS, 0.0)
        for text in (
            b"client_ts3=1 echo=1 server_ts2=1",
            b"client_ts3=%d echo=0 server_ts2=1 server_ts1=1" % MS,  # the first answer has not come
            b"client_ts3=%d echo=2" % MS,
        ):
            self.assertIsNone(self.client.answered(read(text), 0.1))

    def test_a_return_of_what_the_server_did_not_answer_shows_nothing(self) -> None:
        self.server.answer(read(self.client.begin(MS, 0.0)), MS + 10, 0.0)
        for text in (
            b"client_ts3=%d echo=1 server_ts2=%d" % (MS + 1, MS + 10),
            b"client_ts3=%d echo=1 server_ts2=%d" % (MS, MS + 11),  # another time than the server's own
            b"client_ts3=%d echo=1" % MS,
        ):
            self.assertIsNone(self.server.answer(read(text), MS + 20, 0.1)[1])

    def test_a_heartbeat_that_the_client_forgot_is_not_awaited(self) -> None:
        text, _ = self.server.answer(read(self.client.begin(MS, 0.0)), MS, 0.0)
        self.client.forget(MS)
        self.assertIsNone(self.client.answered(read(text), 0.1))
        text, _ = self.server.answer(read(self.client.begin(MS + 1, 0.0)), MS, 0.0)
        self.client.answered(read(text), 0.1)
        last, _ = self.server.answer(read(text), MS, 0.1)
        self.client.forget(MS + 1)
        self.assertIsNone(self.client.answered(read(last), 0.2))
        self.client.forget(MS + 2)  # never begun

    def test_many_under_way_at_once_are_told_apart(self) -> None:
        texts = [self.client.begin(MS + number, float(number)) for number in range(MAX_AWAITED)]
        for number, text in reversed(list(enumerate(texts))):
            answer, _ = self.server.answer(read(text), MS, 100.0)
            self.assertEqual(self.client.answered(read(answer), 100.0), (number, 100.0 - number))


class BoundTests(SynchronousTestCase):
    def test_the_oldest_is_given_up_when_there_are_too_many(self) -> None:
        client, server = ClientCountdown(), ServerCountdown()
        texts = [client.begin(MS + number, 0.0) for number in range(MAX_AWAITED + 1)]
        answers = [server.answer(read(text), MS, 0.0)[0] for text in texts]
        self.assertIsNone(client.answered(read(answers[0]), 1.0))
        self.assertIsNone(server.answer(read(answers[0]), MS, 1.0)[1])
        for answer in answers[1:]:
            self.assertIsNotNone(client.answered(read(answer), 1.0))
            self.assertIsNotNone(server.answer(read(answer), MS, 1.0)[1])

    def test_one_that_is_sent_again_is_the_newest(self) -> None:
        client, server = ClientCountdown(), ServerCountdown()
        for number in range(MAX_AWAITED):
            client.begin(MS + number, float(number))
        text = client.begin(MS, 100.0)
        client.begin(MS + MAX_AWAITED, 101.0)  # the oldest goes: that is the second by now
        answer, _ = server.answer(read(text), MS, 0.0)
        self.assertEqual(client.answered(read(answer), 102.0), (100.0, 2.0))

    def test_a_hostile_client_cannot_make_the_server_remember_more(self) -> None:
        server = ServerCountdown()
        for number in range(10_000):
            server.answer(read(b"client_ts3=%d echo=2" % number), MS, 0.0)
        self.assertEqual(server.give_up(1.0), MAX_AWAITED)

    def test_what_did_not_come_back_in_time_is_counted_and_forgotten(self) -> None:
        server = ServerCountdown()
        for number in range(5):
            server.answer(read(b"client_ts3=%d echo=2" % number), MS, float(number))
        self.assertEqual(server.give_up(0.0), 0)
        self.assertEqual(server.give_up(3.0), 3)
        self.assertEqual(server.give_up(3.0), 0)
        self.assertIsNone(server.answer(read(b"client_ts3=2 echo=1 server_ts2=%d" % MS), MS, 5.0)[1])
        self.assertIsNotNone(server.answer(read(b"client_ts3=3 echo=1 server_ts2=%d" % MS), MS, 5.0)[1])

    def test_one_that_is_answered_again_does_not_keep_older_ones_alive(self) -> None:
        server = ServerCountdown()
        for number, now in ((0, 0.0), (1, 1.0), (2, 2.0), (0, 9.0)):
            server.answer(read(b"client_ts3=%d echo=2" % number), MS, now)
        self.assertEqual(server.give_up(5.0), 2)
