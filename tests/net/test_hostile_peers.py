"""Ends that know the protocol and mean harm: what they can make grow is bounded, what cannot be ends the session."""

from __future__ import annotations

import os
from random import Random

from bittrrt.errors import LinkLost, PeerMisbehaved
from bittrrt.files.supply import MAX_FOLDERS, SMALL
from bittrrt.link import receiver
from bittrrt.net.acceptor import MAX_TAKEN
from bittrrt.net.offerer import MAX_BACKLOG, MAX_UNDER_WAY
from bittrrt.net.server_transfers import LISTED_AT_ONCE, MAX_ASKED
from bittrrt.net.transfers import MAX_UNREAD
from bittrrt.wire.datagram import STREAM_FLAGS, PortType
from bittrrt.wire.transfer_messages import (
    Accept,
    End,
    Entries,
    Fetch,
    List,
    Listed,
    Offer,
    OfferFolder,
    Problem,
    Reason,
    Refuse,
    Settle,
    Skip,
    Total,
    TransferMessage,
    encode_transfer_message,
)
from tests.net.fake_plane import Session, TransferTestCase, heard_from, open_descriptors
from tests.net.simulated_data import SimulatedDataTestCase
from tests.net.test_transfers import tree_of, write

SAMPLE = b"x" * 16


class HostileTestCase(TransferTestCase):
    def to_server(self, session: Session, message: TransferMessage) -> None:
        session.server.control_received(encode_transfer_message(message))

    def to_client(self, session: Session, message: TransferMessage) -> None:
        session.client.control_received(encode_transfer_message(message))


class HostileClientTests(HostileTestCase):
    def test_offers_beyond_all_bounds_are_refused_and_no_more_files_are_open(self) -> None:
        session = self.connect()
        heard = heard_from(session.server_plane)
        for number in range(3 * MAX_TAKEN):
            self.to_server(session, Offer(2 * number + 1, 1, f"f{number}", 2**20, 1, 0o600, SAMPLE))
        self.clock.pump([0.01] * 500)
        refused = [message for message in heard if isinstance(message, Refuse)]
        self.assertEqual({message.reason for message in refused}, {Reason.BUSY})
        self.assertEqual(len(refused), 2 * MAX_TAKEN)
        self.assertEqual(len(session.server_plane.receiving), MAX_TAKEN)
        self.assertLess(open_descriptors() - self.descriptors, 3 * MAX_TAKEN)
        session.lose()
        self.clock.pump([0.01] * 500)
        self.assertEqual(os.listdir(self.there), [])

    def test_a_file_of_an_absurd_size_is_refused_and_leaves_nothing(self) -> None:
        session = self.connect()
        heard = heard_from(session.server_plane)
        for number, size in enumerate((2**63 - 1, 2**62, 2**50)):
            self.to_server(session, Offer(2 * number + 1, 1, f"f{number}", size, 1, 0o600, SAMPLE))
        self.wait_for(lambda: len(heard) == 3)
        self.assertEqual({type(message) for message in heard}, {Refuse})
        self.assertEqual(os.listdir(self.there), [])

    def test_a_flood_of_folders_waits_in_bounded_number(self) -> None:
        session = self.connect()
        heard = heard_from(session.server_plane)
        for number in range(3 * MAX_TAKEN):
            self.to_server(session, OfferFolder(2 * number + 1, 1, f"d{number}", 0o755, 1))
        self.to_server(session, Settle(99_999, 1))
        refused = [message for message in heard if isinstance(message, Refuse)]
        self.assertEqual(len(refused), 2 * MAX_TAKEN + 1)
        self.wait_for(lambda: len(heard) == 3 * MAX_TAKEN + 1)
        self.assertEqual(len(os.listdir(self.there)), MAX_TAKEN)
        self.to_server(session, OfferFolder(100_001, 1, "one more", 0o755, 1))
        self.wait_for((self.there / "one more").is_dir)

    def test_fetches_that_are_never_answered_hold_a_bounded_number_of_files(self) -> None:
        for number in range(2 * MAX_UNDER_WAY):
            write(self.there / "many" / f"{number}", b"x" * 100)
        session = self.connect()
        heard = heard_from(session.server_plane)
        for number in range(MAX_ASKED):
            self.to_server(session, Fetch(number, "many", True))
        self.clock.pump([0.01] * 500)
        offered = [message for message in heard if isinstance(message, Offer | OfferFolder)]
        self.assertEqual(len(offered), MAX_UNDER_WAY)
        self.assertLess(MAX_UNDER_WAY * SMALL, 20_000_000)
        self.assertLess(open_descriptors() - self.descriptors, 2 * MAX_ASKED + 10)

    def test_large_files_that_are_accepted_and_never_read_are_not_all_opened(self) -> None:
        for number in range(40):
            write(self.there / "large" / f"{number:02}", b"").write_bytes(b"")
            os.truncate(self.there / "large" / f"{number:02}", 50_000_000)
        session = self.connect()
        heard = heard_from(session.server_plane)
        self.to_server(session, Fetch(1, "large", True))
        self.clock.pump([0.01] * 300)
        self.assertLessEqual(len([message for message in heard if isinstance(message, Offer)]), 3)

    def test_lists_that_are_never_read_hold_the_names_of_one_folder(self) -> None:
        for number in range(3 * LISTED_AT_ONCE):
            (self.there / f"{number:0200}").touch()
        session = self.connect()
        session.server_plane.delay = 1e6  # nothing arrives
        heard = heard_from(session.server_plane)
        for number in range(MAX_ASKED):
            self.to_server(session, List(number, ""))
        self.clock.pump([0.01] * 2000)
        listed = {message.request for message in heard if isinstance(message, Entries)}
        self.assertEqual(listed, {0})
        self.assertLess(session.server_plane.control_backlog, 2 * MAX_BACKLOG)

    def test_who_asks_for_ever_and_reads_nothing_is_cut_off(self) -> None:
        session = self.connect()
        plane = session.server_plane

        def keep(message: bytes) -> None:  # and never have it acknowledged
            plane.control_backlog += len(message)

        plane.send_control = keep  # type: ignore[method-assign]
        for number in range(40_000):
            self.to_server(session, Fetch(number, "nope" * 20))
        self.clock.pump([0.01] * 100)
        self.assertEqual(session.violations, ["the other end reads no control messages"])
        self.assertLess(plane.control_backlog, MAX_UNREAD + 10_000)

    def test_answers_that_no_question_had_end_the_session(self) -> None:
        for message in (Total(1, 1, 1), Entries(1, ()), End(1), Problem(1, Reason.OTHER, "x")):
            session = self.connect()
            self.to_server(session, message)
            self.assertEqual(len(session.violations), 1, message)

    def test_a_servers_transfer_remembers_no_folders(self) -> None:
        self.assertGreater(MAX_FOLDERS, 300)
        for number in range(300):
            (self.there / "tree" / f"{number}").mkdir(parents=True)
        session = self.connect()
        heard = heard_from(session.server_plane)
        self.to_server(session, Fetch(1, "tree", True))
        self.wait_for(lambda: len(heard) >= MAX_UNDER_WAY)
        (job,) = session.server.offerer._jobs
        self.assertTrue(job.supply.has_folders)
        self.assertEqual(len(job.supply._folders), 0)


