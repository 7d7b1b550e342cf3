"""Roaming: what moves the peer's address, and what may be sent before it has proved itself."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.peer_address import AMPLIFICATION_LIMIT, PeerAddress

HOME = ("192.0.2.1", 1000)
PORT_MOVED = ("192.0.2.1", 1001)
AWAY = ("198.51.100.7", 1000)

# What came, as (from, sequence); then where the peer is.
CASES = {
    "the first one": ([(HOME, 0)], HOME),
    "newer from the same": ([(HOME, 0), (HOME, 1)], HOME),
    "newer from elsewhere": ([(HOME, 0), (AWAY, 1)], AWAY),
    "newer from another port of the same host": ([(HOME, 5), (PORT_MOVED, 6)], PORT_MOVED),
    "older from elsewhere": ([(HOME, 5), (AWAY, 4)], HOME),
    "the same sequence from elsewhere": ([(HOME, 5), (AWAY, 5)], HOME),
    "far older from elsewhere": ([(HOME, 2**63), (AWAY, 0)], HOME),
    "and back": ([(HOME, 0), (AWAY, 1), (HOME, 2)], HOME),
    "late ones of the old place after a move": ([(HOME, 5), (AWAY, 9), (HOME, 6), (HOME, 7), (HOME, 8)], AWAY),
    "late ones, then newer ones": ([(HOME, 5), (AWAY, 9), (HOME, 8), (HOME, 10)], HOME),
}


class MoveTests(SynchronousTestCase):
    def test_only_the_newest_datagram_moves_the_peer(self) -> None:
        for name, (came, expected) in CASES.items():
            peer = PeerAddress()
            for now, (address, sequence) in enumerate(came):
                peer.heard(address, sequence, 100, now)
            self.assertEqual(peer.address, expected, name)

    def test_an_address_known_beforehand_is_believed(self) -> None:
        peer = PeerAddress(HOME)
        self.assertTrue(peer.validated)
        self.assertTrue(peer.may_send(65_000))

    def test_a_known_address_that_is_heard_from_stays_proved(self) -> None:
        peer = PeerAddress(HOME)
        peer.heard(HOME, 0, 100, 0.0)
        self.assertTrue(peer.validated)

    def test_a_move_has_to_be_proved_anew(self) -> None:
        peer = PeerAddress(HOME)
        peer.heard(AWAY, 0, 100, 0.0)
        self.assertFalse(peer.validated)
        peer.answered(AWAY, 0.5)
        peer.heard(HOME, 1, 100, 1.0)
        self.assertFalse(peer.validated)


class AmplificationTests(SynchronousTestCase):
    def test_nothing_goes_nowhere(self) -> None:
        self.assertFalse(PeerAddress().may_send(1))

    def test_an_unproved_address_is_sent_three_times_what_it_sent(self) -> None:
        peer = PeerAddress()
        peer.heard(AWAY, 0, 100, 0.0)
        self.assertTrue(peer.may_send(100))
        self.assertTrue(peer.may_send(150))
        self.assertFalse(peer.may_send(51))
        self.assertTrue(peer.may_send(50))
        self.assertFalse(peer.may_send(1))
        peer.heard(AWAY, 1, 10, 1.0)
        self.assertTrue(peer.may_send(AMPLIFICATION_LIMIT * 10))
        self.assertFalse(peer.may_send(1))

    def test_what_the_old_address_sent_does_not_count_for_the_new_one(self) -> None:
        peer = PeerAddress()
        peer.heard(HOME, 0, 60_000, 0.0)
        peer.heard(AWAY, 1, 100, 1.0)
        peer.heard(HOME, 0, 60_000, 2.0)  # late, from where the peer was
        self.assertFalse(peer.may_send(301))
        self.assertTrue(peer.may_send(300))

    def test_moving_to_and_fro_does_not_add_up(self) -> None:
        peer = PeerAddress()
        for sequence in range(100):
            peer.heard((AWAY, HOME)[sequence % 2], sequence, 100, float(sequence))
        self.assertFalse(peer.may_send(301))

    def test_a_proved_address_is_sent_anything(self) -> None:
        peer = PeerAddress()
        peer.heard(AWAY, 0, 100, 0.0)
        self.assertTrue(peer.answered(AWAY, 1.0))
        for _ in range(100):
            self.assertTrue(peer.may_send(65_000))


class ChallengeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.peer = PeerAddress(HOME)
        self.peer.heard(AWAY, 7, 100, 10.0)

    def test_a_return_of_what_went_to_the_new_address_proves_it_once(self) -> None:
        self.assertTrue(self.peer.answered(AWAY, 10.0))
        self.assertTrue(self.peer.validated)
        self.assertFalse(self.peer.answered(AWAY, 11.0))  # no news

    def test_a_return_of_what_was_sent_before_the_move_proves_nothing(self) -> None:
        self.assertFalse(self.peer.answered(AWAY, 9.999))
        self.assertFalse(self.peer.validated)

    def test_a_return_from_elsewhere_proves_nothing(self) -> None:
        for address in (HOME, PORT_MOVED):
            self.assertFalse(self.peer.answered(address, 10.5))
        self.assertFalse(self.peer.validated)

    def test_a_second_move_needs_a_newer_challenge(self) -> None:
        self.peer.heard(PORT_MOVED, 8, 100, 12.0)
        self.peer.heard(AWAY, 9, 100, 14.0)
        self.assertFalse(self.peer.answered(AWAY, 11.0))  # sent there, but on the visit before
        self.assertTrue(self.peer.answered(AWAY, 14.0))