class HostileServerTests(HostileTestCase):
    def test_offers_and_answers_to_what_was_never_asked_end_the_session(self) -> None:
        for message in (
            Offer(2, 1, "evil", 1, 1, 0o777, SAMPLE),
            OfferFolder(2, 7, "evil", 0o777, 1),
            Entries(1, (Listed("evil", False, 1, 1, 0),)),
            Total(3, 1, 1),
            End(1),
        ):
            session = self.connect()
            self.to_client(session, message)
            self.assertEqual(len(session.violations), 1, message)
            self.assertIn("which never was", session.violations[0])
        self.assertEqual(os.listdir(self.here), [])

    def test_what_comes_late_for_a_request_that_has_ended_changes_nothing(self) -> None:
        write(self.there / "a", b"a")
        session = self.connect()
        self.finish(self.get("a"), session)
        for message in (Total(1, 5, 5), Problem(1, Reason.OTHER, "x"), End(1), Entries(1, ())):
            self.to_client(session, message)
        self.to_client(session, Offer(4, 1, "a", 1, 1, 0o600, SAMPLE))
        self.assertEqual(session.violations, [])
        self.assertEqual((tree_of(self.here), self.problems), (tree_of(self.there), []))

    def test_a_device_or_a_link_where_a_file_goes_is_not_written_through(self) -> None:
        write(self.there / "tree" / "out", b"evil")
        secret = write(self.here / "secret", b"secret")
        (self.here / "tree").mkdir()
        (self.here / "tree" / "out").symlink_to(secret)
        os.mkfifo(self.here / "tree" / "pipe")
        write(self.there / "tree" / "pipe", b"evil")
        self.finish(self.get("tree", recursive=True, overwrite=True))
        self.assertEqual(secret.read_bytes(), b"secret")
        self.assertEqual((self.here / "tree" / "out").read_bytes(), b"evil")
        self.assertEqual(self.problems, ["tree/pipe: a device, a pipe or a socket is there; choose another name"])

    def test_a_listing_without_end_is_handed_on_and_not_kept(self) -> None:
        session = self.connect()
        taken: list[str] = []
        listed = session.client.list_folder("", lambda entry: taken.append(entry.name), self.fail)
        for number in range(500):
            self.to_client(session, Entries(1, (Listed(f"{number}", False, 1, 1, 0),)))
        self.assertEqual(len(taken), 500)
        self.assertEqual(session.violations, [])
        session.lose()
        self.failureResultOf(listed, LinkLost)

    def test_it_accepts_what_was_not_offered_or_twice(self) -> None:
        write(self.here / "a", b"a" * 100_000)
        session = self.connect()
        self.put("a").begin(session.client)
        self.wait_for(lambda: bool(session.client_plane.control_sent))
        for message in (Accept(3), Skip(3)):
            self.to_client(session, message)
        self.assertEqual(session.violations, [])
        self.to_client(session, Accept(1))
        self.to_client(session, Accept(1))
        self.assertEqual(len(session.violations), 1)


class ScatteredDataTests(SimulatedDataTestCase):
    """Over real data planes."""

    def test_holes_are_bounded_over_all_channels_together(self) -> None:
        class Nowhere:
            def write(self, offset: int, chunks: list[bytes | memoryview]) -> int:
                return sum(map(len, chunks))

        self.patch(receiver, "MAX_HOLES", 5000)
        link = self.connection.link
        assert link is not None
        handler = self.connection.handlers[PortType.UP]
        channels = range(1, 33, 2)
        for channel in channels:
            self.server_plane.open_receiving(channel, Nowhere(), 2**20)
        random = Random(1)
        sent = 0
        while not self.there.ends and sent < 10_000:
            channel, at = random.choice(channels), 2 * (sent // len(channels)) + 1
            handler.transmit(link.seal(b"x", STREAM_FLAGS, channel, at))
            sent += 1
            if sent % 100 == 0:
                self.network.run_for(0.002)
        self.assertEqual([type(end) for end in self.there.ends], [PeerMisbehaved])
        self.assertIn("holes in all", str(self.there.ends[0]))
        self.assertEqual(self.server.sessions, {})
